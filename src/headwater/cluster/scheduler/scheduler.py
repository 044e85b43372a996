"""The scheduler's loop: takes pending pods by priority, then by age, and binds them.

It reacts to watch events at once and never polls. A pod that fits nowhere is told why, in its condition
``PodScheduled`` and an event, and is looked at again when something changes that could make room.
"""

import asyncio
import heapq
import logging
from collections.abc import Coroutine, Hashable

from headwater.cluster.scheduler.cache import UsageCache
from headwater.cluster.scheduler.placement import Binding, Unschedulable, demand_of, schedule
from headwater.kube.client import Client, PatchType
from headwater.kube.controller import EventRecorder, Informers
from headwater.kube.meta.conditions import find_condition
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, is_deleting, name_of, namespace_of, uid_of
from headwater.kube.meta.resources import NODES, PODS
from headwater.kube.meta.time import Clock, format_time

log = logging.getLogger(__name__)

OUR_NAME = "default-scheduler"

_AT_ONCE = 64
_FIRST_RETRY = 0.1
_LAST_RETRY = 10.0
_Key = tuple[str, str]
_Entry = tuple[int, str, int, _Key]
"""Sorts by priority, age and arrival."""


class Scheduler:
    """Binds pods to nodes until stopped."""

    def __init__(self, client: Client, informers: Informers, recorder: EventRecorder, clock: Clock) -> None:
        self._client = client
        self._informers = informers
        self._recorder = recorder.named(OUR_NAME)
        self._clock = clock
        self._pods = informers.informer(PODS)
        self._nodes = informers.informer(NODES)
        self._cache = UsageCache()
        self._ready: list[_Entry] = []
        self._arrivals: dict[_Key, int] = {}
        self._arrived = 0
        self._queued: set[_Key] = set()
        self._parked: dict[_Key, Hashable] = {}
        """Pods that fitted nowhere, and what they asked for."""
        self._waiting: dict[Hashable, list[_Entry]] = {}
        """The same by what they asked for, first come first served: where one does not fit, none does."""
        self._refused: dict[Hashable, str] = {}
        """Demands that fitted nowhere since room was made last."""
        self._busy: set[_Key] = set()
        """Pods about which something is being written."""
        self._revisit: set[_Key] = set()
        """Busy pods that have changed meanwhile."""
        self._assumed: set[_Key] = set()
        """Pods that are bound and not seen so yet."""
        self._failures: dict[_Key, int] = {}
        self._made_room = False
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._loop: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._removals = [self._pods.add_handler(self._pod_changed), self._nodes.add_handler(self._node_changed)]

    async def start(self) -> None:
        """Begin to schedule; return when the informers are synced."""
        self._informers.start()
        await self._nodes.wait_synced()
        await self._pods.wait_synced()
        self._loop = asyncio.create_task(self._run(), name="scheduler")

    async def stop(self) -> None:
        """Stop. A binding on its way may or may not be done; the next start sees which."""
        for remove in self._removals:
            remove()
        tasks = [task for task in (self._loop, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loop = None

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._made_room:
                self._made_room = False
                self._refused.clear()
                for demand in [*self._waiting]:
                    self._retry_one(demand)
            while self._ready and not self._made_room:
                await self._slots.acquire()
                if not self._ready or not self._take():
                    self._slots.release()

    def _take(self) -> bool:
        """Decide on the next pod; tell whether a task has begun, which gives the slot back when it ends."""
        *_, key = heapq.heappop(self._ready)
        self._queued.discard(key)
        pod = self._pods.get(*key)
        if pod is None or not _is_pending(pod) or key in self._assumed:
            return False
        if key in self._busy:
            self._revisit.add(key)
            return False
        if (pod.get("spec") or {}).get("schedulingGates"):
            message = "Scheduling is blocked due to non-empty scheduling gates"
            return self._refuse(key, pod, "SchedulingGated", message)
        try:
            demand = self._parked.pop(key, None) or demand_of(pod)
            if demand in self._refused:
                outcome: Binding | Unschedulable = Unschedulable(self._refused[demand])
            else:
                outcome = schedule(pod, self._nodes.list(), self._cache.usage)
        except ValueError as error:
            return self._refuse(key, pod, "Unschedulable", f"the pod's resource requests cannot be read: {error}")
        if isinstance(outcome, Binding):
            self._cache.place(pod, outcome.node)
            self._retry_one(demand)
            self._begin(key, self._bind(key, pod, outcome.node))
            return True
        self._refused[demand] = outcome.message
        self._parked[key] = demand
        heapq.heappush(self._waiting.setdefault(demand, []), self._entry(key, pod))
        return self._refuse(key, pod, "Unschedulable", outcome.message)

    def _refuse(self, key: _Key, pod: Object, reason: str, message: str) -> bool:
        known = find_condition(pod, "PodScheduled") or {}
        if (known.get("status"), known.get("reason"), known.get("message")) == ("False", reason, message):
            return False
        self._begin(key, self._explain(key, pod, reason, message))
        return True

    def _begin(self, key: _Key, work: Coroutine[None, None, None]) -> None:
        self._busy.add(key)

        async def run() -> None:
            try:
                await work
            finally:
                self._slots.release()
                self._busy.discard(key)
                if key in self._revisit:
                    self._revisit.discard(key)
                    self._queue(key)

        self._spawn(run())

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="scheduler: one pod")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bind(self, key: _Key, pod: Object, node: str) -> None:
        namespace, name = key
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": uid_of(pod)},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        self._assumed.add(key)
        try:
            await self._client.create(PODS, binding, namespace, name=name, subresource="binding")
        except StatusError as error:
            await self._not_bound(key, pod, node, error)
            return
        seen = self._pods.get(namespace, name)
        if seen is None or uid_of(seen) != uid_of(pod) or (seen.get("spec") or {}).get("nodeName"):
            self._assumed.discard(key)
        self._failures.pop(key, None)
        self._recorder.event(pod, "Normal", "Scheduled", f"Successfully assigned {namespace}/{name} to {node}")

    async def _not_bound(self, key: _Key, pod: Object, node: str, error: StatusError) -> None:
        """Take the pod off its node again, unless it turns out to be on one, and try later."""
        self._assumed.discard(key)
        try:
            current = await self._client.get(PODS, key[1], key[0])
        except StatusError:
            current = None
        if current is not None and uid_of(current) == uid_of(pod) and (current.get("spec") or {}).get("nodeName"):
            if self._pods.get(*key) is not None:
                self._cache.place(current, current["spec"]["nodeName"])
            return
        if self._cache.remove(uid_of(pod)):
            self._room()
        if error.code == 404:
            return
        log.warning("cannot bind %s/%s to %s: %s", *key, node, error.message)
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self._spawn(self._later(key, min(_FIRST_RETRY * 2.0 ** min(failures, 16), _LAST_RETRY)))

    async def _later(self, key: _Key, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._queue(key)

    async def _explain(self, key: _Key, pod: Object, reason: str, message: str) -> None:
        """Write into the pod why it is not placed."""
        if reason == "Unschedulable":
            self._recorder.event(pod, "Warning", "FailedScheduling", message)
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": reason,
            "message": message,
            "lastProbeTime": None,
            "lastTransitionTime": format_time(self._clock.now()),
        }
        known = find_condition(pod, "PodScheduled") or {}
        if known.get("status") == "False" and known.get("lastTransitionTime"):
            condition["lastTransitionTime"] = known["lastTransitionTime"]
        patch = {"metadata": {"uid": uid_of(pod)}, "status": {"conditions": [condition]}}
        try:
            await self._client.patch(PODS, key[1], patch, key[0], patch_type=PatchType.STRATEGIC, subresource="status")
        except StatusError as error:
            if error.code != 404:
                log.warning("cannot write the condition of %s/%s: %s", *key, error.message)

    def _queue(self, key: _Key) -> None:
        pod = self._pods.get(*key)
        if pod is None or key in self._queued or not _is_pending(pod):
            return
        self._queued.add(key)
        heapq.heappush(self._ready, self._entry(key, pod))
        self._wake.set()

    def _entry(self, key: _Key, pod: Object) -> _Entry:
        priority = int((pod.get("spec") or {}).get("priority") or 0)
        arrival = self._arrivals.get(key)
        if arrival is None:
            self._arrived += 1
            arrival = self._arrivals[key] = self._arrived
        return (-priority, pod["metadata"].get("creationTimestamp") or "", arrival, key)

    def _retry_one(self, demand: Hashable) -> None:
        """Look again at the first of the pods that asked for the same; the next one follows when it is placed."""
        waiting = self._waiting.get(demand)
        while waiting:
            *_, key = heapq.heappop(waiting)
            if self._parked.get(key) == demand and key not in self._queued:
                self._queue(key)
                break
        if not waiting:
            self._waiting.pop(demand, None)

    def _unpark(self, key: _Key) -> None:
        demand = self._parked.pop(key, None)
        if demand is not None and (key in self._queued or key in self._revisit):
            self._retry_one(demand)  # it was about to be looked at: the next one is, instead

    def _room(self) -> None:
        """Look again at every pod that fitted nowhere."""
        if not self._made_room:
            self._made_room = True
            self._wake.set()

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new or old or {}
        key = (namespace_of(pod), name_of(pod))
        if new is None or _is_ended(new):
            self._forget(key)
            if self._cache.remove(uid_of(pod)):
                self._room()
            return
        node = (new.get("spec") or {}).get("nodeName")
        if node:
            self._forget(key)
            self._cache.place(new, node)
        elif old is None or old.get("spec") != new.get("spec"):
            self._unpark(key)
            self._queue(key)

    def _forget(self, key: _Key) -> None:
        self._failures.pop(key, None)
        self._arrivals.pop(key, None)
        self._assumed.discard(key)
        self._unpark(key)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or _capacity(old) != _capacity(new):
            self._room()


def _is_ended(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _is_pending(pod: Object) -> bool:
    spec = pod.get("spec") or {}
    ours = (spec.get("schedulerName") or OUR_NAME) == OUR_NAME
    return ours and not spec.get("nodeName") and not is_deleting(pod) and not _is_ended(pod)


def _capacity(node: Object) -> tuple[object, ...]:
    """Return what of a node decides about pods; a heartbeat changes nothing here."""
    status = node.get("status") or {}
    ready = find_condition(node, "Ready") or {}
    return (node.get("spec"), node["metadata"].get("labels"), status.get("allocatable"), ready.get("status"))
