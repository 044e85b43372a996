"""PodDisruptionBudgets: how many may go, by tables; and the status on a real API server."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.cluster.controllers.conftest import until
from tests.cluster.controllers.workload import LABELS, kubelet, prepare, workload

from headwater.cluster.controllers.disruption import disruption_controller, status_of
from headwater.cluster.controllers.replicaset import replica_set_controller
from headwater.cluster.controllers.workloads.kinds import DISRUPTION_BUDGETS, REPLICA_SETS
from headwater.kube.meta.objects import Object

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pod(name: str, *, ready: bool = True, deleting: bool = False) -> Object:
    metadata: Object = {"name": name}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    conditions = [{"type": "Ready", "status": "True"}] if ready else []
    return {"metadata": metadata, "status": {"phase": "Running", "conditions": conditions}}


@pytest.mark.parametrize(
    ("spec", "pods", "counts"),
    [
        ({"minAvailable": 2}, [pod("a"), pod("b"), pod("c")], (3, 2, 3, 1)),
        ({"minAvailable": 2}, [pod("a"), pod("b")], (2, 2, 2, 0)),
        ({"minAvailable": "50%"}, [pod("a"), pod("b"), pod("c")], (3, 2, 4, 1)),
        ({"maxUnavailable": 1}, [pod("a"), pod("b"), pod("c"), pod("d")], (4, 3, 4, 1)),
        ({"maxUnavailable": 1}, [pod("a"), pod("b"), pod("c"), pod("d", ready=False)], (3, 3, 4, 0)),
        ({"maxUnavailable": "50%"}, [pod("a"), pod("b", deleting=True), pod("c"), pod("d")], (3, 2, 4, 1)),
        ({"minAvailable": 0}, [], (0, 0, 0, 0)),
    ],
)
def test_how_many_may_go(spec, pods, counts):
    budget = {"metadata": {"generation": 1}, "spec": spec}
    status, _ = status_of(budget, pods, lambda _: ("u", 4), NOW)
    keys = ("currentHealthy", "desiredHealthy", "expectedPods", "disruptionsAllowed")
    assert tuple(status[key] for key in keys) == counts
    assert status["conditions"][0]["status"] == ("True" if counts[3] else "False")


def test_a_granted_eviction_is_reckoned_with_for_a_while():
    budget = {
        "metadata": {},
        "spec": {"minAvailable": 1},
        "status": {
            "disruptedPods": {"a": "2025-12-31T23:59:00Z", "b": "2025-12-31T23:00:00Z", "x": "2026-01-01T00:00:00Z"}
        },
    }
    status, wait = status_of(budget, [pod("a"), pod("b"), pod("c")], lambda _: ("u", 3), NOW)
    assert list(status["disruptedPods"]) == ["a"]
    assert (status["disruptionsAllowed"], wait) == (1, 60)


async def test_the_status_follows_the_pods(cluster):
    await prepare(cluster)
    await cluster.start(
        lambda client, informers, recorder, clock: [
            disruption_controller(client, informers, clock),
            replica_set_controller(client, informers, recorder, clock),
        ]
    )
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "ns"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": dict(LABELS)}},
    }
    await cluster.client.create(DISRUPTION_BUDGETS, budget)
    await cluster.client.create(REPLICA_SETS, workload("ReplicaSet", replicas=3))

    async def allowed(number: int, total: int) -> None:
        async def look() -> Any:
            status = (await cluster.client.get(DISRUPTION_BUDGETS, "web", "ns"))["status"]
            return (status["disruptionsAllowed"], status["expectedPods"]) == (number, total)

        await until(look)

    async with kubelet(cluster):
        await allowed(1, 3)
        await cluster.pod("alone", metadata={"labels": dict(LABELS)})
        await cluster.client.patch(REPLICA_SETS, "web", {"spec": {"replicas": 5}}, "ns")
        await allowed(1, 5)
