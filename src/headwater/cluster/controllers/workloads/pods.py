"""What a workload's controller reads from a pod, and the pod that its template describes.

The rules are those of Kubernetes' ``pkg/controller`` and ``pkg/api/v1/pod``: a pod is active until it has ended or
its deletion was asked for, and available once it has been ready for ``minReadySeconds``.
"""

import copy
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from headwater.kube.meta.objects import Object, annotations_of, is_deleting, namespace_of
from headwater.kube.meta.owners import owner_reference
from headwater.kube.meta.time import parse_time

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_LONG_AGO = datetime.fromtimestamp(0, UTC)
_PHASE_RANK = {"Pending": 0, "Unknown": 1, "Running": 2}


def phase_of(pod: Object) -> str:
    """Return ``status.phase``, Pending if there is none."""
    return str((pod.get("status") or {}).get("phase") or "Pending")


def is_ended(pod: Object) -> bool:
    """Tell whether the pod has succeeded or failed."""
    return phase_of(pod) in ("Succeeded", "Failed")


def is_active(pod: Object) -> bool:
    """Tell whether the pod runs or will run, and may stay."""
    return not is_ended(pod) and not is_deleting(pod)


def ready_since(pod: Object) -> datetime | None:
    """Return since when the pod is ready, or None if it is not."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready" and condition.get("status") == "True":
            moment = condition.get("lastTransitionTime")
            return parse_time(moment) if moment else _LONG_AGO
    return None


def is_ready(pod: Object) -> bool:
    """Tell whether the pod's condition Ready is true."""
    return ready_since(pod) is not None


def available_after(pod: Object, min_ready_seconds: int, now: datetime) -> float | None:
    """Return in how many seconds the pod is available if it stays ready (0: it is), or None if it is not ready."""
    since = ready_since(pod)
    if since is None:
        return None
    return max(0.0, (since - now).total_seconds() + min_ready_seconds) if min_ready_seconds else 0.0


def restarts(pod: Object) -> int:
    """Return how often one of the pod's containers was started again, at most."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return max((int(status.get("restartCount") or 0) for status in statuses), default=0)


def removal_rank(pod: Object) -> tuple[Any, ...]:
    """Sort key: which of too many pods goes first.

    Not placed, not running, not ready, cheap by its annotation, ready for a short time, often restarted, young.
    """
    try:
        cost = int(annotations_of(pod).get(DELETION_COST, "0"))
    except ValueError:
        cost = 0
    since = ready_since(pod)
    created = pod["metadata"].get("creationTimestamp")
    return (
        bool((pod.get("spec") or {}).get("nodeName")),
        _PHASE_RANK.get(phase_of(pod), 0),
        since is not None,
        cost,
        -since.timestamp() if since is not None else 0.0,
        -restarts(pod),
        -parse_time(created).timestamp() if created else 0.0,
    )


def pod_of(owner: Object, template: Object, *, labels: Mapping[str, str] | None = None) -> Object:
    """Return the pod that a template describes, owned by ``owner``; it has no name yet."""
    template = copy.deepcopy(template)
    metadata = template.get("metadata") or {}
    kept = {key: metadata[key] for key in ("labels", "annotations", "finalizers") if metadata.get(key)}
    if labels:
        kept["labels"] = {**kept.get("labels", {}), **labels}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**kept, "namespace": namespace_of(owner), "ownerReferences": [owner_reference(owner)]},
        "spec": template["spec"],
    }


def earliest(delays: Iterable[float | None]) -> float | None:
    """Return the shortest delay that is longer than nothing, or None."""
    return min((delay for delay in delays if delay), default=None)


def resolve(value: int | str | None, total: int, *, up: bool) -> int:
    """Return a number that is given as such or as a percentage of ``total``, rounded up or down."""
    if value is None:
        return 0
    if isinstance(value, str) and value.endswith("%"):
        scaled = int(value[:-1]) * total
        return -(-scaled // 100) if up else scaled // 100
    return int(value)
