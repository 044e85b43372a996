"""What the namespace roles may do with pipelines.

Upstream's resources and verbs on ``pipelines.kubeflow.org`` (which are permissions only, no objects) and the Run kind,
aggregated into Kubernetes' own view, edit and admin.
"""

from typing import Any

from headwater.kube.meta.objects import Object
from headwater.pipelines.types import RUNS

GROUP = "pipelines.kubeflow.org"
"""Upstream's API group, on which people are authorized."""

_READ = ["get", "list"]
_VIEW: list[dict[str, Any]] = [
    {
        "apiGroups": [GROUP],
        "resources": ["experiments", "pipelines", "pipelines/versions", "jobs", "artifacts"],
        "verbs": _READ,
    },
    {"apiGroups": [GROUP], "resources": ["runs"], "verbs": [*_READ, "readArtifact"]},
    {"apiGroups": [RUNS.group], "resources": [RUNS.plural], "verbs": [*_READ, "watch"]},
]
_EDIT: list[dict[str, Any]] = [
    {
        "apiGroups": [GROUP],
        "resources": ["pipelines", "pipelines/versions"],
        "verbs": ["create", "update", "delete"],
    },
    {"apiGroups": [GROUP], "resources": ["experiments"], "verbs": ["create", "archive", "unarchive", "delete"]},
    {
        "apiGroups": [GROUP],
        "resources": ["runs"],
        "verbs": ["create", "archive", "unarchive", "terminate", "retry", "reportMetrics", "delete"],
    },
    {"apiGroups": [GROUP], "resources": ["jobs"], "verbs": ["create", "enable", "disable", "delete"]},
    {
        "apiGroups": [RUNS.group],
        "resources": [RUNS.plural],
        "verbs": ["create", "update", "patch", "delete", "deletecollection"],
    },
]


def _role(name: str, into: str, rules: list[dict[str, Any]]) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": {f"rbac.authorization.k8s.io/aggregate-to-{into}": "true"}},
        "rules": rules,
    }


ROLES: tuple[Object, ...] = (
    _role("headwater-pipelines-view", "view", _VIEW),
    _role("headwater-pipelines-edit", "edit", _EDIT),
)
"""The edit role holds only what view lacks: Kubernetes' own edit contains view."""
