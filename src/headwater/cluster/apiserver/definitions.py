"""Keeps the registry in step with the stored custom resource definitions, and takes a deleted one's objects along.

A definition is served in the same step that publishes its commit. One that is being deleted is served until the
last of its objects is gone, then its finalizer is removed.
"""

from headwater.cluster.apiserver.crds import CLEANUP_FINALIZER, served_kinds
from headwater.cluster.apiserver.registry import Registry
from headwater.cluster.store.buckets import Change
from headwater.cluster.store.documents import Document
from headwater.cluster.store.store import Store
from headwater.kube.meta.conditions import condition_is
from headwater.kube.meta.objects import Object, is_deleting, name_of
from headwater.kube.meta.resources import CUSTOM_RESOURCE_DEFINITIONS, Resource

_BUCKET = CUSTOM_RESOURCE_DEFINITIONS.group_resource


class Definitions:
    """The custom part of the registry."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._resources: dict[str, list[Resource]] = {}
        for name, document in store.scan(_BUCKET):
            self._serve(name, document)
        store.subscribe(_BUCKET, self._changed)

    def _changed(self, change: Change) -> None:
        self._serve(change.name, change.current)

    def _serve(self, name: str, document: Document | None) -> None:
        before = self._resources.pop(name, [])
        kinds = served_kinds(document.object) if document is not None else []
        if kinds:
            self._resources[name] = [kind.resource for kind in kinds]
        self._registry.replace(before, kinds)
        if before and not kinds:
            self._store.wake_watches(name)

    def terminating(self) -> list[tuple[Object, Resource | None]]:
        """Return the definitions that wait for their objects to go, each with a resource to delete them by."""
        found: list[tuple[Object, Resource | None]] = []
        for name, document in self._store.scan(_BUCKET):
            obj = document.object
            if is_deleting(obj) and CLEANUP_FINALIZER in (obj["metadata"].get("finalizers") or ()):
                resources = self._resources.get(name)
                found.append((obj, resources[0] if resources else None))
        return found

    def waiting(self) -> list[Object]:
        """Return the definitions that are not served since their names were taken when they were written."""
        found = [document.object for _, document in self._store.scan(_BUCKET)]
        return [obj for obj in found if not is_deleting(obj) and condition_is(obj, "NamesAccepted", "False")]

    def is_empty(self, definition: Object) -> bool:
        """Whether no object of a definition is left."""
        return self._store.count(name_of(definition)) == 0
