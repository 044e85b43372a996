"""DaemonSets: which nodes, by tables; and on a real API server with the real scheduler."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.cluster.controllers.conftest import until
from tests.cluster.controllers.workload import kubelet, prepare, template, workload

from headwater.cluster.controllers.daemonset import daemon_pod, daemon_set_controller, node_of, plan
from headwater.cluster.controllers.workloads.kinds import CONTROLLER_REVISIONS, DAEMON_SETS
from headwater.kube.meta.objects import Object, name_of
from headwater.kube.meta.resources import NODES

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def daemon_set(**pod_spec: Any) -> Object:
    body = workload("DaemonSet", "agent", updateStrategy={"type": "RollingUpdate"})
    body["metadata"] |= {"uid": "d1", "generation": 1}
    body["spec"]["template"] = template(**pod_spec)
    return body


def node(name: str, taint: str = "", **labels: str) -> Object:
    taints = [{"key": taint, "effect": "NoSchedule"}] if taint else []
    return {"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}}


def pod(on: str, *, revision: str = "new", phase: str = "Running", ready: bool = True) -> Object:
    conditions = [{"type": "Ready", "status": "True"}] if ready else []
    labels = {"controller-revision-hash": revision}
    return {
        "metadata": {"name": f"on-{on}", "labels": labels},
        "spec": {"nodeName": on},
        "status": {"phase": phase, "conditions": conditions},
    }


NODES_OF_TWO_KINDS = [node("a", disk="ssd"), node("b"), node("c", taint="gpu")]


@pytest.mark.parametrize(
    ("pod_spec", "pods", "create", "remove"),
    [
        ({}, [], ["a", "b"], []),
        ({}, [pod("a")], ["b"], []),
        ({"nodeSelector": {"disk": "ssd"}}, [], ["a"], []),
        ({"nodeSelector": {"disk": "ssd"}}, [pod("a"), pod("b")], [], ["on-b"]),
        ({"tolerations": [{"key": "gpu", "operator": "Exists"}]}, [], ["a", "b", "c"], []),
        ({}, [pod("a", phase="Failed"), pod("b")], [], ["on-a"]),
        ({}, [pod("a", revision="old"), pod("b", revision="old")], [], ["on-a"]),
        ({}, [pod("a", revision="old"), pod("b", ready=False)], [], []),
        ({}, [pod("a", revision="old", ready=False), pod("b", revision="old")], [], ["on-a"]),
    ],
)
def test_which_nodes(pod_spec, pods, create, remove):
    todo = plan(daemon_set(**pod_spec), pods, NODES_OF_TWO_KINDS, "new", NOW)
    assert todo.create == create
    assert [name_of(one) for one in todo.remove] == remove


def test_status():
    todo = plan(daemon_set(), [pod("a"), pod("b", revision="old", ready=False)], NODES_OF_TWO_KINDS, "new", NOW)
    assert todo.status == {
        "currentNumberScheduled": 2,
        "desiredNumberScheduled": 2,
        "numberMisscheduled": 0,
        "numberReady": 1,
        "numberAvailable": 1,
        "numberUnavailable": 1,
        "updatedNumberScheduled": 1,
        "observedGeneration": 1,
    }


def test_a_pod_knows_its_node_before_it_is_bound():
    made = daemon_pod(daemon_set(), "b", "new")
    assert node_of(made) == "b"
    assert len(made["spec"]["tolerations"]) == 6


async def test_a_pod_a_node_and_an_update(cluster):
    def controllers(client, informers, recorder, clock):
        return [daemon_set_controller(client, informers, recorder, clock)]

    await prepare(cluster)
    await cluster.node("n1")
    await cluster.start(controllers, scheduler=True)
    await cluster.client.create(DAEMON_SETS, workload("DaemonSet", "agent"))

    async def runs(image: str, nodes: list[str]) -> None:
        async def look() -> Any:
            pods = await cluster.pods()
            status = (await cluster.client.get(DAEMON_SETS, "agent", "ns"))["status"]
            placed = sorted(one["spec"].get("nodeName", "") for one in pods)
            images = {one["spec"]["containers"][0]["image"] for one in pods}
            return placed == nodes and images == {image} and status.get("numberAvailable") == len(nodes)

        await until(look)

    async with kubelet(cluster):
        await runs("nginx:1", ["n1"])
        await cluster.node("n2")
        await runs("nginx:1", ["n1", "n2"])
        await cluster.client.patch(DAEMON_SETS, "agent", {"spec": {"template": template("nginx:2")}}, "ns")
        await runs("nginx:2", ["n1", "n2"])
        assert len((await cluster.client.list(CONTROLLER_REVISIONS, "ns")).items) == 2
        await cluster.client.patch(NODES, "n2", {"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}})
        await runs("nginx:2", ["n1"])
