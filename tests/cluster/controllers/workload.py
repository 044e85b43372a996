"""What the stories of workloads share: manifests, and a node that a test plays."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tests.cluster.controllers.conftest import Cluster

from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, is_deleting, name_of
from headwater.kube.meta.resources import PODS, SERVICE_ACCOUNTS

LABELS = {"app": "web"}


def template(image: str = "nginx:1", **spec: Any) -> Object:
    containers = [{"name": "main", "image": image}]
    return {"metadata": {"labels": dict(LABELS)}, "spec": {"containers": containers, **spec}}


def workload(kind: str, name: str = "web", *, image: str = "nginx:1", **spec: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"selector": {"matchLabels": dict(LABELS)}, "template": template(image), **spec},
    }


async def prepare(cluster: Cluster) -> Cluster:
    await cluster.namespace("ns")
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await cluster.client.create(SERVICE_ACCOUNTS, account, "ns")
    return cluster


def ready_status(pod: Object) -> Object:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {**pod.get("status", {}), "phase": "Running", "podIP": "10.1.0.1", "conditions": [ready]}


@contextlib.asynccontextmanager
async def kubelet(cluster: Cluster, *, broken: str = "broken") -> AsyncIterator[None]:
    """Let every pod become ready at once, but those of one image, and end when it is to."""

    async def run() -> None:
        while True:
            for pod in await cluster.pods():
                if is_deleting(pod):
                    with contextlib.suppress(StatusError):
                        await cluster.client.delete(PODS, name_of(pod), "ns", grace_period_seconds=0)
                image = pod["spec"]["containers"][0]["image"]
                if pod["status"].get("phase") == "Pending" and image != broken and not is_deleting(pod):
                    with contextlib.suppress(StatusError):
                        await cluster.client.update(PODS, {**pod, "status": ready_status(pod)}, subresource="status")
            await asyncio.sleep(0.002)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
