"""From a URL to what is asked for."""

from typing import Any

import pytest

from headwater.cluster.apiserver.answers import DeleteOptions
from headwater.cluster.apiserver.http.requests import (
    ResourceRequest,
    delete_options,
    flag,
    moment,
    parse,
    whole,
    write_options,
)
from headwater.kube.meta.errors import StatusError

R = ResourceRequest


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/api/v1/pods", {}, R("list", "", "v1", "pods")),
        ("GET", "/api/v1/pods", {"watch": "true"}, R("watch", "", "v1", "pods")),
        ("GET", "/api/v1/pods", {"watch": "0"}, R("list", "", "v1", "pods")),
        ("GET", "/api/v1/namespaces", {}, R("list", "", "v1", "namespaces")),
        ("GET", "/api/v1/namespaces/a", {}, R("get", "", "v1", "namespaces", "", "a")),
        ("PUT", "/api/v1/namespaces/a/status", {}, R("update", "", "v1", "namespaces", "", "a", "status")),
        ("PUT", "/api/v1/namespaces/a/finalize", {},
         R("update", "", "v1", "namespaces", "", "a", "finalize")),
        ("POST", "/api/v1/namespaces/a/pods", {}, R("create", "", "v1", "pods", "a")),
        ("GET", "/api/v1/namespaces/a/pods/b", {}, R("get", "", "v1", "pods", "a", "b")),
        ("HEAD", "/api/v1/namespaces/a/pods/b", {}, R("get", "", "v1", "pods", "a", "b")),
        ("GET", "/api/v1/namespaces/a/pods/b/log", {}, R("get", "", "v1", "pods", "a", "b", "log")),
        ("POST", "/api/v1/namespaces/a/pods/b/exec", {}, R("create", "", "v1", "pods", "a", "b", "exec")),
        ("PATCH", "/apis/apps/v1/namespaces/a/deployments/b/scale", {},
         R("patch", "apps", "v1", "deployments", "a", "b", "scale")),
        ("DELETE", "/apis/batch/v1/namespaces/a/jobs", {},
         R("deletecollection", "batch", "v1", "jobs", "a")),
        ("DELETE", "/apis/batch/v1/namespaces/a/jobs/b", {}, R("delete", "batch", "v1", "jobs", "a", "b")),
        ("OPTIONS", "/api/v1/pods", {}, R("", "", "v1", "pods")),
        ("PUT", "/api/v1/pods", {}, R("", "", "v1", "pods")),
        ("GET", "/api/v1/namespaces/a/pods/b%2Fc", {}, R("get", "", "v1", "pods", "a", "b/c")),
        ("GET", "/api/v1/namespaces/a%2Fb/pods", {}, R("list", "", "v1", "pods", "a/b")),
        ("GET", "/", {}, None),
        ("GET", "/api", {}, None),
        ("GET", "/api/v1", {}, None),
        ("GET", "/apis/apps", {}, None),
        ("GET", "/apis/apps/v1", {}, None),
        ("GET", "/healthz", {}, None),
    ],
)  # fmt: skip
def test_paths(method: str, path: str, query: dict[str, str], expected: ResourceRequest | None) -> None:
    assert parse(method, path, query) == expected


@pytest.mark.parametrize(
    "read",
    [
        lambda: flag({"watch": "maybe"}, "watch"),
        lambda: whole({"limit": "-1"}, "limit"),
        lambda: whole({"limit": "many"}, "limit"),
        lambda: moment({"sinceTime": "yesterday"}, "sinceTime"),
        lambda: moment({"sinceTime": "2026-01-01T00:00:00"}, "sinceTime"),
        lambda: write_options({"dryRun": "some"}, ""),
        lambda: write_options({"fieldValidation": "Fierce"}, ""),
        lambda: delete_options({"propagationPolicy": "Sideways"}, None),
        lambda: delete_options({"propagationPolicy": "Orphan", "orphanDependents": "true"}, None),
        lambda: delete_options({}, {"kind": "Pod"}),
        lambda: delete_options({}, {"gracePeriodSeconds": "5"}),
        lambda: delete_options({}, {"preconditions": "x"}),
        lambda: delete_options({"gracePeriodSeconds": "x"}, None),
    ],
)
def test_what_is_not_understood_is_refused(read: Any) -> None:
    with pytest.raises(StatusError) as caught:
        read()
    assert caught.value.code == 400


def test_write_options() -> None:
    options = write_options({"dryRun": "All", "fieldValidation": "Strict"}, "kubectl/v1.32 (linux)")
    assert (options.dry_run, options.field_validation, options.agent) == (True, "Strict", "kubectl")
    assert write_options({}, "").field_validation == "Warn"


@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        ({}, None, DeleteOptions()),
        ({"gracePeriodSeconds": "0"}, None, DeleteOptions(grace_period_seconds=0)),
        ({"gracePeriodSeconds": "5"}, {"gracePeriodSeconds": 1}, DeleteOptions(grace_period_seconds=1)),
        ({"propagationPolicy": "Foreground"}, {}, DeleteOptions(propagation="Foreground")),
        ({}, {"orphanDependents": True}, DeleteOptions(propagation="Orphan")),
        ({}, {"orphanDependents": False}, DeleteOptions(propagation="Background")),
        ({"dryRun": "All"}, None, DeleteOptions(dry_run=True)),
        (
            {},
            {"kind": "DeleteOptions", "preconditions": {"uid": "u", "resourceVersion": "7"}},
            DeleteOptions(uid="u", resource_version="7"),
        ),
    ],
)
def test_delete_options(query: dict[str, str], body: Any, expected: DeleteOptions) -> None:
    assert delete_options(query, body) == expected
