"""Endpoints and slices: what is written of a service's pods, and that it follows them."""

from typing import Any

from tests.cluster.controllers.conftest import until
from tests.cluster.controllers.workload import LABELS, kubelet, prepare

from headwater.cluster.controllers.endpoints import endpoints_controller, endpoints_of, slices_of
from headwater.cluster.controllers.workloads.kinds import ENDPOINT_SLICES, ENDPOINTS
from headwater.kube.meta.objects import Object, name_of
from headwater.kube.meta.resources import PODS, SERVICES


def service(target: int | str = 8080, **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "ns", "uid": "abcdefg"},
        "spec": {"selector": dict(LABELS), "ports": [{"name": "http", "port": 80, "targetPort": target}], **spec},
    }


def pod(name: str, *, ready: bool = True, deleting: bool = False, port: int = 8080, address: str = "10.0.0.1"):
    metadata: Object = {"name": name, "namespace": "ns", "uid": name}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    containers = [{"name": "main", "ports": [{"name": "web", "containerPort": port}]}]
    conditions = [{"type": "Ready", "status": "True"}] if ready else []
    status = {"phase": "Running", "podIP": address, "conditions": conditions}
    return {"metadata": metadata, "spec": {"containers": containers, "nodeName": "n1"}, "status": status}


def test_ready_and_not_ready():
    pods = [pod("a"), pod("b", ready=False), pod("c", deleting=True), pod("d", address="")]
    (subset,) = endpoints_of(service(), pods)["subsets"]
    assert [address["targetRef"]["name"] for address in subset["addresses"]] == ["a"]
    assert [address["targetRef"]["name"] for address in subset["notReadyAddresses"]] == ["b"]
    assert subset["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    (one,) = slices_of(service(), pods)
    conditions = [tuple(endpoint["conditions"].values()) for endpoint in one["endpoints"]]
    assert conditions == [(True, True, False), (False, False, False), (False, True, True)]


def test_a_named_port_may_differ_from_pod_to_pod():
    slices = slices_of(service("web"), [pod("a", port=1), pod("b", port=2), pod("c", port=1)])
    assert [[port["port"] for port in one["ports"]] for one in slices] == [[1], [2]]
    assert [len(one["endpoints"]) for one in slices] == [2, 1]
    assert len({name_of(one) for one in slices}) == 2


def test_slices_are_of_limited_size_and_there_is_always_one():
    assert [len(one["endpoints"]) for one in slices_of(service(), [pod(f"p{n:03}") for n in range(250)])] == [
        100,
        100,
        50,
    ]
    assert [one["endpoints"] for one in slices_of(service(), [])] == [[]]


async def test_they_follow_the_pods_and_go_with_the_service(cluster):
    await prepare(cluster)
    await cluster.start(lambda client, informers, recorder, clock: [endpoints_controller(client, informers)])
    body = service()
    del body["metadata"]["uid"]
    await cluster.client.create(SERVICES, body)

    async def names(expected: list[str]) -> None:
        async def look() -> Any:
            found = await cluster.find(ENDPOINTS, "web", "ns")
            slices = (await cluster.client.list(ENDPOINT_SLICES, "ns")).items
            subsets = (found or {}).get("subsets") or []
            in_endpoints = [one["targetRef"]["name"] for subset in subsets for one in subset.get("addresses", ())]
            in_slices = [
                endpoint["targetRef"]["name"]
                for one in slices
                for endpoint in one["endpoints"] or ()
                if endpoint["conditions"]["ready"]
            ]
            return found is not None and in_endpoints == in_slices == expected

        await until(look)

    await names([])
    async with kubelet(cluster):
        await cluster.pod("a", metadata={"labels": dict(LABELS)})
        await cluster.pod("b", metadata={"labels": dict(LABELS)})
        await names(["a", "b"])
        await cluster.client.delete(PODS, "a", "ns", grace_period_seconds=0)
        await names(["b"])
    await cluster.client.delete(SERVICES, "web", "ns")

    async def gone() -> bool:
        return await cluster.find(ENDPOINTS, "web", "ns") is None

    await until(gone)
