"""Events: what happened to an object, for the person who asks ``kubectl describe``.

An event that is said again becomes a higher ``count`` on the same ``core/v1`` Event, as client-go's correlator
does; its name derives from what it says, so that this also holds across a restart. Recording never blocks and
never fails its caller: an event that cannot be written is logged and lost.
"""

import asyncio
import contextlib
import copy
import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from headwater.kube.client import Client
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, name_of, namespace_of, uid_of, version_of
from headwater.kube.meta.resources import EVENTS
from headwater.kube.meta.time import Clock, SystemClock, format_time

log = logging.getLogger(__name__)

EventType = Literal["Normal", "Warning"]

_REMEMBERED = 1024
_MOST_WAITING = 2048
_LONGEST_MESSAGE = 1024


@dataclass(slots=True)
class _Occurrence:
    involved: Object
    component: str
    host: str
    type: EventType
    reason: str
    message: str
    first: datetime
    last: datetime
    count: int = 1

    @property
    def namespace(self) -> str:
        return self.involved.get("namespace") or "default"


class EventRecorder:
    """Writes the events of one component."""

    def __init__(self, client: Client, component: str, *, clock: Clock | None = None, host: str = "") -> None:
        """``component`` is what ``kubectl describe`` shows in the column From."""
        self._component = component
        self._host = host
        self._clock = clock or SystemClock()
        self._writer = _Writer(client)

    def named(self, component: str) -> "EventRecorder":
        """Return a recorder that writes through this one under another component's name; close only this one."""
        other = copy.copy(self)
        other._component = component
        return other

    def event(self, obj: Object, event_type: EventType, reason: str, message: str, *, field_path: str = "") -> None:
        """Say what happened to an object. ``field_path`` names a part of it: ``spec.containers{main}``."""
        involved: Object = {
            "kind": obj.get("kind", ""),
            "apiVersion": obj.get("apiVersion", ""),
            "name": name_of(obj),
            "uid": uid_of(obj),
            "resourceVersion": version_of(obj),
        }
        if namespace_of(obj):
            involved["namespace"] = namespace_of(obj)
        if field_path:
            involved["fieldPath"] = field_path
        said = (self._component, uid_of(obj), name_of(obj), field_path, event_type, reason, message)
        digest = hashlib.sha256("\0".join(said).encode()).hexdigest()[:16]
        now = self._clock.now()
        occurrence = _Occurrence(
            involved, self._component, self._host, event_type, reason, message[:_LONGEST_MESSAGE], now, now
        )
        self._writer.put(f"{name_of(obj)[:230]}.{digest}", occurrence)

    async def flush(self) -> None:
        """Return when everything said so far has been written, or given up."""
        await self._writer.idle.wait()

    async def close(self, timeout: float = 1.0) -> None:
        """Write what waits, for this many seconds at most, and stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), timeout)
        await self._writer.stop()


class _Writer:
    """The queue of events that wait to be written, and the task that writes them one by one."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: OrderedDict[str, _Occurrence] = OrderedDict()
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.idle = asyncio.Event()
        self.idle.set()

    def put(self, name: str, occurrence: _Occurrence) -> None:
        known = self._waiting.get(name)
        if known is not None:
            known.count += 1
            known.last = occurrence.last
            return
        if len(self._waiting) >= _MOST_WAITING:
            _, lost = self._waiting.popitem(last=False)
            log.warning("too many events: lost %s of %s", lost.reason, lost.involved.get("name"))
        self._waiting[name] = occurrence
        self.idle.clear()
        self._ready.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="event recorder")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._ready.wait()
            while self._waiting:
                name, occurrence = self._waiting.popitem(last=False)
                try:
                    await self._write(name, occurrence)
                except StatusError as error:
                    log.debug("event %s of %s not written: %s", occurrence.reason, name, error.message)
                except Exception:
                    log.exception("event %s of %s not written", occurrence.reason, name)
            self._ready.clear()
            self.idle.set()

    async def _write(self, name: str, occurrence: _Occurrence) -> None:
        count = self._counts.get(name)
        if count is None:
            try:
                await self._client.create(EVENTS, _body(name, occurrence), occurrence.namespace)
                self._remember(name, occurrence.count)
                return
            except StatusError as error:
                if error.reason != "AlreadyExists":
                    raise
            existing = await self._client.get(EVENTS, name, occurrence.namespace)
            count = int(existing.get("count") or 1)
        total = count + occurrence.count
        patch = {"count": total, "lastTimestamp": format_time(occurrence.last)}
        try:
            await self._client.patch(EVENTS, name, patch, occurrence.namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            await self._client.create(EVENTS, _body(name, occurrence), occurrence.namespace)
            total = occurrence.count
        self._remember(name, total)

    def _remember(self, name: str, count: int) -> None:
        self._counts[name] = count
        self._counts.move_to_end(name)
        if len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)


def _body(name: str, occurrence: _Occurrence) -> Object:
    source = {"component": occurrence.component}
    if occurrence.host:
        source["host"] = occurrence.host
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": occurrence.namespace},
        "involvedObject": occurrence.involved,
        "reason": occurrence.reason,
        "message": occurrence.message,
        "source": source,
        "firstTimestamp": format_time(occurrence.first),
        "lastTimestamp": format_time(occurrence.last),
        "count": occurrence.count,
        "type": occurrence.type,
        "reportingComponent": occurrence.component,
        "reportingInstance": occurrence.host,
    }
