"""Shared, watched copies of collections: one list and one watch per kind, whoever asks.

An ``Informer`` follows the rules of client-go's reflector: list, watch from the list's revision, go on from the
last revision seen when a watch ends, list again when the history is gone (410). What it holds may be a moment
older than the truth, never newer, and moves forward only.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from headwater.kube.client import Client, ObjectList, WatchEvent
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, labels_of, name_of, namespace_of, uid_of, version_of
from headwater.kube.meta.resources import Resource
from headwater.kube.meta.time import Clock, SystemClock

if TYPE_CHECKING:
    from headwater.kube.meta.selectors import LabelSelector

log = logging.getLogger(__name__)

Handler = Callable[[Object | None, Object | None], None]
"""Called with the old and the new state of an object that changed; None where it did not or does not exist."""

_PAGE = 500
_FIRST_RETRY = 0.05
_LAST_RETRY = 10.0
_Key = tuple[str, str]
_Objects = list[Object]  # the class below has a method called list
_Handlers = list[Handler]


def _slim(obj: Object) -> Object:
    """Drop what no controller reads and what is most of a small object's size."""
    obj.get("metadata", {}).pop("managedFields", None)
    return obj


def _metadata_only(obj: Object) -> Object:
    metadata = obj.get("metadata", {})
    metadata.pop("managedFields", None)
    metadata.pop("annotations", None)
    return {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind"), "metadata": metadata}


class Informer:
    """The objects of one kind as last seen. What it returns is shared: read it, copy it, never change it."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        *,
        field_selector: str = "",
        metadata_only: bool = False,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.resource = resource
        self.field_selector = field_selector
        self.metadata_only = metadata_only
        self._client = client
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()  # noqa: S311 (jitter, no secret)
        self._keep = _metadata_only if metadata_only else _slim
        self._objects: dict[_Key, Object] = {}
        self._namespaces: dict[str, set[_Key]] = {}
        self._owned: dict[str, set[_Key]] = {}
        self._handlers: _Handlers = []
        self._synced = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._version = ""

    @property
    def synced(self) -> bool:
        """Tell whether the whole collection has been seen once."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Return when the whole collection has been seen once."""
        await self._synced.wait()

    def get(self, namespace: str | None, name: str) -> Object | None:
        """Return the object, or None. The namespace of a cluster-scoped object is ``""`` or None."""
        return self._objects.get((namespace or "", name))

    def list(self, namespace: str | None = None, selector: "LabelSelector | None" = None) -> _Objects:
        """Return the objects of one namespace, or of all, that the selector matches."""
        objects: Iterable[Object]
        if namespace is None:
            objects = self._objects.values()
        else:
            objects = [self._objects[key] for key in self._namespaces.get(namespace, ())]
        if selector is None:
            return [*objects]
        return [obj for obj in objects if selector.matches(labels_of(obj))]

    def has_any(self, namespace: str) -> bool:
        """Tell whether there are objects in a namespace."""
        return namespace in self._namespaces

    def by_owner(self, uid: str) -> _Objects:
        """Return the objects that have an owner reference with this uid."""
        return [self._objects[key] for key in self._owned.get(uid, ())]

    def add_handler(self, handler: Handler) -> Callable[[], None]:
        """Call the handler for every object there is, now, and on every change from now on; return how to stop it.

        Handlers run inside the watch loop: they must be quick and must not raise.
        """
        self._handlers.append(handler)
        for obj in [*self._objects.values()]:
            self._call(handler, None, obj)

        def remove() -> None:
            with contextlib.suppress(ValueError):
                self._handlers.remove(handler)

        return remove

    def start(self) -> None:
        """Begin to follow the collection, unless that has begun. Needs a running event loop."""
        if self._task is None:
            name = f"informer {self.resource.group_resource}"
            self._task = asyncio.get_running_loop().create_task(self._run(), name=name)

    async def stop(self) -> None:
        """Stop to follow the collection; what was seen stays readable."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                if not self._version:
                    await self._relist()
                    failures = 0
                began, moment = self._version, self._clock.monotonic()
                await self._follow()
                quiet = self._version == began and self._clock.monotonic() - moment < 1
                failures = failures + 1 if quiet else 0  # a server that ends every watch at once is not hammered
            except StatusError as error:
                if error.code == 410:
                    self._version = ""
                    failures += 1
                    if failures == 1:
                        continue
                else:
                    failures += 1
                    log.log(
                        logging.WARNING if failures > 2 else logging.DEBUG,
                        "cannot follow %s (attempt %d): %s",
                        self.resource.group_resource,
                        failures,
                        error.message,
                    )
                    if error.code == 404:
                        self._version = ""  # the kind is gone, or not there yet
            except Exception:
                failures += 1
                self._version = ""
                log.exception("the informer of %s failed and starts again", self.resource.group_resource)
            if failures:
                delay = min(_FIRST_RETRY * 2.0 ** min(failures - 1, 16), _LAST_RETRY)
                await self._clock.sleep(delay * (1 + 0.2 * self._rng.random()))

    async def _relist(self) -> None:
        version, seen = "", set[_Key]()
        page = ObjectList([], "")
        while True:
            page = await self._client.list(
                self.resource, field_selector=self.field_selector, limit=_PAGE, continue_token=page.continue_token
            )
            version = version or page.resource_version
            for obj in page.items:
                seen.add((namespace_of(obj), name_of(obj)))
                self._put(obj)
            if not page.continue_token:
                break
        for key in [key for key in self._objects if key not in seen]:
            self._remove(key, None)
        self._version = page.resource_version or version
        self._synced.set()

    async def _follow(self) -> None:
        timeout = 300 + int(self._rng.random() * 300)  # a dead connection is noticed after this long at most
        stream = self._client.watch(
            self.resource,
            resource_version=self._version,
            field_selector=self.field_selector,
            bookmarks=True,
            timeout_seconds=timeout,
        )
        try:
            async for event in stream:
                self._apply(event)
        finally:
            closing = getattr(stream, "aclose", None)
            if closing is not None:
                await closing()

    def _apply(self, event: WatchEvent) -> None:
        obj = event.object
        self._version = version_of(obj) or self._version
        if event.type in ("ADDED", "MODIFIED"):
            self._put(obj)
        elif event.type == "DELETED":
            self._remove((namespace_of(obj), name_of(obj)), obj)

    def _put(self, obj: Object) -> None:
        key = (namespace_of(obj), name_of(obj))
        old = self._objects.get(key)
        if old is not None and version_of(old) == version_of(obj):
            return
        obj = self._keep(obj)
        if old is not None:
            self._unindex(key, old)
        self._objects[key] = obj
        self._namespaces.setdefault(key[0], set()).add(key)
        for reference in obj.get("metadata", {}).get("ownerReferences") or ():
            self._owned.setdefault(reference.get("uid", ""), set()).add(key)
        if old is not None and uid_of(old) != uid_of(obj):
            self._notify(old, None)
            old = None
        self._notify(old, obj)

    def _remove(self, key: _Key, last: Object | None) -> None:
        old = self._objects.pop(key, None)
        if old is None:
            return
        self._unindex(key, old)
        self._notify(self._keep(last) if last is not None else old, None)

    def _unindex(self, key: _Key, obj: Object) -> None:
        _discard(self._namespaces, key[0], key)
        for reference in obj.get("metadata", {}).get("ownerReferences") or ():
            _discard(self._owned, reference.get("uid", ""), key)

    def _notify(self, old: Object | None, new: Object | None) -> None:
        for handler in [*self._handlers]:
            self._call(handler, old, new)

    def _call(self, handler: Handler, old: Object | None, new: Object | None) -> None:
        try:
            handler(old, new)
        except Exception:
            log.exception("a handler of %s failed", self.resource.group_resource)


def _discard(index: dict[str, set[_Key]], entry: str, key: _Key) -> None:
    keys = index.get(entry)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del index[entry]


_Kind = tuple[str, str, str, bool]


class Informers:
    """The informers of one client, each started once and shared by everyone who asks for it."""

    def __init__(self, client: Client, *, clock: Clock | None = None, rng: random.Random | None = None) -> None:
        self.client = client
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()  # noqa: S311 (jitter, no secret)
        self._informers: dict[_Kind, Informer] = {}
        self._started = False

    def informer(self, resource: Resource, *, field_selector: str = "", metadata_only: bool = False) -> Informer:
        """Return the informer of a kind; it starts with ``start``, or at once if that has been called.

        With ``metadata_only`` the objects may hold no more than their metadata, without annotations: enough for
        owner references and labels, and a fraction of the memory.
        """
        kind = (resource.group, resource.plural, field_selector, False)
        found = self._informers.get(kind)
        if found is None and metadata_only:
            kind = (resource.group, resource.plural, field_selector, True)
            found = self._informers.get(kind)
        if found is None:
            found = Informer(
                self.client,
                resource,
                field_selector=field_selector,
                metadata_only=metadata_only,
                clock=self._clock,
                rng=self._rng,
            )
            self._informers[kind] = found
            if self._started:
                found.start()
        return found

    async def release(self, informer: Informer) -> None:
        """Stop and drop an informer of metadata whose kind is no longer served; full ones wait for the kind."""
        if informer.metadata_only:
            for kind in [kind for kind, known in self._informers.items() if known is informer]:
                del self._informers[kind]
            await informer.stop()

    def start(self) -> None:
        """Start every informer, and from now on each new one when it is asked for. Needs a running event loop."""
        self._started = True
        for informer in [*self._informers.values()]:
            informer.start()

    async def wait_synced(self) -> None:
        """Return when every informer that has been asked for has seen its whole collection."""
        for informer in [*self._informers.values()]:
            await informer.wait_synced()

    async def stop(self) -> None:
        """Stop every informer."""
        self._started = False
        await asyncio.gather(*(informer.stop() for informer in self._informers.values()))

    async def __aenter__(self) -> Self:
        """Start, and wait until every informer asked for so far is synced."""
        self.start()
        await self.wait_synced()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        """Stop every informer."""
        await self.stop()
        return False
