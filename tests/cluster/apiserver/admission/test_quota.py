"""Quotas and limits of a namespace, and its pod security level, as a writer meets them."""

import asyncio
from typing import Any

import pytest

from headwater.cluster.apiserver.local import LocalClient
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import CONFIG_MAPS, NAMESPACES, PODS, SERVICE_ACCOUNTS, Resource

QUOTAS = Resource("", "v1", "ResourceQuota", "resourcequotas", True, (), (), frozenset({"status"}))
LIMITS = Resource("", "v1", "LimitRange", "limitranges")


@pytest.fixture(autouse=True)
async def _namespace(client: LocalClient) -> None:
    await make_namespace(client, "ns")


async def make_namespace(client: LocalClient, name: str, **labels: str) -> None:
    labels = {f"pod-security.kubernetes.io/{key}": value for key, value in labels.items()}
    metadata = {"name": name, "labels": labels}
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await client.create(SERVICE_ACCOUNTS, account, name)


def quota(**spec: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": spec}


def limit_range(**item: Any) -> Object:
    item.setdefault("type", "Container")
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": [item]}}


def pod(name: str, requests: Object | None = None, limits: Object | None = None, **spec: Any) -> Object:
    resources = {**({"requests": requests} if requests else {}), **({"limits": limits} if limits else {})}
    container = {"name": "main", "image": "busybox", "resources": resources}
    body = {"automountServiceAccountToken": False, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body}


async def refused(client: LocalClient, obj: Object, namespace: str = "ns") -> str:
    with pytest.raises(StatusError) as caught:
        await client.create(PODS, obj, namespace)
    assert caught.value.code == 403
    return caught.value.message


async def used(client: LocalClient) -> Object:
    found: Object = (await client.get(QUOTAS, "q", "ns"))["status"]["used"]
    return found


async def test_what_is_used_up_is_refused(client: LocalClient) -> None:
    await client.create(QUOTAS, quota(hard={"pods": "2", "requests.cpu": "1"}), "ns")
    await client.create(PODS, pod("a", {"cpu": "600m"}), "ns")
    message = await refused(client, pod("b", {"cpu": "500m"}))
    assert message == (
        'pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, '
        "limited: requests.cpu=1"
    )
    await client.create(PODS, pod("b", {"cpu": "400m"}), "ns")
    assert await used(client) == {"pods": "2", "requests.cpu": "1"}
    assert "pods=1" in await refused(client, pod("c", {"cpu": "0"}))


async def test_a_bounded_resource_must_be_stated(client: LocalClient) -> None:
    await client.create(QUOTAS, quota(hard={"limits.memory": "1Gi", "cpu": "1"}), "ns")
    message = await refused(client, pod("a"))
    assert message.endswith("failed quota: q: must specify cpu for: main; limits.memory for: main")


async def test_of_many_at_once_only_those_that_fit_are_made(client: LocalClient) -> None:
    await client.create(QUOTAS, quota(hard={"pods": "5"}), "ns")
    results = await asyncio.gather(
        *(client.create(PODS, pod(f"p{number}"), "ns") for number in range(20)), return_exceptions=True
    )
    assert sum(isinstance(result, dict) for result in results) == 5
    assert len((await client.list(PODS, "ns")).items) == 5


async def test_objects_of_any_kind_are_counted(client: LocalClient) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "c-"}}
    await client.create(CONFIG_MAPS, {**config, "metadata": dict(config["metadata"])}, "ns")
    await client.create(QUOTAS, quota(hard={"count/configmaps": "2"}), "ns")
    await client.create(CONFIG_MAPS, {**config, "metadata": dict(config["metadata"])}, "ns")
    with pytest.raises(StatusError, match="exceeded quota: q, requested: count/configmaps=1"):
        await client.create(CONFIG_MAPS, {**config, "metadata": dict(config["metadata"])}, "ns")


