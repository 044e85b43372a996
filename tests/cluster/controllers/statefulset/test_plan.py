"""StatefulSets: the order of creation, removal and update, by tables."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.cluster.controllers.statefulset.plan import plan
from headwater.kube.meta.objects import Object, name_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def stateful_set(replicas: int = 3, *, partition: int = 0, policy: str = "OrderedReady", **spec: Any) -> Object:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}
    return {
        "metadata": {"name": "db", "namespace": "ns", "uid": "s1", "generation": 1},
        "spec": {"replicas": replicas, "podManagementPolicy": policy, "updateStrategy": strategy, **spec},
    }


def pod(number: int, *, ready: bool = True, deleting: bool = False, phase: str = "Running", revision: str = "new"):
    metadata: Object = {"name": f"db-{number}", "labels": {"controller-revision-hash": revision}}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    conditions = [{"type": "Ready", "status": "True"}] if ready else []
    return {"metadata": metadata, "spec": {}, "status": {"phase": phase, "conditions": conditions}}


@pytest.mark.parametrize(
    ("wanted", "pods", "create", "remove"),
    [
        (stateful_set(), [], [0], []),
        (stateful_set(policy="Parallel"), [], [0, 1, 2], []),
        (stateful_set(ordinals={"start": 5}, policy="Parallel"), [], [5, 6, 7], []),
        (stateful_set(), [pod(0, ready=False)], [], []),
        (stateful_set(), [pod(0)], [1], []),
        (stateful_set(), [pod(1), pod(2)], [0], []),
        (stateful_set(), [pod(0), pod(1, deleting=True), pod(2)], [], []),
        (stateful_set(), [pod(0), pod(1, phase="Failed"), pod(2)], [], ["db-1"]),
        (stateful_set(1), [pod(0), pod(1), pod(2)], [], ["db-2"]),
        (stateful_set(1), [pod(0), pod(1), pod(2, deleting=True)], [], []),
        (stateful_set(1), [pod(0, ready=False), pod(1), pod(2)], [], []),
        (stateful_set(1, policy="Parallel"), [pod(0), pod(1), pod(2)], [], ["db-2", "db-1"]),
        (stateful_set(2), [pod(0, revision="old"), pod(1, revision="old")], [], ["db-1"]),
        (stateful_set(2), [pod(0, revision="old"), pod(1)], [], ["db-0"]),
        (stateful_set(2), [pod(0, revision="old"), pod(1, ready=False)], [], []),
        (stateful_set(2, partition=1), [pod(0, revision="old"), pod(1)], [], []),
        (stateful_set(2, updateStrategy={"type": "OnDelete"}), [pod(0, revision="old"), pod(1)], [], []),
    ],
)
def test_order(wanted, pods, create, remove):
    todo = plan(wanted, pods, "old", "new", NOW)
    assert [number for number, _ in todo.create] == create
    assert [name_of(one) for one in todo.remove] == remove


def test_a_pod_below_the_partition_comes_back_as_it_was():
    todo = plan(stateful_set(2, partition=1), [pod(1)], "old", "new", NOW)
    assert todo.create == [(0, "old")]


def test_status():
    pods = [pod(0, revision="old"), pod(1), pod(2, ready=False)]
    assert plan(stateful_set(), pods, "old", "new", NOW).status == {
        "observedGeneration": 1,
        "replicas": 3,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "currentReplicas": 1,
        "updatedReplicas": 2,
        "currentRevision": "old",
        "updateRevision": "new",
        "collisionCount": 0,
    }


def test_an_update_is_over_when_every_pod_is_new_and_ready():
    status = plan(stateful_set(2), [pod(0), pod(1)], "old", "new", NOW).status
    assert (status["currentRevision"], status["currentReplicas"]) == ("new", 2)


@given(st.integers(0, 5), st.integers(0, 5), st.sampled_from(["OrderedReady", "Parallel"]), st.integers(0, 5))
def test_comes_to_rest_and_ordered_never_has_two_unready(before, after, policy, partition):
    pods = {number: pod(number, revision="old") for number in range(before)}
    for _ in range(60):
        todo = plan(stateful_set(after, policy=policy, partition=partition), [*pods.values()], "old", "new", NOW)
        if not todo.create and not todo.remove:
            break
        if policy == "OrderedReady":
            assert len(todo.create) + len(todo.remove) == 1
        for number, revision in todo.create:
            pods[number] = pod(number, revision=revision)
        for one in todo.remove:
            del pods[int(name_of(one).rpartition("-")[2])]
    assert sorted(pods) == [*range(after)]
    expected = ["old" if number < partition else "new" for number in range(after)]
    assert [pods[number]["metadata"]["labels"]["controller-revision-hash"] for number in range(after)] == expected
