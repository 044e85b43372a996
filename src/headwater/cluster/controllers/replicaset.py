"""ReplicaSets: so many pods of one template, as the ``apps/v1`` ReplicaSet controller keeps them.

``plan`` decides from the set, its pods and the time; the reconciler claims pods, carries out and writes the status.
"""

import asyncio
import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from headwater.cluster.controllers.calls import each, get_or_none, is_terminating_namespace, unless_gone
from headwater.cluster.controllers.workloads.claims import adopters, claim
from headwater.cluster.controllers.workloads.kinds import REPLICA_SETS
from headwater.cluster.controllers.workloads.pods import available_after, earliest, is_active, pod_of, removal_rank
from headwater.cluster.controllers.workloads.recent import Recent
from headwater.kube.client import Client, Propagation
from headwater.kube.controller import Controller, EventRecorder, Informers, Request, Result, Watch
from headwater.kube.meta.conditions import set_condition
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, is_deleting, labels_of, name_of, namespace_of, uid_of
from headwater.kube.meta.resources import PODS
from headwater.kube.meta.time import Clock

MOST_PODS_AT_ONCE = 500
"""How many pods one call creates or removes at most."""
_AT_ONCE = 16


@dataclass(slots=True)
class Plan:
    """What a replica set needs."""

    create: int = 0
    remove: list[Object] = field(default_factory=list)
    requeue_after: float | None = None
    """Seconds after which a pod becomes available by the passing of time."""


def plan(replica_set: Object, pods: Sequence[Object], now: datetime) -> Plan:
    """Decide how many pods to create or which to remove. ``pods`` are those that the set controls."""
    if is_deleting(replica_set):
        return Plan()
    spec = replica_set["spec"]
    active = [pod for pod in pods if is_active(pod)]
    wait = earliest(available_after(pod, int(spec.get("minReadySeconds") or 0), now) for pod in active)
    surplus = len(active) - int(spec.get("replicas", 1))
    if surplus > 0:
        return Plan(remove=sorted(active, key=removal_rank)[: min(surplus, MOST_PODS_AT_ONCE)], requeue_after=wait)
    return Plan(create=min(-surplus, MOST_PODS_AT_ONCE), requeue_after=wait)


def status_of(replica_set: Object, pods: Sequence[Object], now: datetime, problem: tuple[str, str] | None) -> Object:
    """Return the status that describes these pods.

    ``problem`` is why pods could not be created or deleted: a reason and a message.
    """
    spec = replica_set["spec"]
    status: Object = copy.deepcopy(replica_set.get("status") or {})
    active = [pod for pod in pods if is_active(pod)]
    template = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    delays = [available_after(pod, int(spec.get("minReadySeconds") or 0), now) for pod in active]
    status["replicas"] = len(active)
    status["observedGeneration"] = replica_set["metadata"].get("generation", 0)
    counts = {
        "fullyLabeledReplicas": sum(template.items() <= labels_of(pod).items() for pod in active),
        "readyReplicas": sum(delay is not None for delay in delays),
        "availableReplicas": sum(delay == 0.0 for delay in delays),
    }
    for key, number in counts.items():
        status.pop(key, None)
        if number:
            status[key] = number
    conditions: list[Object] = status.pop("conditions", [])
    if problem is None:
        conditions = [condition for condition in conditions if condition["type"] != "ReplicaFailure"]
    elif not any(condition["type"] == "ReplicaFailure" for condition in conditions):
        set_condition(conditions, "ReplicaFailure", "True", *problem, now)
    if conditions:
        status["conditions"] = conditions
    return status


class ReplicaSetReconciler:
    """Reconciles ``apps/v1`` ReplicaSets."""

    def __init__(self, client: Client, informers: Informers, recorder: EventRecorder, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._pods = Recent(informers.informer(PODS), clock)

    async def reconcile(self, request: Request) -> Result | None:
        """Bring a replica set's pods to the number that is wanted."""
        replica_set = await get_or_none(self._client, REPLICA_SETS, request.name, request.namespace)
        if replica_set is None:
            return None
        pods = await claim(self._client, PODS, self._pods, replica_set)
        todo = plan(replica_set, pods, self._clock.now())
        error, reason = None, "FailedCreate"
        if todo.create:
            error = await self._create(replica_set, todo.create)
        elif todo.remove:
            try:
                await each(todo.remove, lambda pod: self._remove(replica_set, pod))
            except StatusError as refused:
                error, reason = refused, "FailedDelete"
        status = status_of(replica_set, pods, self._clock.now(), None if error is None else (reason, error.message))
        if status != replica_set.get("status"):
            await unless_gone(
                self._client.update(REPLICA_SETS, {**replica_set, "status": status}, subresource="status")
            )
        if error is not None and not is_terminating_namespace(error):
            raise error
        return Result(todo.requeue_after)

    async def _create(self, replica_set: Object, number: int) -> StatusError | None:
        """Create pods, few at first; return the first problem, if there is one."""
        left, batch = number, 1
        while left:
            now = min(left, batch)
            problems = await asyncio.gather(*(self._create_one(replica_set) for _ in range(now)))
            problem = next((found for found in problems if found is not None), None)
            if problem is not None:
                return problem
            left, batch = left - now, min(batch * 2, _AT_ONCE)
        return None

    async def _create_one(self, replica_set: Object) -> StatusError | None:
        pod = pod_of(replica_set, replica_set["spec"]["template"])
        pod["metadata"]["generateName"] = f"{name_of(replica_set)}-"
        try:
            created = self._pods.wrote(await self._client.create(PODS, pod, namespace_of(replica_set)))
        except StatusError as error:
            if not is_terminating_namespace(error):
                self._recorder.event(replica_set, "Warning", "FailedCreate", f"Error creating: {error.message}")
            return error
        self._recorder.event(replica_set, "Normal", "SuccessfulCreate", f"Created pod: {name_of(created)}")
        return None

    async def _remove(self, replica_set: Object, pod: Object) -> None:
        deletion = self._client.delete(
            PODS, name_of(pod), namespace_of(pod), propagation=Propagation.BACKGROUND, uid=uid_of(pod)
        )
        await unless_gone(deletion)
        self._pods.removed(pod)
        self._recorder.event(replica_set, "Normal", "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")


def replica_set_controller(client: Client, informers: Informers, recorder: EventRecorder, clock: Clock) -> Controller:
    """Return the controller of ReplicaSets."""
    reconciler = ReplicaSetReconciler(client, informers, recorder, clock)
    orphans = Watch(PODS, adopters(informers.informer(REPLICA_SETS)))
    return Controller("replicaset", reconciler, REPLICA_SETS, owns=(PODS,), watches=(orphans,), workers=8)
