"""The node agent: takes the pods that are bound to this node, runs them, and says how they are."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headwater.cluster.apiserver.nodes import ExecStreams, LogOptions
from headwater.cluster.node import registration
from headwater.cluster.node.blanks import Blanks
from headwater.cluster.node.containers import masks_for
from headwater.cluster.node.drivers import VolumeDriver
from headwater.cluster.node.environment import Facts
from headwater.cluster.node.environments import Environments
from headwater.cluster.node.execution import execute
from headwater.cluster.node.images import ImageMap
from headwater.cluster.node.layout import Layout, PodDirectory, has_id_ranges
from headwater.cluster.node.logs import read_log
from headwater.cluster.node.pythons import find_pythons
from headwater.cluster.node.runtime import Runtime, ShimError, load_records
from headwater.cluster.node.services import IdRanges, Services
from headwater.cluster.node.tiers import Tier, probe
from headwater.cluster.node.volumes import TokenRequests, TokenSource, Volumes, remove_tree
from headwater.cluster.node.worker import PodWorker
from headwater.kube.client import Client
from headwater.kube.controller import EventRecorder, Informers
from headwater.kube.meta.errors import StatusError, bad_request, internal, not_found, not_implemented
from headwater.kube.meta.objects import Object, name_of, uid_of
from headwater.kube.meta.resources import PODS
from headwater.kube.meta.time import Clock, SystemClock

__all__ = ["NodeAgent", "NodeSettings", "TokenSource"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What an operator may choose."""

    isolation: str | None = None
    """``plain``: no sandboxes. Empty: the best there is. None: as the environment variable says."""
    tier: Tier | None = None
    """The level that an earlier probe found, to do without another one."""
    allowed_host_paths: tuple[Path, ...] = ()
    """``hostPath`` volumes at or below these are granted; all others are refused."""
    most_pods: int = 250
    address: str = "127.0.0.1"
    shutdown_grace: float = 5.0
    """The longest grace of a pod when the node stops, in seconds."""


