"""The roles that every cluster starts with, and putting them in place.

Names, meaning and aggregation labels are those of Kubernetes: ``view`` reads what is no secret, ``edit`` writes
workloads, ``admin`` also grants roles inside its namespace, ``cluster-admin`` is everything; a capability adds its
own kinds to them by a ClusterRole with a label ``rbac.authorization.k8s.io/aggregate-to-<role>``. At every start
what is missing is added again, unless an object's annotation ``rbac.authorization.kubernetes.io/autoupdate`` is
``false``.
"""

from typing import Any, Protocol

from headwater.cluster.apiserver.answers import WriteOptions
from headwater.cluster.apiserver.rbac.rules import compile_rules, uncovered
from headwater.cluster.apiserver.users import AUTHENTICATED, MASTERS, PLATFORM, UNAUTHENTICATED, User
from headwater.cluster.store.documents import Document
from headwater.kube.meta.objects import Object, annotations_of, name_of
from headwater.kube.meta.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, Resource

GROUP = "rbac.authorization.k8s.io"
AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]

_VIEWED: dict[str, list[str]] = {
    "": [
        "configmaps", "endpoints", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods", "pods/log",
        "pods/status", "replicationcontrollers", "replicationcontrollers/scale", "replicationcontrollers/status",
        "serviceaccounts", "services", "services/status", "bindings", "events", "limitranges", "namespaces",
        "namespaces/status", "resourcequotas", "resourcequotas/status",
    ],
    "apps": [
        "controllerrevisions", "daemonsets", "daemonsets/status", "deployments", "deployments/scale",
        "deployments/status", "replicasets", "replicasets/scale", "replicasets/status", "statefulsets",
        "statefulsets/scale", "statefulsets/status",
    ],
    "autoscaling": ["horizontalpodautoscalers", "horizontalpodautoscalers/status"],
    "batch": ["cronjobs", "cronjobs/status", "jobs", "jobs/status"],
    "discovery.k8s.io": ["endpointslices"],
    "events.k8s.io": ["events"],
    "networking.k8s.io": ["ingresses", "ingresses/status", "networkpolicies"],
    "policy": ["poddisruptionbudgets", "poddisruptionbudgets/status"],
}  # fmt: skip
_EDITED: dict[str, list[str]] = {
    "": [
        "configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "replicationcontrollers/scale",
        "secrets", "serviceaccounts", "services", "services/proxy", "pods/attach", "pods/exec", "pods/portforward",
        "pods/proxy",
    ],
    "apps": [
        "daemonsets", "deployments", "deployments/rollback", "deployments/scale", "replicasets", "replicasets/scale",
        "statefulsets", "statefulsets/scale",
    ],
    "autoscaling": ["horizontalpodautoscalers"],
    "batch": ["cronjobs", "jobs"],
    "coordination.k8s.io": ["leases"],
    "networking.k8s.io": ["ingresses", "networkpolicies"],
    "policy": ["poddisruptionbudgets"],
}  # fmt: skip
_DISCOVERY = [
    "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version",
    "/version/",
]  # fmt: skip
_PUBLIC = ["/healthz", "/livez", "/readyz", "/version", "/version/"]


class Writes(Protocol):
    """The part of ``Api`` that puts the policy in place."""

    def peek(self, resource: Resource, namespace: str, name: str) -> Document | None:
        """Return the committed state of an object."""
        ...

    async def create(self, user: User, resource: Resource, namespace: str, obj: Object) -> Document:
        """Create an object."""
        ...

    async def update(
        self,
        user: User,
        resource: Resource,
        namespace: str,
        name: str,
        obj: Object,
        *,
        subresource: str | None = None,
        options: WriteOptions | None = None,
    ) -> Document:
        """Replace an object."""
        ...


def _rule(verbs: list[str], group: str, resources: list[str]) -> Object:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _urls(urls: list[str]) -> Object:
    return {"nonResourceURLs": urls, "verbs": ["get"]}


def _role(name: str, rules: list[Object], **labels: str) -> Object:
    metadata = _metadata(name)
    metadata["labels"].update({f"{GROUP}/{key.replace('_', '-')}": value for key, value in labels.items()})
    return {"apiVersion": f"{GROUP}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}


def _aggregating(name: str, labels: dict[str, str] | None = None) -> Object:
    role = _role(name, [])
    role["metadata"]["labels"].update(labels or {})
    del role["rules"]
    role["aggregationRule"] = {
        "clusterRoleSelectors": [{"matchLabels": {f"{GROUP}/aggregate-to-{name}": "true"}}],
    }
    return role


def _binding(name: str, *groups: str) -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": _metadata(name),
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": group} for group in groups],
    }


