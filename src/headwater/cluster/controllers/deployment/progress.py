"""The status of a Deployment: counts, and the conditions Available, Progressing and ReplicaFailure.

Follows the ``apps/v1`` Deployment controller to the reason and the message; ``kubectl rollout status`` and
``kubectl wait`` read them.
"""

import copy
from collections.abc import Sequence
from datetime import datetime

from headwater.kube.meta.objects import Object, name_of
from headwater.kube.meta.time import format_time, parse_time

NO_DEADLINE = 2**31 - 1


def status_of(
    deployment: Object,
    new: Object | None,
    old: Sequence[Object],
    unavailable: int,
    now: datetime,
    *,
    created: Object | None,
) -> tuple[Object, float | None]:
    """Return the status, and the seconds after which the progress deadline may be over.

    ``created`` is the replica set that is about to be made for the present template.
    """
    before = deployment.get("status") or {}
    sets = [*old, *([new] if new is not None else [])]
    status: Object = {"observedGeneration": deployment["metadata"].get("generation", 0)}
    if before.get("collisionCount"):
        status["collisionCount"] = before["collisionCount"]
    total = sum(int(one["spec"].get("replicas", 1)) for one in sets)
    available = _sum(sets, "availableReplicas")
    counts = {
        "replicas": _sum(sets, "replicas"),
        "updatedReplicas": _sum(sets[len(old) :], "replicas"),
        "readyReplicas": _sum(sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, total - available),
    }
    status.update({key: number for key, number in counts.items() if number})
    conditions: list[Object] = copy.deepcopy(before.get("conditions") or [])
    wanted = int(deployment["spec"].get("replicas", 1))
    if available >= wanted - unavailable:
        _set(conditions, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
    else:
        message = "Deployment does not have minimum availability."
        _set(conditions, "Available", "False", "MinimumReplicasUnavailable", message, now)
    wait = _progress(deployment, status, conditions, new, created, now)
    _replica_failure(conditions, sets, now)
    status["conditions"] = conditions
    return status, wait


def _progress(
    deployment: Object,
    status: Object,
    conditions: list[Object],
    new: Object | None,
    created: Object | None,
    now: datetime,
) -> float | None:
    spec, before = deployment["spec"], deployment.get("status") or {}
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is None or deadline == NO_DEADLINE:
        conditions[:] = [condition for condition in conditions if condition["type"] != "Progressing"]
        return None
    current = next((condition for condition in conditions if condition["type"] == "Progressing"), None)
    if spec.get("paused"):
        if current is None or current["reason"] not in ("DeploymentPaused", "ProgressDeadlineExceeded"):
            _set(conditions, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now)
        return None
    if current is not None and current["reason"] == "DeploymentPaused":
        _set(conditions, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now)
    if created is not None:
        message = f'Created new replica set "{name_of(created)}"'
        _set(conditions, "Progressing", "True", "NewReplicaSetCreated", message, now)
        return float(deadline)
    if new is not None and current is None:
        message = f'Found new replica set "{name_of(new)}"'
        _set(conditions, "Progressing", "True", "FoundNewReplicaSet", message, now)
        current = conditions[-1]
    subject = f'ReplicaSet "{name_of(new)}"' if new is not None else f'Deployment "{name_of(deployment)}"'
    same_counts = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if current is not None and current["reason"] == "NewReplicaSetAvailable" and same_counts:
        return None
    if _is_complete(deployment, status):
        message = f"{subject} has successfully progressed."
        _set(conditions, "Progressing", "True", "NewReplicaSetAvailable", message, now)
        return None
    if _moved(before, status):
        message = f"{subject} is progressing."
        _set(conditions, "Progressing", "True", "ReplicaSetUpdated", message, now, touch=True)
        return float(deadline)
    current = next((condition for condition in conditions if condition["type"] == "Progressing"), None)
    if current is None or current["reason"] in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded"):
        return None
    since = parse_time(current.get("lastUpdateTime") or current["lastTransitionTime"])
    left = (since - now).total_seconds() + float(deadline)
    if left <= 0:
        message = f"{subject} has timed out progressing."
        _set(conditions, "Progressing", "False", "ProgressDeadlineExceeded", message, now)
        return None
    return left


def _is_complete(deployment: Object, status: Object) -> bool:
    wanted = int(deployment["spec"].get("replicas", 1))
    return all(int(status.get(key) or 0) == wanted for key in ("replicas", "updatedReplicas", "availableReplicas"))


def _moved(before: Object, after: Object) -> bool:
    """Tell whether there is more of the new or less of the old than before."""

    def count(status: Object, key: str) -> int:
        return int(status.get(key) or 0)

    old_before = count(before, "replicas") - count(before, "updatedReplicas")
    old_after = count(after, "replicas") - count(after, "updatedReplicas")
    grown = any(count(after, key) > count(before, key) for key in ("updatedReplicas", "readyReplicas"))
    return grown or old_after < old_before or count(after, "availableReplicas") > count(before, "availableReplicas")


def _replica_failure(conditions: list[Object], sets: Sequence[Object], now: datetime) -> None:
    for one in reversed(sets):
        for condition in (one.get("status") or {}).get("conditions") or ():
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
                reason, message = condition.get("reason", ""), condition.get("message", "")
                _set(conditions, "ReplicaFailure", "True", reason, message, now)
                return
    conditions[:] = [condition for condition in conditions if condition["type"] != "ReplicaFailure"]


def _set(
    conditions: list[Object], kind: str, status: str, reason: str, message: str, now: datetime, *, touch: bool = False
) -> None:
    """Set a condition of ``apps/v1``, which also knows when it was last updated."""
    moment = format_time(now)
    existing = next((condition for condition in conditions if condition["type"] == kind), None)
    if existing is None:
        existing = {"type": kind, "status": status, "lastTransitionTime": moment}
        conditions.append(existing)
    elif existing["status"] == status and existing["reason"] == reason and not touch:
        return
    elif existing["status"] != status:
        existing["lastTransitionTime"] = moment
    existing.update(status=status, reason=reason, message=message, lastUpdateTime=moment)


def _sum(sets: Sequence[Object], key: str) -> int:
    return sum(int((one.get("status") or {}).get(key) or 0) for one in sets)
