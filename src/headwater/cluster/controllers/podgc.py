"""The pod garbage collector: pods that nobody will ever finish.

Its rules are those of Kubernetes: a pod on a node that no longer exists is Failed and removed, a pod that was
deleted before it was placed is removed, and of ended pods only the newest are kept.
"""

from collections.abc import Iterable
from datetime import datetime

from headwater.cluster.controllers.calls import each, get_or_none, unless_gone
from headwater.kube.client import Client
from headwater.kube.controller import Controller, Informers, Request, Result, Watch
from headwater.kube.meta.conditions import set_condition
from headwater.kube.meta.objects import Object, is_deleting, name_of, namespace_of, uid_of
from headwater.kube.meta.resources import NODES, PODS
from headwater.kube.meta.time import Clock

QUARANTINE_SECONDS = 40.0
"""How long a node must be missing before its pods are given up: it may be about to register again."""
MOST_ENDED_PODS = 12_500


def is_ended(pod: Object) -> bool:
    """Tell whether the pod is Succeeded or Failed."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def surplus(pods: Iterable[Object], most: int = MOST_ENDED_PODS) -> list[Object]:
    """Return the ended pods that are too many, oldest first."""
    ended = sorted((pod for pod in pods if is_ended(pod)), key=lambda pod: pod["metadata"].get("creationTimestamp", ""))
    return ended[: max(0, len(ended) - most)]


def failed_status(pod: Object, now: datetime) -> Object:
    """Return the status of a pod whose node is gone."""
    status = {**(pod.get("status") or {}), "phase": "Failed"}
    conditions = [dict(condition) for condition in status.get("conditions") or ()]
    message = "PodGC: node no longer exists"
    set_condition(conditions, "DisruptionTarget", "True", "DeletionByPodGC", message, now)
    status["conditions"] = conditions
    return status


class PodCollector:
    """Looks at one pod at a time."""

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self._client = client
        self._pods = informers.informer(PODS)
        self._nodes = informers.informer(NODES)
        self._clock = clock
        self._missing_since: dict[str, float] = {}
        self._ended = 0
        self._pods.add_handler(self._count)

    async def reconcile(self, request: Request) -> Result | None:
        """Remove a pod that nobody will finish."""
        if self._ended > MOST_ENDED_PODS:
            await each(surplus(self._pods.list()), self._remove)
        pod = self._pods.get(request.namespace, request.name)
        if pod is None:
            return None
        node = (pod.get("spec") or {}).get("nodeName") or ""
        if not node:
            if is_deleting(pod):
                await self._remove(pod)
            return None
        if self._nodes.get("", node) is not None:
            self._missing_since.pop(node, None)
            return None
        since = self._missing_since.setdefault(node, self._clock.monotonic())
        left = since + QUARANTINE_SECONDS - self._clock.monotonic()
        if left > 0:
            return Result(left)
        if await get_or_none(self._client, NODES, node) is not None:
            return Result(QUARANTINE_SECONDS)
        if not is_ended(pod):
            failed = {**pod, "status": failed_status(pod, self._clock.now())}
            await unless_gone(self._client.update(PODS, failed, subresource="status"))
        await self._remove(pod)
        return None

    async def _remove(self, pod: Object) -> None:
        await unless_gone(
            self._client.delete(PODS, name_of(pod), namespace_of(pod), grace_period_seconds=0, uid=uid_of(pod))
        )

    def _count(self, old: Object | None, new: Object | None) -> None:
        self._ended += int(new is not None and is_ended(new)) - int(old is not None and is_ended(old))

    def pods_on(self, node: Object) -> list[Request]:
        """Map a node that changed to its pods, if the node is gone or new."""
        name = name_of(node)
        if self._nodes.get("", name) is not None:
            self._missing_since.pop(name, None)
            return []
        return [
            Request(namespace_of(pod), name_of(pod))
            for pod in self._pods.list()
            if (pod.get("spec") or {}).get("nodeName") == name
        ]


def concerns(old: Object | None, new: Object | None) -> bool:
    """Tell whether a pod's change can matter here: it is new, was placed, is being deleted, or has ended."""
    if new is None:
        return False
    if old is None:
        return True
    placed = (old.get("spec") or {}).get("nodeName") != (new.get("spec") or {}).get("nodeName")
    return placed or is_deleting(old) != is_deleting(new) or is_ended(old) != is_ended(new)


def pod_collector(client: Client, informers: Informers, clock: Clock) -> Controller:
    """Return the pod garbage collector."""
    collector = PodCollector(client, informers, clock)
    itself = Watch(PODS, lambda pod: (Request(namespace_of(pod), name_of(pod)),), concerns)
    return Controller(
        "pod-garbage-collector", collector, None, watches=(itself, Watch(NODES, collector.pods_on)), workers=1
    )
