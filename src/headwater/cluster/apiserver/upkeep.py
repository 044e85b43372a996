"""What the API server does by itself: the system's namespaces, the end of deleted definitions, the age of events.

Each task is driven by the store's changes or by the clock, starts anew after a crash from what is stored, and ends
with the server.
"""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from headwater.cluster.apiserver.answers import DeleteOptions
from headwater.cluster.apiserver.crds import CLEANUP_FINALIZER
from headwater.cluster.apiserver.definitions import Definitions
from headwater.cluster.apiserver.users import PLATFORM
from headwater.cluster.store.documents import Document
from headwater.kube.client import PatchType
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, name_of, namespace_of
from headwater.kube.meta.resources import CUSTOM_RESOURCE_DEFINITIONS, EVENTS, NAMESPACES, Resource
from headwater.kube.meta.time import parse_time

if TYPE_CHECKING:
    from headwater.cluster.apiserver.core import Api

SYSTEM_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
EVENT_LIFETIME = timedelta(hours=1)
_EVENT_SWEEP_SECONDS = 60.0
_RETRY_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Upkeep:
    """The server's own background work."""

    def __init__(self, api: "Api", definitions: Definitions) -> None:
        self._api = api
        self._definitions = definitions
        self._tasks: list[asyncio.Task[None]] = []
        self._stirred = asyncio.Event()
        self._watched: set[str] = set()

    async def start(self) -> None:
        """Make what must be there, and start the tasks."""
        for name in SYSTEM_NAMESPACES:
            if self._api.peek(NAMESPACES, "", name) is None:
                await self._api.create(PLATFORM, NAMESPACES, "", {"metadata": {"name": name}})
        self._api.subscribe(CUSTOM_RESOURCE_DEFINITIONS, lambda _old, _new: self._stirred.set())
        self._stirred.set()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._settle_definitions(), name="apiserver: settle definitions"),
            loop.create_task(self._sweep(), name="apiserver: sweep events and history"),
        ]

    async def stop(self) -> None:
        """End the tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    # --- definitions --------------------------------------------------------------------------------------------

    async def _settle_definitions(self) -> None:
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            for definition in self._definitions.waiting():
                await self._offer_again(definition)
            for definition, resource in self._definitions.terminating():
                try:
                    await self._end(definition, resource)
                except StatusError as error:
                    _log.warning("the definition %s cannot go yet: %s", name_of(definition), error.message)
                    asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._stirred.set)

    async def _offer_again(self, definition: Object) -> None:
        """Write a definition unchanged: its names are looked at anew, and nothing is written if they stay taken."""
        try:
            await self._api.patch(PLATFORM, CUSTOM_RESOURCE_DEFINITIONS, "", name_of(definition), {}, PatchType.MERGE)
        except StatusError as error:
            _log.warning("the definition %s cannot be offered again: %s", name_of(definition), error.message)

    async def _end(self, definition: Object, resource: Resource | None) -> None:
        name = name_of(definition)
        if resource is not None:
            if name not in self._watched:
                # Objects that their finalizers hold back go later, each stirring this again.
                self._watched.add(name)
                self._api.store.subscribe(name, lambda change: self._stirred.set() if change.removed else None)
            for document in self._api.peek_all(resource):
                if "deletionTimestamp" not in document.object["metadata"]:
                    await self._delete(resource, document, DeleteOptions())
        if self._definitions.is_empty(definition):
            kept = [each for each in definition["metadata"]["finalizers"] if each != CLEANUP_FINALIZER]
            patch = {"metadata": {"finalizers": kept, "uid": definition["metadata"]["uid"]}}
            await self._api.patch(PLATFORM, CUSTOM_RESOURCE_DEFINITIONS, "", name, patch, PatchType.MERGE)

    async def _delete(self, resource: Resource, document: Document, options: DeleteOptions) -> None:
        obj = document.object
        try:
            await self._api.delete(PLATFORM, resource, namespace_of(obj), name_of(obj), options=options)
        except StatusError as error:
            if error.code != 404:
                raise

    # --- age ----------------------------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        while True:
            await self._api.clock.sleep(_EVENT_SWEEP_SECONDS)
            try:
                self._api.store.compact()
                await self.sweep_events()
            except StatusError as error:
                _log.warning("old events could not be deleted: %s", error.message)

    async def sweep_events(self) -> None:
        """Delete events that nobody has repeated for an hour, as Kubernetes does by a lease in etcd."""
        oldest = self._api.clock.now() - EVENT_LIFETIME
        for document in self._api.peek_all(EVENTS):
            if _is_older(document.object, oldest):
                await self._delete(EVENTS, document, DeleteOptions())


def _is_older(event: Object, oldest: datetime) -> bool:
    series = event.get("series") or {}
    text = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return parse_time(text or event["metadata"]["creationTimestamp"]) < oldest
