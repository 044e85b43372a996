"""What a StatefulSet needs next: a pure function of the set, its pods and the time.

The rules are those of the ``apps/v1`` StatefulSet controller: pods are numbered; with ``OrderedReady`` one is
created when all before it are available and removed when all after it are gone; an update replaces pods one by one
from the highest number down to the partition, each when the one before is available.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from headwater.cluster.controllers.workloads.history import HASH_LABEL
from headwater.cluster.controllers.workloads.pods import available_after, earliest, is_ended, is_ready, phase_of
from headwater.kube.meta.objects import Object, is_deleting, labels_of, name_of


@dataclass(slots=True)
class Plan:
    """What to do for a stateful set."""

    create: list[tuple[int, str]] = field(default_factory=list)
    """Numbers of the pods to create, each with the name of its revision."""
    remove: list[Object] = field(default_factory=list)
    status: Object = field(default_factory=dict)
    requeue_after: float | None = None


def ordinal_of(stateful_set: Object, pod: Object) -> int | None:
    """Return the pod's number, or None if its name is not one of the set's."""
    prefix, _, number = name_of(pod).rpartition("-")
    if prefix != name_of(stateful_set) or not (number.isascii() and number.isdigit()):
        return None
    return int(number)


def ordinals(stateful_set: Object) -> range:
    """Return the numbers that the set is to have."""
    spec = stateful_set["spec"]
    start = int((spec.get("ordinals") or {}).get("start") or 0)
    return range(start, start + int(spec.get("replicas", 1)))


def plan(stateful_set: Object, pods: Sequence[Object], current: str, update: str, now: datetime) -> Plan:
    """Decide what the set needs.

    ``current`` and ``update`` are the names of the revision before and after the update that is going on.
    """
    todo = Plan()
    spec = stateful_set["spec"]
    wanted = ordinals(stateful_set)
    found = {number: pod for pod in pods if (number := ordinal_of(stateful_set, pod)) is not None}
    least = int(spec.get("minReadySeconds") or 0)
    todo.requeue_after = earliest(available_after(pod, least, now) for pod in found.values())
    if not is_deleting(stateful_set):
        _act(stateful_set, found, wanted, current, update, now, todo)
    todo.status = _status(stateful_set, found, wanted, current, update, now)
    return todo


def is_current_wanted(stateful_set: Object, number: int, current: str, update: str) -> bool:
    """Tell whether a pod of this number is to have the revision from before the update."""
    spec = stateful_set["spec"]
    strategy = spec.get("updateStrategy") or {}
    if current == update or strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return False
    start = ordinals(stateful_set).start
    return number < start + _partition(stateful_set)


def _partition(stateful_set: Object) -> int:
    strategy = stateful_set["spec"].get("updateStrategy") or {}
    return int((strategy.get("rollingUpdate") or {}).get("partition") or 0)


def _act(
    stateful_set: Object, found: dict[int, Object], wanted: range, current: str, update: str, now: datetime, todo: Plan
) -> None:
    spec = stateful_set["spec"]
    ordered = spec.get("podManagementPolicy", "OrderedReady") == "OrderedReady"
    least = int(spec.get("minReadySeconds") or 0)

    def available(pod: Object) -> bool:
        return phase_of(pod) == "Running" and not is_deleting(pod) and available_after(pod, least, now) == 0.0

    for number in wanted:
        pod = found.get(number)
        if pod is None:
            # A pod that is missing in the middle of an update comes back as it was.
            held = is_current_wanted(stateful_set, number, current, update)
            todo.create.append((number, current if held else update))
        elif is_ended(pod) and not is_deleting(pod):
            todo.remove.append(pod)
        elif available(pod):
            continue
        if ordered:
            return
    condemned = sorted((number for number in found if number not in wanted), reverse=True)
    unhealthy = [number for number in condemned if not available(found[number])]
    for number in condemned:
        pod = found[number]
        if is_deleting(pod):
            if ordered:
                return
            continue
        if ordered and not available(pod) and number != min(unhealthy):
            return
        todo.remove.append(pod)
        if ordered:
            return
    if todo.create or todo.remove or (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        return
    for number in reversed(wanted[_partition(stateful_set) :]):
        pod = found[number]
        if labels_of(pod).get(HASH_LABEL) != update and not is_deleting(pod):
            todo.remove.append(pod)
            return
        if not available(pod):
            return


def _status(
    stateful_set: Object, found: dict[int, Object], wanted: range, current: str, update: str, now: datetime
) -> Object:
    spec = stateful_set["spec"]
    least = int(spec.get("minReadySeconds") or 0)
    live = [pod for pod in found.values() if not is_ended(pod)]
    staying = [pod for pod in live if not is_deleting(pod)]
    ready = [pod for pod in staying if phase_of(pod) == "Running" and is_ready(pod)]
    status: Object = {
        "observedGeneration": stateful_set["metadata"].get("generation", 0),
        "replicas": len(live),
        "availableReplicas": sum(available_after(pod, least, now) == 0.0 for pod in ready),
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": int((stateful_set.get("status") or {}).get("collisionCount") or 0),
    }
    counts = {
        "readyReplicas": len(ready),
        "currentReplicas": sum(labels_of(pod).get(HASH_LABEL) == current for pod in staying),
        "updatedReplicas": sum(labels_of(pod).get(HASH_LABEL) == update for pod in staying),
    }
    rolling = (spec.get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
    if rolling and counts["updatedReplicas"] == len(ready) == len(live) == len(wanted):
        counts["currentReplicas"] = counts["updatedReplicas"]
        status["currentRevision"] = update
    status.update({key: number for key, number in counts.items() if number})
    return status
