"""An API server in an empty directory, and controllers that can be started, killed and started again."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.local import LocalClient
from headwater.cluster.controllers import build
from headwater.cluster.scheduler import Scheduler
from headwater.cluster.store.store import Store
from headwater.kube.client import Client
from headwater.kube.controller import Controller, EventRecorder, Informers, Manager
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import JOBS, NAMESPACES, NODES, PODS, Resource
from headwater.kube.meta.time import Clock, SystemClock


class Cluster:
    """The API, and whatever runs on it at the moment."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.client = LocalClient(api)
        self._stops: list[Callable[[], Awaitable[Any]]] = []

    def kinds(self) -> list[Resource]:
        return [served.resource for served in self.api.registry.all() if not served.virtual]

    async def start(
        self,
        make: Callable[[Client, Informers, EventRecorder, Clock], Sequence[Controller]] | None = None,
        *,
        client: Client | None = None,
        clock: Clock | None = None,
        scheduler: bool = False,
    ) -> Manager:
        """Run controllers (all of them, if not said which); their own writes go through ``client``."""
        client, clock = client or self.client, clock or SystemClock()
        informers = Informers(self.client, clock=clock)
        recorder = EventRecorder(self.client, "test", clock=clock)
        if make is None:
            controllers = build(client, informers, clock, recorder, "PEM", kinds=self.kinds)
        else:
            controllers = [*make(client, informers, recorder, clock)]
        manager = Manager(client, informers, controllers, clock, rng=random.Random(1))
        self._stops += [informers.stop, recorder.close, manager.stop]
        if scheduler:
            placing = Scheduler(client, informers, recorder, clock)
            await placing.start()
            self._stops.append(placing.stop)
        await manager.start()
        return manager

    async def stop(self) -> None:
        while self._stops:
            await self._stops.pop()()

    async def namespace(self, name: str) -> None:
        await self.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    async def node(self, name: str = "n1", **allocatable: str) -> Object:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
        node = await self.client.create(NODES, node)
        node["status"] = {
            "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110", **allocatable},
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        return await self.client.update(NODES, node, subresource="status")

    async def job(self, name: str = "pi", namespace: str = "ns", /, **spec: Any) -> Object:
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}}
        body = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"template": template, **spec},
        }
        return await self.client.create(JOBS, body)

    async def pod(self, name: str, namespace: str = "ns", *, metadata: Object | None = None, **spec: Any) -> Object:
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, **(metadata or {})},
            "spec": {"automountServiceAccountToken": False, "containers": [{"name": "main", "image": "x"}], **spec},
        }
        return await self.client.create(PODS, body)

    async def pods(self, namespace: str = "ns") -> list[Object]:
        return (await self.client.list(PODS, namespace)).items

    async def finish(self, pod: Object, phase: str, **status: Any) -> None:
        pod = await self.client.get(PODS, pod["metadata"]["name"], pod["metadata"]["namespace"])
        pod["status"] = {**pod.get("status", {}), "phase": phase, **status}
        await self.client.update(PODS, pod, subresource="status")

    async def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        try:
            return await self.client.get(resource, name, namespace)
        except StatusError as error:
            if error.code == 404:
                return None
            raise


async def until(look: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
    """Return what ``look`` answers as soon as that is true."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        answer = await look()
        if answer:
            return answer
        assert asyncio.get_running_loop().time() < deadline, "what the test waits for does not happen"
        await asyncio.sleep(0.002)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    store = await Store.open(tmp_path / "objects.db")
    api = Api(store)
    await api.start()
    cluster = Cluster(api)
    yield cluster
    await cluster.stop()
    await api.stop()
    await store.close()
