"""The garbage collector: objects go with their owners.

The rules are those of Kubernetes' garbage collector. An object none of whose owners exists is deleted; an owner
that is deleted in the foreground waits for the dependents that block it; one that is deleted as an orphan lets its
dependents go first. Before anything is deleted, the object and its owners are read from the API: what was merely
not seen yet is never taken for gone.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from headwater.cluster.controllers.calls import each, get_or_none, unless_gone
from headwater.cluster.controllers.graph import OwnerGraph
from headwater.kube.client import Client, PatchType, Propagation
from headwater.kube.controller import Controller, Enqueue, EventRecorder, Request, Result
from headwater.kube.meta.objects import Object, is_deleting, name_of, namespace_of, uid_of, version_of
from headwater.kube.meta.owners import owner_references
from headwater.kube.meta.resources import Resource

log = logging.getLogger(__name__)

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"

_UNKNOWN_KIND_SECONDS = 60.0
"""After this long an owner of a kind that is not served is looked for again."""


class Owner(Enum):
    """What is known of one owner of an object."""

    SOLID = "solid"
    """It exists and stays."""
    WAITING = "waiting"
    """It is being deleted in the foreground and waits for its dependents."""
    ABSENT = "absent"
    UNKNOWN = "unknown"
    """Its kind is not served, or it cannot own this object: nothing is concluded."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with an object because of its owners."""

    drop: tuple[str, ...] = ()
    """Uids of owner references to remove."""
    delete: Propagation | None = None


def finalizers_of(obj: Object) -> list[str]:
    """Return ``metadata.finalizers``, or an empty list."""
    return list(obj.get("metadata", {}).get("finalizers") or ())


def is_state(owner: Object) -> Owner:
    """Return what an owner that exists is for its dependents."""
    return Owner.WAITING if is_deleting(owner) and FOREGROUND in finalizers_of(owner) else Owner.SOLID


def judge(owners: Iterable[tuple[str, Owner]], finalizers: Iterable[str], has_dependents: bool) -> Verdict:
    """Decide about an object by its owners (uid and state), its finalizers and whether it owns others."""
    owners = [*owners]
    gone = tuple(uid for uid, state in owners if state in (Owner.ABSENT, Owner.WAITING))
    if any(state is Owner.SOLID for _, state in owners):
        return Verdict(drop=gone)
    if not owners or any(state is Owner.UNKNOWN for _, state in owners):
        return Verdict()
    if ORPHAN in finalizers:
        return Verdict(delete=Propagation.ORPHAN)
    waited_for = any(state is Owner.WAITING for _, state in owners)
    if FOREGROUND in finalizers or (waited_for and has_dependents):
        return Verdict(delete=Propagation.FOREGROUND)
    return Verdict(delete=Propagation.BACKGROUND)


def blocks(dependent: Object, owner_uid: str) -> bool:
    """Tell whether the dependent keeps its owner from going in a foreground deletion."""
    return any(ref.get("uid") == owner_uid and ref.get("blockOwnerDeletion") for ref in owner_references(dependent))


