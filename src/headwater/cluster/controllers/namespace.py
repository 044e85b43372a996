"""The namespace controller: a namespace that is deleted goes when everything in it has gone.

It deletes what it finds, says in the namespace's conditions what still stands in the way, and takes the
``kubernetes`` finalizer off when nothing is left.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from headwater.cluster.controllers.calls import each, get_or_none, unless_gone
from headwater.cluster.controllers.garbage import finalizers_of
from headwater.cluster.controllers.graph import OwnerGraph
from headwater.kube.client import Client
from headwater.kube.controller import Controller, Enqueue, Informers, Request, Result
from headwater.kube.meta.conditions import set_condition
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, is_deleting, namespace_of
from headwater.kube.meta.resources import EVENTS, NAMESPACES, Resource
from headwater.kube.meta.time import Clock

FINALIZER = "kubernetes"

_LOOK_AGAIN_SECONDS = 5.0
"""How fresh the conditions are that say what is left; that the last object has gone is seen at once."""


def remaining_conditions(
    conditions: list[Object], left: Iterable[tuple[Resource, Object]], failure: str, now: datetime
) -> None:
    """Say in the conditions what keeps a namespace from going, with the wording of Kubernetes."""
    counts: Counter[str] = Counter()
    finalizers: Counter[str] = Counter()
    for resource, obj in left:
        group = f".{resource.group}" if resource.group else "."
        counts[f"{resource.plural}{group}"] += 1
        finalizers.update(finalizers_of(obj))
    set_condition(
        conditions,
        "NamespaceDeletionContentFailure",
        "True" if failure else "False",
        "ContentDeletionFailed" if failure else "ContentDeleted",
        f"Failed to delete all resource types, {failure}"
        if failure
        else "All content successfully deleted, may be waiting on finalization",
        now,
    )
    set_condition(
        conditions,
        "NamespaceContentRemaining",
        "True" if counts else "False",
        "SomeResourcesRemain" if counts else "ContentRemoved",
        "Some resources are remaining: "
        + ", ".join(f"{kind} has {number} resource instances" for kind, number in sorted(counts.items()))
        if counts
        else "All content successfully removed",
        now,
    )
    set_condition(
        conditions,
        "NamespaceFinalizersRemaining",
        "True" if finalizers else "False",
        "SomeFinalizersRemain" if finalizers else "ContentHasNoFinalizers",
        "Some content in the namespace has finalizers remaining: "
        + ", ".join(f"{name} in {number} resource instances" for name, number in sorted(finalizers.items()))
        if finalizers
        else "All content-preserving finalizers finished",
        now,
    )


class NamespaceReconciler:
    """Reconciles namespaces that are being deleted."""

    def __init__(self, client: Client, informers: Informers, graph: OwnerGraph, clock: Clock) -> None:
        self._client = client
        self._namespaces = informers.informer(NAMESPACES)
        self._graph = graph
        self._clock = clock
        self._enqueue: Enqueue = lambda request: None

    def source(self, enqueue: Enqueue) -> None:
        """Begin to enqueue a namespace that is being deleted whenever something in it has gone."""
        self._enqueue = enqueue
        self._graph.listen(self._changed)

    async def reconcile(self, request: Request) -> Result | None:
        """Delete the content of a namespace whose deletion was asked for, then let it go."""
        namespace = await get_or_none(self._client, NAMESPACES, request.name)
        if namespace is None or not is_deleting(namespace):
            return None
        if FINALIZER not in (namespace.get("spec", {}).get("finalizers") or ()):
            return None
        failure: StatusError | None = None
        try:
            await self._delete_content(request.name)
        except StatusError as error:
            failure = error
        left = await self._left(request.name)
        if not left and failure is None:
            await self._finalize(namespace)
            return None
        status = namespace.setdefault("status", {})
        before = [dict(condition) for condition in status.get("conditions") or ()]
        conditions = status.setdefault("conditions", [])
        remaining_conditions(conditions, left, failure.message if failure else "", self._clock.now())
        if conditions != before:
            await unless_gone(self._client.update(NAMESPACES, namespace, subresource="status"))
        if failure is not None:
            raise failure
        return Result(_LOOK_AGAIN_SECONDS)

    async def _delete_content(self, name: str) -> None:
        """Ask for the deletion of everything in the namespace that has not been asked to go yet."""
        first = [EVENTS, *self._graph.resources()]
        seen = {(r.group, r.plural) for r, obj in self._graph.in_namespace(name) if not is_deleting(obj)}
        wanted = [r for r in first if r.namespaced and ((r.group, r.plural) in seen or r == EVENTS)]
        await each(wanted, lambda resource: self._client.delete_collection(resource, name))

    async def _left(self, name: str) -> list[tuple[Resource, Object]]:
        """Return what is in the namespace: as seen, and if nothing is seen, as the API has it."""
        left = [*self._graph.in_namespace(name)]
        if left:
            return left
        for resource in self._graph.resources():
            if resource.namespaced:
                answer = await self._client.list(resource, name)
                left += [(resource, obj) for obj in answer.items]
        if left:
            # Something that the informers have not shown yet: its arrival there leads to another call.
            await each({resource for resource, _ in left}, lambda kind: self._client.delete_collection(kind, name))
        return left

    async def _finalize(self, namespace: Object) -> None:
        kept = [name for name in namespace["spec"].get("finalizers") or () if name != FINALIZER]
        namespace["spec"]["finalizers"] = kept
        await unless_gone(self._client.update(NAMESPACES, namespace, subresource="finalize"))

    def _changed(self, resource: Resource, old: Object | None, new: Object | None) -> None:
        """Look again when something came in after all, and when the last object of a kind has gone."""
        name = namespace_of(new or old or {})
        if not name or (old is not None and new is not None):
            return
        namespace = self._namespaces.get("", name)
        if namespace is None or not is_deleting(namespace):
            return
        if new is not None or not self._graph.has_any(resource, name):
            self._enqueue(Request("", name))


def namespace_controller(client: Client, informers: Informers, graph: OwnerGraph, clock: Clock) -> Controller:
    """Return the controller of namespaces."""
    reconciler = NamespaceReconciler(client, informers, graph, clock)
    return Controller("namespace", reconciler, NAMESPACES, sources=(reconciler.source,))
