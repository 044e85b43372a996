"""Deployments on a real API server, with their replica sets and a node that the test plays."""

from typing import Any

from tests.cluster.controllers.conftest import Cluster, until
from tests.cluster.controllers.workload import LABELS, kubelet, prepare, template, workload

from headwater.cluster.controllers.deployment.reconciler import deployment_controller
from headwater.cluster.controllers.replicaset import replica_set_controller
from headwater.cluster.controllers.workloads.kinds import DEPLOYMENTS, REPLICA_SETS
from headwater.kube.meta.conditions import find_condition
from headwater.kube.meta.objects import Object, name_of, uid_of
from headwater.kube.meta.resources import EVENTS


def controllers(client, informers, recorder, clock):
    return [
        replica_set_controller(client, informers, recorder, clock),
        deployment_controller(client, informers, recorder, clock),
    ]


async def rolled_out(cluster: Cluster, image: str, number: int) -> Object:
    async def look() -> Any:
        deployment = await cluster.client.get(DEPLOYMENTS, "web", "ns")
        status = deployment["status"]
        counts = [status.get(key) for key in ("replicas", "updatedReplicas", "availableReplicas")]
        seen = status.get("observedGeneration") == deployment["metadata"]["generation"]
        pods = await cluster.pods()
        images = [pod["spec"]["containers"][0]["image"] for pod in pods]
        return deployment if seen and counts == [number] * 3 and images == [image] * number else None

    return await until(look)


async def test_roll_out_update_and_roll_back(cluster):
    await prepare(cluster)
    await cluster.start(controllers)
    await cluster.client.create(DEPLOYMENTS, workload("Deployment", replicas=3))
    async with kubelet(cluster):
        await rolled_out(cluster, "nginx:1", 3)
        await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"template": template("nginx:2")}}, "ns")
        deployment = await rolled_out(cluster, "nginx:2", 3)
        assert deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
        await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"template": template("nginx:1")}}, "ns")
        deployment = await rolled_out(cluster, "nginx:1", 3)
        assert deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    assert len((await cluster.client.list(REPLICA_SETS, "ns")).items) == 2
    await cluster.stop()
    events = {event["reason"] for event in (await cluster.client.list(EVENTS, "ns")).items}
    assert "ScalingReplicaSet" in events


async def test_recreate_never_mixes(cluster):
    await prepare(cluster)
    await cluster.start(controllers)
    await cluster.client.create(DEPLOYMENTS, workload("Deployment", replicas=2, strategy={"type": "Recreate"}))
    async with kubelet(cluster):
        await rolled_out(cluster, "nginx:1", 2)
        await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"template": template("nginx:2")}}, "ns")
        await rolled_out(cluster, "nginx:2", 2)


async def test_a_broken_update_leaves_the_old_pods(cluster):
    await prepare(cluster)
    await cluster.start(controllers)
    await cluster.client.create(DEPLOYMENTS, workload("Deployment", replicas=4))
    async with kubelet(cluster):
        await rolled_out(cluster, "nginx:1", 4)
        await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"template": template("broken")}}, "ns")

        async def stuck() -> Any:
            images = [pod["spec"]["containers"][0]["image"] for pod in await cluster.pods()]
            return sorted(images) == ["broken"] * 2 + ["nginx:1"] * 3

        await until(stuck)
        deployment = await cluster.client.get(DEPLOYMENTS, "web", "ns")
        assert find_condition(deployment, "Available")["status"] == "True"


async def test_a_set_that_nobody_owns_is_adopted(cluster):
    await prepare(cluster)
    body = workload("ReplicaSet", replicas=1)
    body["metadata"]["labels"] = dict(LABELS)
    orphan = await cluster.client.create(REPLICA_SETS, body)
    await cluster.start(controllers)
    deployment = await cluster.client.create(DEPLOYMENTS, workload("Deployment", replicas=1))

    async def adopted() -> Any:
        one = await cluster.client.get(REPLICA_SETS, name_of(orphan), "ns")
        return [owner["uid"] for owner in one["metadata"].get("ownerReferences") or ()] == [uid_of(deployment)]

    await until(adopted)
    assert len((await cluster.client.list(REPLICA_SETS, "ns")).items) == 1
