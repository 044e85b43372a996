"""ReplicaSets: the plan by tables, the reconciler on a real API server, killed at any write."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.cluster.controllers.conftest import Cluster, until
from tests.cluster.controllers.workload import LABELS, kubelet, prepare, workload

from headwater.cluster.controllers.replicaset import plan, replica_set_controller, status_of
from headwater.cluster.controllers.workloads.kinds import REPLICA_SETS
from headwater.kube.meta.objects import Object, is_deleting, name_of, uid_of
from headwater.kube.meta.resources import EVENTS, PODS
from headwater.kube.meta.time import format_time

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def controllers(client, informers, recorder, clock):
    return [replica_set_controller(client, informers, recorder, clock)]


def pod(name: str, *, phase: str = "Running", ready: float | None = None, age: float = 100, **metadata) -> Object:
    conditions = []
    if ready is not None:
        moment = format_time(NOW - timedelta(seconds=ready))
        conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": moment}]
    created = format_time(NOW - timedelta(seconds=age))
    return {
        "metadata": {"name": name, "creationTimestamp": created, "labels": dict(LABELS), **metadata},
        "spec": {"nodeName": "n1"},
        "status": {"phase": phase, "conditions": conditions},
    }


@pytest.mark.parametrize(
    ("pods", "create", "remove"),
    [
        ([], 2, []),
        ([pod("a"), pod("b")], 0, []),
        ([pod("a", phase="Failed"), pod("b")], 1, []),
        ([pod("a", deletionTimestamp="2026-01-01T00:00:00Z"), pod("b")], 1, []),
        ([pod("a", ready=1), pod("b", phase="Pending"), pod("c", ready=9)], 0, ["b"]),
        ([pod("a", ready=1), pod("b", ready=50), pod("c", ready=9)], 0, ["a"]),
        (
            [
                pod("a", ready=1),
                pod("b", ready=50, annotations={"controller.kubernetes.io/pod-deletion-cost": "-1"}),
                pod("c", ready=9),
            ],
            0,
            ["b"],
        ),
        ([pod("a", age=9), pod("b", age=5), pod("c", age=7), pod("d", age=3)], 0, ["d", "b"]),
    ],
)
def test_how_many_and_which(pods, create, remove):
    todo = plan({"metadata": {}, "spec": {"replicas": 2}}, pods, NOW)
    assert (todo.create, [name_of(one) for one in todo.remove]) == (create, remove)


def test_available_after_a_while():
    replica_set = {"metadata": {"generation": 3}, "spec": {"replicas": 2, "minReadySeconds": 10}}
    pods = [pod("a", ready=4), pod("b", ready=10)]
    assert plan(replica_set, pods, NOW).requeue_after == 6
    status = status_of(replica_set, pods, NOW, None)
    assert status == {
        "replicas": 2,
        "fullyLabeledReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 1,
        "observedGeneration": 3,
    }


def test_a_failure_is_a_condition_until_it_is_over():
    replica_set = {"metadata": {}, "spec": {"replicas": 1}}
    replica_set["status"] = status_of(replica_set, [], NOW, ("FailedCreate", "quota"))
    (condition,) = replica_set["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("ReplicaFailure", "True", "FailedCreate")
    assert "conditions" not in status_of(replica_set, [], NOW, None)


async def pods_of(cluster: Cluster, number: int) -> list[Object]:
    async def look():
        pods = [one for one in await cluster.pods() if not is_deleting(one)]
        return [pods] if len(pods) == number else None

    return (await until(look))[0]


async def test_pods_are_created_replaced_and_removed(cluster):
    await prepare(cluster)
    await cluster.start(controllers)
    created = await cluster.client.create(REPLICA_SETS, workload("ReplicaSet", replicas=3))
    async with kubelet(cluster):
        pods = await pods_of(cluster, 3)
        assert all(name_of(one).startswith("web-") for one in pods)
        assert {one["metadata"]["ownerReferences"][0]["uid"] for one in pods} == {uid_of(created)}
        await cluster.client.delete(PODS, name_of(pods[0]), "ns", grace_period_seconds=0)

        async def replaced():
            now = await cluster.pods()
            return len(now) == 3 and name_of(pods[0]) not in map(name_of, now)

        await until(replaced)
        await cluster.client.patch(REPLICA_SETS, "web", {"spec": {"replicas": 1}}, "ns", subresource="scale")
        await pods_of(cluster, 1)

        async def settled():
            status = (await cluster.client.get(REPLICA_SETS, "web", "ns"))["status"]
            return status.get("availableReplicas") == status["replicas"] == 1 and status["observedGeneration"] == 2

        await until(settled)
    await cluster.stop()
    reasons = {event["reason"] for event in (await cluster.client.list(EVENTS, "ns")).items}
    assert reasons == {"SuccessfulCreate", "SuccessfulDelete"}


async def test_a_matching_pod_is_adopted_and_one_that_is_relabelled_released(cluster):
    await prepare(cluster)
    await cluster.pod("mine", metadata={"labels": dict(LABELS)})
    await cluster.start(controllers)
    created = await cluster.client.create(REPLICA_SETS, workload("ReplicaSet", replicas=1))

    async def adopted():
        one = await cluster.client.get(PODS, "mine", "ns")
        return [owner["uid"] for owner in one["metadata"].get("ownerReferences") or ()] == [uid_of(created)]

    await until(adopted)
    assert len(await cluster.pods()) == 1
    await cluster.client.patch(PODS, "mine", {"metadata": {"labels": {"app": "other"}}}, "ns")
    await pods_of(cluster, 2)
    assert not (await cluster.client.get(PODS, "mine", "ns"))["metadata"].get("ownerReferences")
    await cluster.client.patch(PODS, "mine", {"metadata": {"labels": dict(LABELS)}}, "ns")
    await pods_of(cluster, 1)


class Dying:
    """A client whose process ends before its n-th write."""

    def __init__(self, client, writes: int) -> None:
        self._client = client
        self._left = writes
        self.dead = asyncio.Event()

    def __getattr__(self, name):
        method = getattr(self._client, name)
        if name not in ("create", "update", "patch", "delete"):
            return method

        async def write(*arguments, **options):
            if self._left == 0:
                self.dead.set()
                await asyncio.Event().wait()
            self._left -= 1
            return await method(*arguments, **options)

        return write


@pytest.mark.parametrize("writes", range(6))
async def test_killed_at_any_write_there_are_never_too_many(cluster, writes):
    await prepare(cluster)
    await cluster.client.create(REPLICA_SETS, workload("ReplicaSet", replicas=3))
    dying = Dying(cluster.client, writes)
    await cluster.start(
        lambda client, informers, recorder, clock: [replica_set_controller(dying, informers, recorder, clock)]
    )

    async def ended():
        status = (await cluster.client.get(REPLICA_SETS, "web", "ns"))["status"]
        return dying.dead.is_set() or status["replicas"] == 3

    await until(ended)
    await cluster.stop()
    assert len(await cluster.pods()) <= 3
    await cluster.start(controllers)

    async def whole():
        status = (await cluster.client.get(REPLICA_SETS, "web", "ns"))["status"]
        return status["replicas"] == 3

    await until(whole)
    assert len(await cluster.pods()) == 3
