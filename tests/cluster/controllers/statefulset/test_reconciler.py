"""StatefulSets on a real API server, with a node that the test plays."""

from typing import Any

from tests.cluster.controllers.conftest import Cluster, until
from tests.cluster.controllers.workload import kubelet, prepare, template, workload

from headwater.cluster.controllers.garbage import garbage_controller
from headwater.cluster.controllers.graph import OwnerGraph
from headwater.cluster.controllers.statefulset.reconciler import stateful_set_controller
from headwater.cluster.controllers.workloads.kinds import CLAIMS, CONTROLLER_REVISIONS, STATEFUL_SETS
from headwater.kube.meta.objects import name_of


async def settled(cluster: Cluster, image: str, number: int) -> list[str]:
    async def look() -> Any:
        pods = await cluster.pods()
        one = await cluster.client.get(STATEFUL_SETS, "web", "ns")
        status = one["status"]
        images = [pod["spec"]["containers"][0]["image"] for pod in pods]
        counts = [status.get(key, 0) for key in ("replicas", "readyReplicas", "updatedReplicas")]
        same = status.get("currentRevision") == status.get("updateRevision")
        return [sorted(map(name_of, pods))] if images == [image] * number and counts == [number] * 3 and same else None

    return (await until(look))[0]


async def test_identity_claims_update_and_retention(cluster):
    def controllers(client, informers, recorder, clock):
        graph = OwnerGraph(informers, cluster.kinds)
        return [
            stateful_set_controller(client, informers, recorder, clock),
            garbage_controller(client, graph, recorder),
        ]

    await prepare(cluster)
    await cluster.start(controllers)
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    policy = {"whenDeleted": "Retain", "whenScaled": "Delete"}
    body = workload(
        "StatefulSet",
        replicas=2,
        serviceName="web",
        volumeClaimTemplates=[claim],
        persistentVolumeClaimRetentionPolicy=policy,
    )
    await cluster.client.create(STATEFUL_SETS, body)
    async with kubelet(cluster):
        assert await settled(cluster, "nginx:1", 2) == ["web-0", "web-1"]
        pod = next(one for one in await cluster.pods() if name_of(one) == "web-1")
        assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("web-1", "web")
        assert pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "1"
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "data-web-1"}
        await cluster.client.patch(STATEFUL_SETS, "web", {"spec": {"template": template("nginx:2")}}, "ns")
        await settled(cluster, "nginx:2", 2)
        revisions = (await cluster.client.list(CONTROLLER_REVISIONS, "ns")).items
        assert sorted(one["revision"] for one in revisions) == [1, 2]
        await cluster.client.patch(STATEFUL_SETS, "web", {"spec": {"template": template("nginx:1")}}, "ns")
        await settled(cluster, "nginx:1", 2)
        revisions = (await cluster.client.list(CONTROLLER_REVISIONS, "ns")).items
        assert sorted(one["revision"] for one in revisions) == [2, 3]
        await cluster.client.patch(STATEFUL_SETS, "web", {"spec": {"replicas": 1}}, "ns")
        assert await settled(cluster, "nginx:1", 1) == ["web-0"]

        async def claims() -> Any:
            return [name_of(one) for one in (await cluster.client.list(CLAIMS, "ns")).items] == ["data-web-0"]

        await until(claims)