async def test_a_scope_narrows_a_quota(client: LocalClient) -> None:
    await client.create(QUOTAS, quota(hard={"pods": "0"}, scopes=["BestEffort"]), "ns")
    await refused(client, pod("a"))
    await client.create(PODS, pod("b", {"cpu": "1"}), "ns")


async def test_scopes_are_checked(client: LocalClient) -> None:
    with pytest.raises(StatusError, match="unsupported scope"):
        await client.create(QUOTAS, quota(hard={"pods": "1"}, scopes=["Sometimes"]), "ns")
    with pytest.raises(StatusError, match="unsupported scope applied to resource count/configmaps"):
        await client.create(QUOTAS, quota(hard={"count/configmaps": "1"}, scopes=["BestEffort"]), "ns")


async def test_a_dry_run_is_not_charged(client: LocalClient) -> None:
    await client.create(QUOTAS, quota(hard={"pods": "1"}), "ns")
    await client.create(PODS, pod("a"), "ns", dry_run=True)
    await client.create(PODS, pod("a"), "ns")


async def test_limits_are_filled_in(client: LocalClient) -> None:
    await client.create(
        LIMITS, limit_range(default={"cpu": "500m"}, defaultRequest={"cpu": "100m"}, max={"memory": "1Gi"}), "ns"
    )
    made = await client.create(PODS, pod("a"), "ns")
    resources = made["spec"]["containers"][0]["resources"]
    assert resources == {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}}
    assert "LimitRanger plugin set: cpu, memory request for container main" in str(made["metadata"]["annotations"])


@pytest.mark.parametrize(
    ("item", "body", "message"),
    [
        ({"max": {"cpu": "1"}}, pod("a", limits={"cpu": "2"}), "maximum cpu usage per Container is 1, but limit is 2"),
        ({"min": {"cpu": "1"}}, pod("a", {"cpu": "500m"}), "minimum cpu usage per Container is 1, but request is 500m"),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            pod("a", {"cpu": "1"}, {"cpu": "4"}),
            "cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000",
        ),
        ({"type": "Pod", "max": {"cpu": "1"}}, pod("a", limits={"cpu": "2"}), "maximum cpu usage per Pod is 1"),
    ],
)
async def test_what_is_outside_of_limits_is_refused(
    client: LocalClient, item: Object, body: Object, message: str
) -> None:
    await client.create(LIMITS, limit_range(**item), "ns")
    assert message in await refused(client, body)


SAFE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.mark.parametrize(
    ("level", "changes", "context", "message"),
    [
        ("baseline", {}, {}, ""),
        ("baseline", {"hostNetwork": True}, {}, 'violates PodSecurity "baseline:latest": host namespaces (hostNetwork'),
        ("baseline", {}, {"privileged": True}, 'privileged (container "main" must not set'),
        ("baseline", {}, {"capabilities": {"add": ["SYS_ADMIN"]}}, "non-default capabilities"),
        ("baseline", {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, {}, 'hostPath volumes (volume "v")'),
        ("restricted", {}, SAFE, ""),
        ("restricted", {}, {}, "allowPrivilegeEscalation != false"),
        ("restricted", {}, {**SAFE, "runAsUser": 0}, "runAsUser=0"),
        ("restricted", {}, {**SAFE, "capabilities": {}}, "unrestricted capabilities"),
        ("privileged", {"hostNetwork": True}, {"privileged": True}, ""),
    ],
)
async def test_levels(client: LocalClient, level: str, changes: Object, context: Object, message: str) -> None:
    await make_namespace(client, "safe", enforce=level)
    body = pod("a", **changes)
    body["spec"]["containers"][0]["securityContext"] = context
    if message:
        assert message in await refused(client, body, "safe")
    else:
        await client.create(PODS, body, "safe")


async def test_a_level_that_is_none_is_refused(client: LocalClient) -> None:
    with pytest.raises(StatusError, match="must be one of privileged"):
        await make_namespace(client, "bad", enforce="strict")
