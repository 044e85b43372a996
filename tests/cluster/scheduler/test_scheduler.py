"""The scheduler on a real API server."""

import random

import pytest
from tests.cluster.controllers.conftest import Cluster, cluster, until

from headwater.cluster.scheduler.cache import UsageCache
from headwater.cluster.scheduler.placement import Binding, Usage, schedule
from headwater.kube.meta.conditions import find_condition
from headwater.kube.meta.objects import Object, name_of
from headwater.kube.meta.resources import EVENTS, NODES, PODS, SERVICE_ACCOUNTS, Resource

__all__ = ["cluster"]

PRIORITY_CLASSES = Resource("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", False)


def nothing(client, informers, recorder, clock):
    return []


@pytest.fixture
async def ready(cluster: Cluster) -> Cluster:
    await cluster.namespace("ns")
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await cluster.client.create(SERVICE_ACCOUNTS, account, "ns")
    return cluster


def asks(**requests: str) -> list[Object]:
    return [{"name": "main", "image": "x", "resources": {"requests": requests}}]


async def placed(cluster: Cluster, *names: str) -> None:
    async def look() -> bool:
        return {name_of(pod) for pod in await cluster.pods() if pod["spec"].get("nodeName")} == set(names)

    await until(look)


async def refused(cluster: Cluster, name: str, reason: str, message: str) -> None:
    async def look() -> bool:
        condition = find_condition(await cluster.client.get(PODS, name, "ns"), "PodScheduled") or {}
        return (condition.get("status"), condition.get("reason"), condition.get("message")) == (
            "False",
            reason,
            message,
        )

    await until(look)


async def test_binds_a_pod_and_says_so(ready):
    await ready.node()
    await ready.start(nothing, scheduler=True)
    await ready.pod("p")
    await placed(ready, "p")
    pod = await ready.client.get(PODS, "p", "ns")
    assert pod["spec"]["nodeName"] == "n1"
    assert (find_condition(pod, "PodScheduled") or {})["status"] == "True"
    await ready.stop()
    (event,) = (await ready.client.list(EVENTS, "ns")).items
    assert (event["reason"], event["message"]) == ("Scheduled", "Successfully assigned ns/p to n1")


async def test_binds_what_waited_before_it_started(ready):
    await ready.node()
    await ready.pod("p")
    await ready.start(nothing, scheduler=True)
    await placed(ready, "p")


async def test_a_pod_that_fits_nowhere_is_told_and_placed_when_there_is_room(ready):
    await ready.node()
    await ready.start(nothing, scheduler=True)
    await ready.pod("first", containers=asks(cpu="1500m"))
    await placed(ready, "first")
    await ready.pod("second", containers=asks(cpu="1"))
    await refused(ready, "second", "Unschedulable", "0/1 nodes are available: 1 Insufficient cpu.")
    await ready.finish(await ready.client.get(PODS, "first", "ns"), "Succeeded")
    await placed(ready, "first", "second")
    await ready.stop()
    warnings = [event for event in (await ready.client.list(EVENTS, "ns")).items if event["type"] == "Warning"]
    assert [(event["reason"], event["count"]) for event in warnings] == [("FailedScheduling", 1)]


async def test_a_node_that_comes_makes_room(ready):
    await ready.start(nothing, scheduler=True)
    await ready.pod("p")
    await refused(ready, "p", "Unschedulable", "no nodes available to schedule pods")
    await ready.node()
    await placed(ready, "p")


async def test_higher_priority_goes_first_then_age(ready):
    await ready.node(pods="1")
    await ready.pod("blocker")
    await ready.start(nothing, scheduler=True)
    await placed(ready, "blocker")
    for name, priority in (("low", 1), ("old", 5), ("young", 5), ("high", 10)):
        if not await ready.find(PRIORITY_CLASSES, f"c{priority}"):
            body = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": f"c{priority}"}}
            await ready.client.create(PRIORITY_CLASSES, {**body, "value": priority})
        await ready.pod(name, priorityClassName=f"c{priority}")
    order = []
    running = "blocker"
    for _ in range(4):
        await ready.client.delete(PODS, running, "ns", grace_period_seconds=0)

        async def next_one() -> str:
            return next((name_of(pod) for pod in await ready.pods() if pod["spec"].get("nodeName")), "")

        running = await until(next_one)
        order.append(running)
    assert order == ["high", "old", "young", "low"]


async def test_gates_hold_a_pod_back(ready):
    await ready.node()
    await ready.start(nothing, scheduler=True)
    await ready.pod("p", schedulingGates=[{"name": "example.org/wait"}])
    await refused(ready, "p", "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")
    await ready.client.patch(PODS, "p", {"spec": {"schedulingGates": []}}, "ns")
    await placed(ready, "p")


async def test_leaves_pods_of_other_schedulers_alone(ready):
    await ready.node()
    await ready.start(nothing, scheduler=True)
    await ready.pod("theirs", schedulerName="another")
    await ready.pod("ours")
    await placed(ready, "ours")


async def test_never_gives_more_than_there_is(ready):
    await ready.node(cpu="10")
    await ready.node("n2", cpu="5")
    await ready.start(nothing, scheduler=True)
    for number in range(40):
        await ready.pod(f"p{number}", containers=asks(cpu="1"))

    async def full() -> bool:
        nodes = [pod["spec"].get("nodeName") for pod in await ready.pods()]
        return (nodes.count("n1"), nodes.count("n2")) == (10, 5)

    await until(full)
    for pod in [pod for pod in await ready.pods() if pod["spec"].get("nodeName") == "n2"]:
        await ready.client.delete(PODS, name_of(pod), "ns", grace_period_seconds=0)
    await until(full)
    await ready.client.delete(NODES, "n2")


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_nobody_waits_who_could_run(ready, seed):
    rng = random.Random(seed)
    await ready.node(cpu="4", pods="12")
    await ready.start(nothing, scheduler=True)
    made = 0
    for _ in range(120):
        for _ in range(rng.randrange(3)):
            made += 1
            await ready.pod(f"p{made}", containers=asks(cpu=f"{rng.choice((200, 500, 1000))}m"))
        pods = await ready.pods()
        if pods and rng.random() < 0.7:
            pod = rng.choice(pods)
            if pod["spec"].get("nodeName") and rng.random() < 0.5:
                await ready.finish(pod, rng.choice(("Succeeded", "Failed")))
            else:
                await ready.client.delete(PODS, name_of(pod), "ns", grace_period_seconds=0)
        if rng.random() < 0.05:
            unschedulable = rng.random() < 0.5
            await ready.client.patch(NODES, "n1", {"spec": {"unschedulable": unschedulable}})
    await ready.client.patch(NODES, "n1", {"spec": {"unschedulable": False}})

    async def settled() -> bool:
        pods, nodes = await ready.pods(), (await ready.client.list(NODES)).items
        cache = UsageCache()
        for pod in pods:
            if pod["spec"].get("nodeName") and pod["status"]["phase"] == "Pending":
                cache.place(pod, pod["spec"]["nodeName"])
        assert cache.usage.get("n1", Usage()).requested.get("cpu", 0) <= 4000
        waiting = [pod for pod in pods if not pod["spec"].get("nodeName")]
        return not any(isinstance(schedule(pod, nodes, cache.usage), Binding) for pod in waiting)

    await until(settled)
