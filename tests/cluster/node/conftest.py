"""A node agent on a real API in the process of the test, with real processes, on both tiers of isolation."""

import asyncio
import contextlib
import os
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.local import LocalClient
from headwater.cluster.apiserver.nodes import LogOptions
from headwater.cluster.node.agent import NodeAgent, NodeSettings
from headwater.cluster.node.tiers import Tier, probe
from headwater.cluster.store.store import Store
from headwater.kube.controller import Informers
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import EVENTS, NAMESPACES, PODS, SERVICE_ACCOUNTS
from headwater.kube.meta.time import SystemClock

NODE = "here"


@pytest.fixture(scope="session")
def best_tier() -> Tier:
    return probe("")


@pytest.fixture(params=["sandboxed", "plain"])
def isolation(request: pytest.FixtureRequest, best_tier: Tier) -> str:
    """Each level of isolation that this machine has."""
    wanted: str = request.param
    if wanted == "sandboxed" and not best_tier.sandboxed:
        pytest.skip(f"no sandboxes on this machine: {best_tier.reason}")
    return wanted


@pytest.fixture
def sandboxed(best_tier: Tier) -> str:
    if not best_tier.sandboxed:
        pytest.skip(f"no sandboxes on this machine: {best_tier.reason}")
    return "sandboxed"


@pytest.fixture
def home() -> Iterator[Path]:
    """A home with a short path, as homes have; what is left in it is removed."""
    path = Path(tempfile.mkdtemp(prefix="hw-"))
    yield path
    try:
        assert not _processes_below(path), "a test leaves no process behind"
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _processes_below(path: Path) -> list[str]:
    """Return the processes whose working directory lies below a path, once they have had a moment to end."""
    for _ in range(100):
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "cwd").readlink().is_relative_to(path):
                    found.append((process / "cmdline").read_text().replace("\0", " "))
        if not found:
            break
        time.sleep(0.02)
    return found


