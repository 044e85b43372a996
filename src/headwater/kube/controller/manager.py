"""Runs controllers: connects watches to queues and queues to reconcilers.

A reconciler's error leads to another call after a growing delay; nothing a reconciler does stops the others.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Literal, Self

from headwater.kube.client import Client
from headwater.kube.controller.informer import Informers
from headwater.kube.controller.leader import Candidate, LeaderElection
from headwater.kube.controller.queue import QueueClosedError, WorkQueue
from headwater.kube.controller.reconcile import Controller, Request, Watch
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, name_of, namespace_of
from headwater.kube.meta.owners import controller_of
from headwater.kube.meta.resources import Resource
from headwater.kube.meta.time import Clock, SystemClock

log = logging.getLogger(__name__)


class Manager:
    """Runs controllers on one client and one set of informers until it is stopped."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        controllers: Sequence[Controller],
        clock: Clock | None = None,
        *,
        leader_election: LeaderElection | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._client = client
        self._informers = informers
        self._controllers = controllers
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()  # noqa: S311 (jitter, no secret)
        self._election = leader_election
        self._queues: dict[str, WorkQueue[Request]] = {}
        self._workers: list[asyncio.Task[None]] = []
        self._running: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None
        self._removals: list[Callable[[], None]] = []

    @property
    def idle(self) -> bool:
        """Tell whether no controller has anything to do now (delayed calls may wait)."""
        return all(queue.idle for queue in self._queues.values())

    async def run(self) -> None:
        """Work until cancelled. Raises ``LeadershipLostError`` when another process has taken over."""
        if self._election is None:
            try:
                await self._start_controllers()
                await asyncio.get_running_loop().create_future()
            finally:
                await self._stop_controllers()
            return
        candidate = Candidate(self._client, self._election, self._clock, self._rng)
        await candidate.acquire()
        holding = asyncio.create_task(candidate.hold(), name=f"lease {self._election.name}")
        try:
            await self._start_controllers()
            await holding
        finally:
            holding.cancel()
            await self._stop_controllers()
            await asyncio.gather(holding, return_exceptions=True)
            await candidate.release()

    async def start(self) -> None:
        """Begin to work in the background; return when the controllers run (with an election: at once)."""
        self._started = asyncio.get_running_loop().create_future()
        self._running = asyncio.create_task(self.run(), name="controllers")
        if self._election is None:
            await asyncio.wait({self._running, self._started}, return_when=asyncio.FIRST_COMPLETED)
            if self._running.done():
                await self._running

    async def stop(self) -> None:
        """Stop to work. A reconciler that is in the middle of something is cancelled there."""
        task, self._running = self._running, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        """Stop."""
        await self.stop()
        return False

    async def _start_controllers(self) -> None:
        for controller in self._controllers:
            if controller.name in self._queues:
                raise ValueError(f"two controllers have the name {controller.name!r}")
            queue = WorkQueue[Request](self._clock, self._rng)
            self._queues[controller.name] = queue
            self._connect(controller, queue)
        self._informers.start()
        await self._informers.wait_synced()
        for controller in self._controllers:
            queue = self._queues[controller.name]
            self._workers += [
                asyncio.create_task(self._work(controller, queue), name=f"controller {controller.name}")
                for _ in range(controller.workers)
            ]
        if self._started is not None and not self._started.done():
            self._started.set_result(None)

    async def _stop_controllers(self) -> None:
        for remove in self._removals:
            remove()
        self._removals.clear()
        for queue in self._queues.values():
            queue.close()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers.clear()
        self._queues.clear()

    def _connect(self, controller: Controller, queue: WorkQueue[Request]) -> None:
        if controller.resource is not None:
            self._watch(Watch(controller.resource, _itself), queue)
        for owned in controller.owns:
            if controller.resource is None:
                raise ValueError(f"the controller {controller.name!r} owns {owned.plural} but has no primary kind")
            self._watch(Watch(owned, _owner_of_kind(controller.resource)), queue)
        for watch in controller.watches:
            self._watch(watch, queue)
        for source in controller.sources:
            source(queue.add)

    def _watch(self, watch: Watch, queue: WorkQueue[Request]) -> None:
        def changed(old: Object | None, new: Object | None) -> None:
            if watch.predicate is not None and not watch.predicate(old, new):
                return
            for state in (old, new):
                if state is not None:
                    for request in watch.map(state):
                        queue.add(request)

        informer = self._informers.informer(watch.resource, field_selector=watch.field_selector)
        self._removals.append(informer.add_handler(changed))

    async def _work(self, controller: Controller, queue: WorkQueue[Request]) -> None:
        while True:
            try:
                request = await queue.get()
            except QueueClosedError:
                return
            try:
                result = await controller.reconciler.reconcile(request)
            except StatusError as error:
                delay = queue.add_rate_limited(request)
                # A conflict or a creation race is everyday life: the next call sees the newer state.
                level = logging.DEBUG if error.code == 409 or queue.failures(request) < 3 else logging.WARNING
                log.log(
                    level, "%s: %s/%s again in %.3f s: %s", controller.name, *request, delay, error.message or error
                )
            except Exception:
                delay = queue.add_rate_limited(request)
                log.exception("%s: %s/%s failed, again in %.3f s", controller.name, *request, delay)
            else:
                queue.forget(request)
                if result is not None and result.requeue_after is not None:
                    queue.add_after(request, result.requeue_after)
            finally:
                queue.done(request)


def _itself(obj: Object) -> tuple[Request, ...]:
    return (Request(namespace_of(obj), name_of(obj)),)


def _owner_of_kind(resource: Resource) -> Callable[[Object], tuple[Request, ...]]:
    def owner(obj: Object) -> tuple[Request, ...]:
        reference = controller_of(obj)
        if reference is None or reference.get("kind") != resource.kind:
            return ()
        if reference.get("apiVersion", "").rpartition("/")[0] != resource.group:
            return ()
        return (Request(namespace_of(obj) if resource.namespaced else "", reference.get("name", "")),)

    return owner
