from datetime import UTC, datetime

from tests.cluster.controllers.conftest import Cluster, until
from tests.kube.controller.clocks import ManualClock

from headwater.cluster.controllers.podgc import MOST_ENDED_PODS, failed_status, pod_collector, surplus
from headwater.kube.controller import Controller
from headwater.kube.meta.objects import name_of
from headwater.kube.meta.resources import NODES, PODS, SERVICE_ACCOUNTS

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def only_this(client, informers, recorder, clock) -> list[Controller]:
    return [pod_collector(client, informers, clock)]


def ended(name: str, created: str, phase: str = "Succeeded") -> dict:
    return {"metadata": {"name": name, "creationTimestamp": created}, "status": {"phase": phase}}


def test_the_oldest_ended_pods_are_too_many():
    pods = [ended("b", "2026-01-02"), ended("a", "2026-01-01"), ended("c", "2026-01-03", "Failed")]
    assert [name_of(pod) for pod in surplus([*pods, ended("r", "2025-01-01", "Running")], 2)] == ["a"]
    assert surplus(pods) == []
    assert MOST_ENDED_PODS == 12_500


def test_a_pod_of_a_lost_node_has_failed():
    status = failed_status({"status": {"phase": "Running", "podIP": "1"}}, NOW)
    assert (status["phase"], status["podIP"]) == ("Failed", "1")
    assert status["conditions"][0]["reason"] == "DeletionByPodGC"


async def prepared(cluster: Cluster) -> None:
    await cluster.namespace("ns")
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await cluster.client.create(SERVICE_ACCOUNTS, account, "ns")
    await cluster.node()
    await cluster.pod("placed", nodeName="n1")


async def test_pods_of_a_missing_node_go_after_a_while(cluster):
    clock = ManualClock()
    await prepared(cluster)
    await cluster.start(only_this, clock=clock)
    await clock.advance(100)
    assert await cluster.pods()
    await cluster.client.delete(NODES, "n1")

    async def gone() -> bool:
        await clock.advance(5)
        return not await cluster.pods()

    await until(gone)
    assert clock.monotonic() >= 140


async def test_a_node_that_comes_back_keeps_its_pods(cluster):
    clock = ManualClock()
    await prepared(cluster)
    manager = await cluster.start(only_this, clock=clock)
    await cluster.client.delete(NODES, "n1")

    async def idle() -> bool:
        await clock.advance(0.1)
        return manager.idle

    await until(idle)
    await clock.advance(30)
    await cluster.node()
    await until(idle)
    await clock.advance(100)
    await until(idle)
    assert await cluster.pods()


async def test_a_pod_that_was_never_placed_goes_at_once(cluster):
    await prepared(cluster)
    await cluster.start(only_this)
    await cluster.pod("waiting", metadata={"finalizers": ["example.org/hold"]})
    await cluster.client.delete(PODS, "waiting", "ns")
    await cluster.client.patch(PODS, "waiting", {"metadata": {"finalizers": None}}, "ns")

    async def gone() -> bool:
        return await cluster.find(PODS, "waiting", "ns") is None

    await until(gone)
