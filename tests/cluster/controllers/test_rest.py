"""All controllers together come to rest: when nothing changes, nothing is written."""

import asyncio

from tests.cluster.controllers.conftest import until
from tests.cluster.controllers.test_endpoints import service
from tests.cluster.controllers.workload import LABELS, kubelet, workload

from headwater.cluster.controllers.workloads.kinds import (
    DAEMON_SETS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    STATEFUL_SETS,
)
from headwater.kube.meta.resources import PODS, SERVICES


async def test_nothing_is_written_when_nothing_changes(cluster):
    await cluster.namespace("ns")
    await cluster.node("n1")
    await cluster.start(scheduler=True)
    for resource, kind in ((DEPLOYMENTS, "Deployment"), (STATEFUL_SETS, "StatefulSet"), (DAEMON_SETS, "DaemonSet")):
        body = workload(kind, kind.lower())
        body["spec"]["selector"]["matchLabels"] = {"app": kind}
        body["spec"]["template"]["metadata"]["labels"] = {"app": kind, "all": "yes"}
        await cluster.client.create(resource, body)
    backend = service(selector={"all": "yes"})
    del backend["metadata"]["uid"]
    await cluster.client.create(SERVICES, backend)
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "ns"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": dict(LABELS)}},
    }
    await cluster.client.create(DISRUPTION_BUDGETS, budget)
    async with kubelet(cluster):

        async def all_ready() -> bool:
            return sum(pod["status"].get("phase") == "Running" for pod in await cluster.pods()) == 3

        await until(all_ready)
    before = ""
    for _ in range(100):
        now = (await cluster.client.list(PODS)).resource_version
        if now == before:
            return
        before = now
        await asyncio.sleep(0.15)
    raise AssertionError("something goes on writing")