def _metadata(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {AUTOUPDATE: "true"},
    }


def bootstrap_policy() -> list[Object]:
    """Return the ClusterRoles and ClusterRoleBindings of a new cluster."""
    view = [_rule(_READ, group, resources) for group, resources in _VIEWED.items()]
    edit = [_rule(_WRITE, group, resources) for group, resources in _EDITED.items()]
    edit += [
        _rule(_READ, "", ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"]),
        _rule(["impersonate"], "", ["serviceaccounts"]),
        _rule(["create"], "", ["pods/eviction", "serviceaccounts/token"]),
        _rule(_READ, "coordination.k8s.io", ["leases"]),
    ]
    admin = [
        _rule(["create"], "authorization.k8s.io", ["localsubjectaccessreviews"]),
        _rule([*_READ, *_WRITE], GROUP, ["rolebindings", "roles"]),
    ]
    everything = [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ]
    basic = [
        _rule(["create"], "authorization.k8s.io", ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
        _rule(["create"], "authentication.k8s.io", ["selfsubjectreviews"]),
    ]
    delegator = [
        _rule(["create"], "authentication.k8s.io", ["tokenreviews"]),
        _rule(["create"], "authorization.k8s.io", ["subjectaccessreviews"]),
    ]
    return [
        _role("cluster-admin", everything),
        _aggregating("admin"),
        _aggregating("edit", {f"{GROUP}/aggregate-to-admin": "true"}),
        _aggregating("view", {f"{GROUP}/aggregate-to-edit": "true"}),
        _role("system:aggregate-to-admin", admin, aggregate_to_admin="true"),
        _role("system:aggregate-to-edit", edit, aggregate_to_edit="true"),
        _role("system:aggregate-to-view", view, aggregate_to_view="true"),
        _role("system:basic-user", basic),
        _role("system:discovery", [_urls(_DISCOVERY)]),
        _role("system:public-info-viewer", [_urls(_PUBLIC)]),
        _role(
            "system:monitoring",
            [_urls(["/healthz", "/healthz/*", "/livez", "/livez/*", "/readyz", "/readyz/*", "/metrics", "/metrics/*"])],
        ),
        _role("system:auth-delegator", delegator),
        _role(
            "system:service-account-issuer-discovery",
            [_urls(["/.well-known/openid-configuration", "/openid/v1/jwks"])],
        ),
        _binding("cluster-admin", MASTERS),
        _binding("system:basic-user", AUTHENTICATED),
        _binding("system:discovery", AUTHENTICATED),
        _binding("system:public-info-viewer", AUTHENTICATED, UNAUTHENTICATED),
        _binding("system:monitoring", "system:monitoring"),
        _binding("system:service-account-issuer-discovery", "system:serviceaccounts"),
    ]


def completed(found: Object, wanted: Object) -> Object | None:
    """Return ``found`` with what ``wanted`` has and it lacks, or ``None`` when nothing is to be added."""
    if annotations_of(found).get(AUTOUPDATE) == "false":
        return None
    result = dict(found)
    if "aggregationRule" in wanted:
        if found.get("aggregationRule") != wanted["aggregationRule"]:
            result["aggregationRule"] = wanted["aggregationRule"]
    elif "rules" in wanted:
        if found.get("rules") == wanted["rules"]:
            return None
        have = compile_rules(found)
        missing = [
            rule
            for rule, compiled in zip(wanted["rules"], compile_rules(wanted), strict=True)
            if uncovered(have, [compiled])
        ]
        if missing:
            result["rules"] = [*(found.get("rules") or []), *missing]
    else:
        subjects = found.get("subjects") or []
        identities = {(subject.get("kind"), subject.get("name")) for subject in subjects}
        absent = [subject for subject in wanted["subjects"] if (subject["kind"], subject["name"]) not in identities]
        if absent:
            result["subjects"] = [*subjects, *absent]
    return result if result != found else None


async def ensure_policy(api: Writes) -> None:
    """Create or complete the bootstrap policy, as the platform. Raises ``StatusError``."""
    for wanted in bootstrap_policy():
        resource = CLUSTER_ROLES if wanted["kind"] == "ClusterRole" else CLUSTER_ROLE_BINDINGS
        name = name_of(wanted)
        found = api.peek(resource, "", name)
        if found is None:
            await api.create(PLATFORM, resource, "", wanted)
            continue
        changed = completed(found.copy(), wanted)
        if changed is not None:
            await api.update(PLATFORM, resource, "", name, changed)