class Cluster:
    """An API with one node; restarts the node at will."""

    def __init__(self, home: Path, api: Api, isolation: str) -> None:
        self.home = home
        self.api = api
        self.client = LocalClient(api)
        self.isolation = isolation
        self.agent: NodeAgent
        self.informers: Informers
        self.drivers: dict[str, Any] = {}
        self.settings: dict[str, Any] = {}

    async def start_agent(self) -> None:
        self.informers = Informers(self.client)
        self.informers.start()
        tier = Tier("sandboxed") if self.isolation == "sandboxed" else Tier("plain", "asked for")
        settings = NodeSettings(tier=tier, **self.settings)
        self.agent = NodeAgent(
            self.client,
            self.informers,
            home=self.home,
            node_name=NODE,
            ca=b"",
            api_url="https://127.0.0.1:6443",
            token_source=_Tokens(),
            drivers=self.drivers,
            settings=settings,
        )
        self.api.node = self.agent
        await self.agent.start()

    async def stop_agent(self, *, kill_pods: bool) -> None:
        await self.agent.stop(kill_pods=kill_pods)
        await self.informers.stop()

    async def run(self, name: str = "p", command: Any = None, **spec: Any) -> Object:
        """Create a pod that is bound here."""
        container: Object = {"name": "main", "image": "busybox"}
        if isinstance(command, str):
            container["command"] = ["sh", "-c", command]
        elif command is not None:
            container["command"] = command
        container |= spec.pop("container", {})
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", **spec.pop("metadata", {})},
            "spec": {
                "nodeName": NODE,
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "containers": [container],
                **spec,
            },
        }
        return await self.client.create(PODS, body, body["metadata"]["namespace"])

    async def get(self, name: str = "p", namespace: str = "default") -> Object:
        return await self.client.get(PODS, name, namespace)

    async def until(
        self, what: Callable[[Object], Any], name: str = "p", namespace: str = "default", seconds: float = 15
    ) -> Object:
        """Return the pod once it is so."""
        last: Object = {}
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            last = await self.get(name, namespace)
            if what(last):
                return last
            await asyncio.sleep(0.005)
        raise AssertionError(f"not so within {seconds} s: {last.get('status')}; events {await self.events(name)}")

    async def ended(self, name: str = "p", namespace: str = "default") -> Object:
        return await self.until(
            lambda pod: (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"), name, namespace
        )

    async def running(self, name: str = "p", namespace: str = "default") -> Object:
        return await self.until(lambda pod: (pod.get("status") or {}).get("phase") == "Running", name, namespace)

    async def waiting(self, name: str = "p") -> Object:
        """Return what the pod's first container waits for, once that is known."""

        def state(pod: Object) -> Object:
            statuses = (pod.get("status") or {}).get("containerStatuses") or [{"state": {}}]
            found: Object = statuses[0]["state"].get("waiting") or {}
            return found

        pod = await self.until(lambda p: state(p).get("reason", "ContainerCreating") != "ContainerCreating", name)
        return state(pod)

    async def gone(self, name: str = "p", namespace: str = "default", seconds: float = 15) -> None:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    await self.get(name, namespace)
                except StatusError as error:
                    if error.code == 404:
                        return
                    raise
                await asyncio.sleep(0.01)

    async def logs(self, name: str = "p", container: str = "", **options: Any) -> str:
        pod = await self.get(name)
        pieces = [piece async for piece in self.agent.logs(pod, container, LogOptions(**options))]
        return b"".join(pieces).decode()

    async def events(self, name: str = "p") -> list[tuple[str, str]]:
        answer = await self.client.list(EVENTS, "default")
        return [(e["reason"], e["message"]) for e in answer.items if e["involvedObject"]["name"] == name]

    async def event(self, reason: str, name: str = "p", seconds: float = 10) -> str:
        """Return the message of the event once there is one."""
        async with asyncio.timeout(seconds):
            while True:
                for found, message in await self.events(name):
                    if found == reason:
                        return message
                await asyncio.sleep(0.01)

    def directory(self, pod: Object) -> Path:
        return self.home / "node" / "pods" / pod["metadata"]["uid"]


class _Tokens:
    async def issue(self, namespace: str, service_account: str, audiences: Any, expires_in: int, pod: Object) -> Any:
        from datetime import timedelta

        return f"token of {namespace}/{service_account}", SystemClock().now() + timedelta(seconds=expires_in)


@asynccontextmanager
async def running_cluster(home: Path, isolation: str, **settings: Any) -> AsyncIterator[Cluster]:
    store = await Store.open(home / "objects.db")
    api = Api(store, clock=SystemClock(), rng=random.Random(1))
    await api.start()
    cluster = Cluster(home, api, isolation)
    cluster.settings = settings
    for name in ("default", "other", "kube-node-lease"):
        if not await _exists(cluster.client, name):
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            await cluster.client.create(NAMESPACES, namespace)
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await cluster.client.create(SERVICE_ACCOUNTS, account, name)
    await cluster.start_agent()
    try:
        yield cluster
    finally:
        await cluster.stop_agent(kill_pods=True)
        await api.stop()
        await store.close()


async def _exists(client: LocalClient, namespace: str) -> bool:
    return any(n["metadata"]["name"] == namespace for n in (await client.list(NAMESPACES)).items)


@pytest.fixture
async def cluster(home: Path, isolation: str) -> AsyncIterator[Cluster]:
    """A node on each tier."""
    async with running_cluster(home, isolation) as cluster:
        yield cluster


@pytest.fixture
async def sandbox(home: Path, sandboxed: str) -> AsyncIterator[Cluster]:
    """A node with sandboxes."""
    async with running_cluster(home, sandboxed, shutdown_grace=0.5) as cluster:
        yield cluster


def children(pid: int) -> list[int]:
    """Return a process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    """Tell whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
