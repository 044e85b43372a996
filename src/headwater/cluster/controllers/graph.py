"""Who owns whom: a view of every object's metadata, across all kinds.

It rests on informers that keep metadata only (or on full ones that somebody else needs anyway), and follows the
custom resource definitions.
"""

import asyncio
from collections.abc import Callable, Iterator

from headwater.cluster.controllers.kinds import Kinds, one_version_each
from headwater.kube.controller import Informer, Informers
from headwater.kube.meta.objects import Object, name_of, namespace_of, uid_of
from headwater.kube.meta.resources import CUSTOM_RESOURCE_DEFINITIONS, Resource

Changed = Callable[[Resource, Object | None, Object | None], None]


class OwnerGraph:
    """Finds objects by uid, and the dependents of an object."""

    def __init__(self, informers: Informers, kinds: Kinds) -> None:
        self._informers = informers
        self._kinds = kinds
        self._followed: dict[tuple[str, str], Informer] = {}
        self._removals: dict[tuple[str, str], Callable[[], None]] = {}
        self._places: dict[str, tuple[Informer, str, str]] = {}
        self._listeners: list[Changed] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._connected = False

    def listen(self, changed: Changed) -> None:
        """Call back on every change of any object, with its kind, its old and its new state."""
        self._listeners.append(changed)
        if not self._connected:
            self._connected = True
            self._informers.informer(CUSTOM_RESOURCE_DEFINITIONS).add_handler(lambda old, new: self.refresh())
            self.refresh()
        else:
            for _, informer in [*self._followed.items()]:
                for obj in informer.list():
                    changed(informer.resource, None, obj)

    def refresh(self) -> None:
        """Follow the kinds that are served now, and no others."""
        served = one_version_each(self._kinds())
        for key in [key for key in self._followed if key not in served]:
            self._removals.pop(key)()
            task = asyncio.get_running_loop().create_task(self._informers.release(self._followed.pop(key)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        for key, resource in served.items():
            if key not in self._followed:
                informer = self._informers.informer(resource, metadata_only=True)
                self._followed[key] = informer
                self._removals[key] = informer.add_handler(self._handler(informer))

    def find(self, uid: str) -> tuple[Resource, Object] | None:
        """Return the object with this uid and its kind, or None if it has not been seen."""
        place = self._places.get(uid)
        if place is None:
            return None
        informer, namespace, name = place
        obj = informer.get(namespace, name)
        return (informer.resource, obj) if obj is not None and uid_of(obj) == uid else None

    def dependents(self, uid: str) -> Iterator[tuple[Resource, Object]]:
        """Yield the objects that name this uid as an owner, with their kinds."""
        for informer in [*self._followed.values()]:
            for obj in informer.by_owner(uid):
                yield informer.resource, obj

    def in_namespace(self, namespace: str) -> Iterator[tuple[Resource, Object]]:
        """Yield the objects in a namespace, with their kinds."""
        for informer in [*self._followed.values()]:
            if informer.resource.namespaced:
                for obj in informer.list(namespace):
                    yield informer.resource, obj

    def has_any(self, resource: Resource, namespace: str) -> bool:
        """Tell whether a followed kind has objects in a namespace."""
        informer = self._followed.get((resource.group, resource.plural))
        return informer is not None and informer.has_any(namespace)

    def kind(self, group: str, kind: str) -> Resource | None:
        """Return the resource of a kind, or None if it is not served."""
        for informer in self._followed.values():
            if informer.resource.group == group and informer.resource.kind == kind:
                return informer.resource
        return None

    def resources(self) -> list[Resource]:
        """Return every kind that is followed."""
        return [informer.resource for informer in self._followed.values()]

    def _handler(self, informer: Informer) -> Callable[[Object | None, Object | None], None]:
        def changed(old: Object | None, new: Object | None) -> None:
            if new is not None:
                self._places[uid_of(new)] = (informer, namespace_of(new), name_of(new))
            elif old is not None:
                self._places.pop(uid_of(old), None)
            for listener in self._listeners:
                listener(informer.resource, old, new)

        return changed
