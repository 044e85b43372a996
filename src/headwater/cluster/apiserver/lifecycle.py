"""What a deletion does to an object: remove it, or mark it and let it linger.

Pure, by the rules of ``k8s.io/apiserver/pkg/registry``: finalizers hold an object back; propagation is remembered
as a finalizer that the garbage collector removes; a pod that runs on a node lingers for its grace period, until
the node's agent deletes it with a grace period of zero.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from headwater.cluster.apiserver.answers import DeleteOptions
from headwater.cluster.apiserver.registry import Served
from headwater.kube.client import Propagation
from headwater.kube.meta.errors import bad_request
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import NAMESPACES, PODS
from headwater.kube.meta.time import format_time

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_DEFAULT_GRACE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Deletion:
    """The decision: the object as it is to be stored, or as its watchers last see it."""

    obj: Object
    remove: bool
    changed: bool = True


def plan_deletion(served: Served, current: Object, options: DeleteOptions, now: datetime) -> Deletion:
    """Decide a deletion. ``current`` is not changed. Raises ``StatusError`` 400 on options that make no sense."""
    if options.propagation not in ("", *(each.value for each in Propagation)):
        raise bad_request(
            f'invalid propagation policy "{options.propagation}": use "Foreground", "Background" or "Orphan"'
        )
    if options.grace_period_seconds is not None and options.grace_period_seconds < 0:
        raise bad_request("gracePeriodSeconds must not be negative")
    before = current["metadata"]
    metadata = dict(before)
    obj = {**current, "metadata": metadata}
    metadata["finalizers"] = _finalizers(served, list(before.get("finalizers") or ()), options.propagation)
    if not metadata["finalizers"]:
        del metadata["finalizers"]

    grace = _grace(served, current, options.grace_period_seconds)
    if "deletionTimestamp" in before:
        # A second delete may only shorten the wait.
        grace = min(grace, before.get("deletionGracePeriodSeconds") or 0)
    if grace == 0 and not _held(served, obj):
        return Deletion(obj, remove=True)
    if "deletionTimestamp" not in before or grace < (before.get("deletionGracePeriodSeconds") or 0):
        metadata["deletionTimestamp"] = format_time(now + timedelta(seconds=grace))
        metadata["deletionGracePeriodSeconds"] = grace
        if before.get("generation") and "deletionTimestamp" not in before:
            metadata["generation"] = before["generation"] + 1
    if served.resource == NAMESPACES:
        obj["status"] = {**(current.get("status") or {}), "phase": "Terminating"}
    return Deletion(obj, remove=False, changed=obj != current)


def is_finished(served: Served, obj: Object) -> bool:
    """Whether an object whose deletion was asked for has nothing left to wait for."""
    metadata = obj["metadata"]
    if "deletionTimestamp" not in metadata or _held(served, obj):
        return False
    return not metadata.get("deletionGracePeriodSeconds")


def _held(served: Served, obj: Object) -> bool:
    if obj["metadata"].get("finalizers"):
        return True
    return served.resource == NAMESPACES and bool((obj.get("spec") or {}).get("finalizers"))


def _finalizers(served: Served, finalizers: list[str], propagation: str) -> list[str]:
    if not propagation:
        if ORPHAN in finalizers or FOREGROUND in finalizers:
            return finalizers
        propagation = served.default_propagation.value
    kept = [each for each in finalizers if each not in (ORPHAN, FOREGROUND)]
    if propagation == Propagation.ORPHAN.value:
        kept.append(ORPHAN)
    elif propagation == Propagation.FOREGROUND.value:
        kept.append(FOREGROUND)
    return kept


def _grace(served: Served, current: Object, asked: int | None) -> int:
    if served.resource != PODS:
        return 0
    spec, status = current.get("spec") or {}, current.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    if asked is not None:
        return asked
    wanted = spec.get("terminationGracePeriodSeconds")
    return _DEFAULT_GRACE_SECONDS if wanted is None else int(wanted)
