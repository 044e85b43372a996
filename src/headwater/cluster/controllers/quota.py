"""Counts what the objects of a namespace use, and writes it into its quotas' status.

Admission charges a quota when something is created; this corrects the count when something goes, when a pod ends,
and when what was charged never came to be. It is woken by every change of an object in a namespace with a quota.
"""

from collections.abc import Callable
from decimal import Decimal

from headwater.cluster.apiserver.admission.usage import Usage, covers, kinds_counted, shown, usage_of
from headwater.cluster.controllers.graph import OwnerGraph
from headwater.kube.client import Client
from headwater.kube.controller import Controller, Informers, Request, Result
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, is_deleting, name_of, namespace_of, uid_of
from headwater.kube.meta.resources import Resource
from headwater.kube.meta.time import Clock

RESOURCE_QUOTAS = Resource("", "v1", "ResourceQuota", "resourcequotas", True, ("quota",), (), frozenset({"status"}))
_APART_SECONDS = 0.5
_RESYNC_SECONDS = 300.0


class QuotaReconciler:
    """Keeps the count of every quota."""

    def __init__(self, client: Client, informers: Informers, graph: OwnerGraph, clock: Clock) -> None:
        self._client = client
        self._graph = graph
        self._clock = clock
        self._quotas = informers.informer(RESOURCE_QUOTAS)
        self._counted: dict[str, tuple[float, object]] = {}

    async def reconcile(self, request: Request) -> Result | None:
        """Recount one quota, at most every half second unless its limits changed."""
        quota = self._quotas.get(request.namespace, request.name)
        if quota is None or is_deleting(quota):
            self._counted.pop("/".join(request), None)
            return None
        key, now, hard = "/".join(request), self._clock.monotonic(), (quota.get("spec") or {}).get("hard") or {}
        last = self._counted.get(key)
        if last is not None and now - last[0] < _APART_SECONDS and last[1] == (uid_of(quota), hard):
            return Result(requeue_after=_APART_SECONDS - (now - last[0]))
        self._counted[key] = (now, (uid_of(quota), hard))
        try:
            current = await self._client.get(RESOURCE_QUOTAS, request.name, request.namespace)
            total = await self._count(current)
            status = {"hard": current["spec"].get("hard") or {}, "used": {n: shown(n, a) for n, a in total.items()}}
            if status != current.get("status"):
                await self._client.update(RESOURCE_QUOTAS, {**current, "status": status}, subresource="status")
        except StatusError as error:
            if error.reason == "Conflict":
                # Something was charged meanwhile; count again.
                self._counted.pop(key, None)
                return Result(requeue_after=_APART_SECONDS / 10)
            if error.reason != "NotFound":
                raise
        return Result(requeue_after=_RESYNC_SECONDS)

    async def _count(self, quota: Object) -> Usage:
        hard = (quota.get("spec") or {}).get("hard") or {}
        total = dict.fromkeys(hard, Decimal(0))
        for resource in kinds_counted(hard, self._graph.resources()):
            for obj in (await self._client.list(resource, namespace_of(quota))).items:
                if covers(quota, resource, obj):
                    for name, amount in usage_of(resource, obj).items():
                        if name in total:
                            total[name] += amount
        return total

    def wake(self, enqueue: Callable[[Request], None]) -> None:
        """Ask for a recount of a namespace's quotas whenever something in it changes."""

        def changed(resource: Resource, old: Object | None, new: Object | None) -> None:
            namespace = namespace_of(new or old or {})
            if namespace and resource != RESOURCE_QUOTAS:
                for quota in self._quotas.list(namespace):
                    enqueue(Request(namespace, name_of(quota)))

        self._graph.listen(changed)


def quota_controller(client: Client, informers: Informers, graph: OwnerGraph, clock: Clock) -> Controller:
    """Return the controller of resource quotas."""
    reconciler = QuotaReconciler(client, informers, graph, clock)
    return Controller("resource-quota", reconciler, RESOURCE_QUOTAS, workers=1, sources=(reconciler.wake,))