class GarbageCollector:
    """Reconciles one object at a time; the name of a request is the object's uid."""

    def __init__(self, client: Client, graph: OwnerGraph, recorder: EventRecorder) -> None:
        self._client = client
        self._graph = graph
        self._recorder = recorder
        self._enqueue: Enqueue = lambda request: None

    def source(self, enqueue: Enqueue) -> None:
        """Begin to enqueue every object that a change may concern."""
        self._enqueue = enqueue
        self._graph.listen(self._changed)

    async def reconcile(self, request: Request) -> Result | None:
        """Look at one object's finalizers and owners."""
        found = self._graph.find(request.name)
        if found is None:
            return None
        resource, obj = found
        if is_deleting(obj):
            finalizers = finalizers_of(obj)
            if ORPHAN in finalizers:
                await self._orphan(resource, obj)
            elif FOREGROUND in finalizers:
                await self._foreground(resource, obj)
            return None
        if not owner_references(obj):
            return None
        return await self._dependent(resource, obj)

    async def _orphan(self, resource: Resource, obj: Object) -> None:
        uid = uid_of(obj)
        await each(self._graph.dependents(uid), lambda found: self._drop_owners(*found, {uid}))
        await self._drop_finalizer(resource, obj, ORPHAN)

    async def _foreground(self, resource: Resource, obj: Object) -> None:
        uid = uid_of(obj)
        dependents = [*self._graph.dependents(uid)]
        for _, dependent in dependents:
            self._enqueue(Request("", uid_of(dependent)))
        if not any(blocks(dependent, uid) for _, dependent in dependents):
            await self._drop_finalizer(resource, obj, FOREGROUND)

    async def _dependent(self, resource: Resource, obj: Object) -> Result | None:
        cached = [(ref["uid"], self._seen(ref)) for ref in owner_references(obj)]
        if all(state is Owner.SOLID for _, state in cached):
            return None
        live = await get_or_none(self._client, resource, name_of(obj), namespace_of(obj))
        if live is None or uid_of(live) != uid_of(obj) or is_deleting(live):
            return None
        states = [(ref["uid"], await self._state(resource, live, ref)) for ref in owner_references(live)]
        has_dependents = next(self._graph.dependents(uid_of(live)), None) is not None
        verdict = judge(states, finalizers_of(live), has_dependents)
        if verdict.drop:
            await self._drop_owners(resource, live, set(verdict.drop))
        if verdict.delete is not None:
            await unless_gone(
                self._client.delete(
                    resource,
                    name_of(live),
                    namespace_of(live) or None,
                    propagation=verdict.delete,
                    uid=uid_of(live),
                    resource_version=version_of(live),
                )
            )
        unknown = any(state is Owner.UNKNOWN for _, state in states)
        return Result(_UNKNOWN_KIND_SECONDS) if unknown else None

    def _seen(self, reference: dict[str, Any]) -> Owner:
        found = self._graph.find(reference.get("uid", ""))
        return is_state(found[1]) if found is not None else Owner.UNKNOWN

    async def _state(self, resource: Resource, obj: Object, reference: dict[str, Any]) -> Owner:
        """Return the state of an owner, from the API unless it has been seen."""
        group, slash, version = str(reference.get("apiVersion", "")).rpartition("/")
        kind = self._graph.kind(group if slash else "", str(reference.get("kind", "")))
        if kind is None:
            return Owner.UNKNOWN
        if kind.namespaced and not resource.namespaced:
            self._recorder.event(
                obj,
                "Warning",
                "OwnerRefInvalidNamespace",
                f"ownerRef [{group}/{version}, kind {kind.kind}, name {reference.get('name')}] is namespaced, "
                f"but the {resource.kind} is not",
            )
            return Owner.UNKNOWN
        found = self._graph.find(reference["uid"])
        if found is not None and (not kind.namespaced or namespace_of(found[1]) == namespace_of(obj)):
            return is_state(found[1])
        namespace = namespace_of(obj) if kind.namespaced else ""
        owner = await get_or_none(self._client, kind, reference["name"], namespace)
        if owner is None or uid_of(owner) != reference["uid"]:
            return Owner.ABSENT
        return is_state(owner)

    async def _drop_owners(self, resource: Resource, obj: Object, uids: set[str]) -> None:
        """Remove owner references; a write in between makes the call fail, and be repeated."""
        live = await get_or_none(self._client, resource, name_of(obj), namespace_of(obj))
        if live is None or uid_of(live) != uid_of(obj):
            return
        kept = [ref for ref in owner_references(live) if ref.get("uid") not in uids]
        if len(kept) != len(owner_references(live)):
            await self._patch(resource, live, {"ownerReferences": kept or None})

    async def _drop_finalizer(self, resource: Resource, obj: Object, finalizer: str) -> None:
        live = await get_or_none(self._client, resource, name_of(obj), namespace_of(obj))
        if live is None or uid_of(live) != uid_of(obj) or finalizer not in finalizers_of(live):
            return
        if finalizer == FOREGROUND and any(
            blocks(found, uid_of(obj)) for _, found in self._graph.dependents(uid_of(obj))
        ):
            return
        kept = [name for name in finalizers_of(live) if name != finalizer]
        await self._patch(resource, live, {"finalizers": kept or None})

    async def _patch(self, resource: Resource, live: Object, metadata: dict[str, Any]) -> None:
        patch = {"metadata": {"uid": uid_of(live), "resourceVersion": version_of(live), **metadata}}
        await unless_gone(
            self._client.patch(resource, name_of(live), patch, namespace_of(live) or None, patch_type=PatchType.MERGE)
        )

    def _changed(self, resource: Resource, old: Object | None, new: Object | None) -> None:
        if new is None:
            if old is not None:
                self._removed(old)
            return
        if owner_references(new) or (is_deleting(new) and finalizers_of(new)):
            self._enqueue(Request("", uid_of(new)))
        dropped = {ref.get("uid") for ref in owner_references(old or {})} - {
            ref.get("uid") for ref in owner_references(new)
        }
        for uid in dropped:
            self._enqueue(Request("", str(uid)))

    def _removed(self, obj: Object) -> None:
        for reference in owner_references(obj):
            self._enqueue(Request("", reference.get("uid", "")))
        for _, dependent in self._graph.dependents(uid_of(obj)):
            self._enqueue(Request("", uid_of(dependent)))


def garbage_controller(client: Client, graph: OwnerGraph, recorder: EventRecorder) -> Controller:
    """Return the garbage collector."""
    collector = GarbageCollector(client, graph, recorder)
    return Controller("garbage-collector", collector, None, workers=8, sources=(collector.source,))