class NodeAgent:
    """One node of the cluster: this machine. Implements ``NodeAccess``."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        *,
        home: Path,
        node_name: str,
        api_url: str,
        drivers: Mapping[str, VolumeDriver],
        token_source: TokenSource | None = None,
        ca: bytes = b"",
        clock: Clock | None = None,
        recorder: EventRecorder | None = None,
        settings: NodeSettings | None = None,
    ) -> None:
        """``token_source`` defaults to asking the API server (``serviceaccounts/token``). ``ca`` is not needed:
        pods find it in the config map ``kube-root-ca.crt``.
        """
        self.node_name = node_name
        self.clock = clock or SystemClock()
        self.settings = settings or NodeSettings()
        self._client = client
        self._informers = informers
        self._layout = Layout(home.resolve())
        self._api_url = api_url
        self._drivers = drivers
        self._tokens = token_source or TokenRequests(client)
        self._recorder = recorder or EventRecorder(client, "kubelet", clock=self.clock, host=node_name)
        self._tier: Tier | None = None
        self._services: Services | None = None
        self._workers: dict[str, PodWorker] = {}
        self._heartbeat: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] | None = None

    @property
    def tier(self) -> Tier:
        """The level of isolation in force; known after ``start``."""
        if self._tier is None:
            raise RuntimeError("the node agent has not been started")
        return self._tier

    async def start(self) -> None:
        """Probe the tier, register the node, adopt the pods that run already, and follow the pods bound here.

        Raises ``StatusError`` when the API refuses the node and ``OSError`` when the home cannot be written.
        """
        self._layout.create()
        tier = self.settings.tier
        if tier is None:
            tier = await asyncio.to_thread(probe, self.settings.isolation)
        self._tier = tier
        if not tier.sandboxed:
            log.warning("pods run as plain processes, not isolated from one another: %s", tier.reason)
        capacity = registration.allocatable(self._layout.home, self.settings.most_pods)
        self._services = self._make_services(tier, capacity)
        self._services.runtime.start()
        await self._services.blanks.start()
        node = registration.node_object(self.node_name, tier, capacity, self.settings.address, self.clock)
        node = await registration.register(self._client, node)
        self._heartbeat = asyncio.create_task(self._beat(node), name="node heartbeat")
        informer = self._informers.informer(PODS)
        await informer.wait_synced()
        self._unsubscribe = informer.add_handler(self._pod_changed)
        await self._sweep()

    async def stop(self, *, kill_pods: bool) -> None:
        """Stop following. With ``kill_pods`` end every pod gracefully, bounded in time, leaving no process behind;
        without, leave them to their shims and to the next agent.
        """
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            await asyncio.gather(self._heartbeat, return_exceptions=True)
        services = self._services
        if services is None:
            return
        workers = [worker for worker in self._workers.values() if not worker.finished.is_set()]
        if kill_pods:
            grace = self.settings.shutdown_grace
            await asyncio.gather(*(worker.shut_down(grace) for worker in workers), return_exceptions=True)
        await asyncio.gather(*(worker.leave() for worker in workers))
        await services.environments.close()
        await services.blanks.close()
        await services.runtime.stop()
        await self._recorder.close()

    # --- NodeAccess ---

    async def logs(self, pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Stream a container's log; see ``NodeAccess``."""
        directory = self._layout.pod(uid_of(pod))
        container = _container_name(pod, container)
        attempts = directory.attempts(container)
        if options.previous:
            attempts = attempts[:-1]
            if not attempts:
                raise bad_request(f'previous terminated container "{container}" in pod "{name_of(pod)}" not found')
        if not attempts or not directory.log(container, attempts[-1]).exists():
            raise bad_request(
                f'container "{container}" in pod "{name_of(pod)}" is waiting to start: {_waiting(pod, container)}'
            )
        attempt = attempts[-1]

        def ended() -> bool:
            if options.previous:
                return True
            worker = self._workers.get(uid_of(pod))
            records = worker.records if worker is not None else load_records(directory) or {}
            record = records.get(container)
            alive = worker is not None and worker.process is not None
            return record is None or record.attempt > attempt or record.phase == "exited" or not alive

        async for piece in read_log(directory.log(container, attempt), options, self.clock, ended):
            yield piece

    async def exec(self, pod: Object, container: str, command: Sequence[str], streams: ExecStreams, tty: bool) -> int:
        """Run a command beside the container's own process and return its exit code; see ``NodeAccess``."""
        assert self._services is not None
        container = _container_name(pod, container)
        worker = self._workers.get(uid_of(pod))
        record = worker.records.get(container) if worker is not None else None
        if record is None or record.phase != "running":
            raise bad_request(f'container "{container}" in pod "{name_of(pod)}" is not running')
        directory = self._layout.pod(uid_of(pod))
        try:
            return await execute(self._services.runtime, directory, container, command, streams, tty=tty)
        except (ShimError, OSError) as error:
            raise internal(f"error executing command in container: {error}") from error

    async def attach(self, pod: Object, container: str, streams: ExecStreams, tty: bool) -> int:
        """Follow what the container's process writes from now on, until it ends; see ``NodeAccess``.

        Its output and its errors are one stream, as in its log. Its input cannot be joined yet.
        """
        if streams.stdin is not None:
            raise not_implemented("attach to a container's input is not built yet: use exec -i, or attach without -i")
        write = streams.stdout or streams.stderr
        async for piece in self.logs(pod, container, LogOptions(follow=True, tail_lines=0)):
            if write is not None:
                await write(piece)
        return 0

    async def port_forward(self, pod: Object, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a port of the pod, which shares this machine's network; see ``NodeAccess``."""
        worker = self._workers.get(uid_of(pod))
        if worker is None or not any(record.phase == "running" for record in worker.records.values()):
            raise bad_request(f'pod "{name_of(pod)}" is not running')
        return await asyncio.open_connection("127.0.0.1", port)

    # --- following ---

    def _make_services(self, tier: Tier, capacity: Mapping[str, str]) -> Services:
        facts = Facts(address=self.settings.address, allocatable=capacity)
        ids = None
        if tier.sandboxed and has_id_ranges():
            ids = IdRanges(self._layout.root / "id-ranges.json")
            ids.load()
        volumes = Volumes(
            self._client,
            drivers=self._drivers,
            tokens=self._tokens,
            facts=facts,
            clock=self.clock,
            allowed_host_paths=self.settings.allowed_host_paths,
        )
        return Services(
            client=self._client,
            clock=self.clock,
            recorder=self._recorder,
            layout=self._layout,
            tier=tier,
            runtime=Runtime(self._layout),
            blanks=Blanks(self._layout.root / "blanks"),
            volumes=volumes,
            images=ImageMap(self._layout.image_map),
            environments=Environments(self._layout.environments),
            pythons=find_pythons(),
            facts=facts,
            api_url=self._api_url,
            address=self.settings.address,
            masks=masks_for(self._layout.home),
            ids=ids,
        )

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            worker = self._workers.get(uid_of(old)) if old is not None else None
            if worker is not None:
                del self._workers[uid_of(worker.pod)]
                if not worker.finished.is_set():
                    worker.forget()
                    self._leaving(worker)
            return
        if new["spec"].get("nodeName") != self.node_name:
            return
        worker = self._workers.get(uid_of(new))
        if worker is not None:
            worker.update(new)
        elif self._services is not None:
            self._workers[uid_of(new)] = PodWorker(self._services, new)

    def _leaving(self, worker: PodWorker) -> None:
        """Keep a worker whose object is gone until it has cleaned up."""
        key = f"gone {uid_of(worker.pod)}"
        self._workers[key] = worker

        async def wait() -> None:
            await worker.finished.wait()
            self._workers.pop(key, None)

        worker.cleaning = asyncio.create_task(wait(), name=key)

    async def _sweep(self) -> None:
        """End what an earlier agent left of pods whose objects are gone."""
        assert self._services is not None
        for uid in await asyncio.to_thread(os.listdir, self._layout.pods):
            if uid in self._workers:
                continue
            directory = PodDirectory(self._layout.pods / uid)
            process = await self._services.runtime.adopt(directory, lambda: None)
            if process is not None:
                process.stop(0)
                process.quit()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait_gone(), 10.0)
                process.close()
            await asyncio.to_thread(remove_tree, directory.path)

    async def _beat(self, node: Object) -> None:
        while True:
            try:
                await registration.renew_lease(self._client, node, self.clock)
            except StatusError as error:
                log.warning("the node's lease could not be renewed: %s", error.message)
            except Exception:
                log.exception("the node's lease could not be renewed")
            await self.clock.sleep(registration.HEARTBEAT)


def _container_name(pod: Object, wanted: str) -> str:
    """Return the container that is meant. Raises ``StatusError`` when there is no such one, or more than one."""
    spec = pod["spec"]
    names = [c["name"] for c in spec["containers"]]
    if wanted:
        if wanted not in [*names, *(c["name"] for c in spec.get("initContainers") or ())]:
            raise not_found("", "containers", wanted)
        return wanted
    if len(names) > 1:
        raise bad_request(
            f"a container name must be specified for pod {name_of(pod)}, choose one of: [{' '.join(names)}]"
        )
    return str(names[0])


def _waiting(pod: Object, container: str) -> str:
    status = pod.get("status") or {}
    for entry in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
        if entry["name"] == container:
            reason = (entry.get("state") or {}).get("waiting", {}).get("reason")
            return str(reason or "ContainerCreating")
    return "ContainerCreating"
