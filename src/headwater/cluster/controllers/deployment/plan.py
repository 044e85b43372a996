"""What a Deployment needs next: a pure function of the deployment, its replica sets and the time.

The rules are those of the ``apps/v1`` Deployment controller: a rolling update never has more than ``maxSurge`` pods
too many nor ``maxUnavailable`` too few, a deployment that is resized during an update grows or shrinks all its
sets in proportion, and a paused one is resized but not updated. One call takes one step; what it changes wakes the
controller again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from headwater.cluster.controllers.deployment.progress import status_of
from headwater.cluster.controllers.deployment.revisions import (
    DESIRED,
    MAXIMUM,
    REVISION,
    by_age,
    new_set,
    newest,
    revision_of,
    set_annotations,
)
from headwater.cluster.controllers.workloads.pods import resolve
from headwater.kube.meta.objects import Object, annotations_of, is_deleting, name_of


@dataclass(slots=True)
class Change:
    """A replica set to write: its new number of pods, annotations and ``minReadySeconds``."""

    replica_set: Object
    replicas: int
    annotations: dict[str, str]
    min_ready_seconds: int


@dataclass(slots=True)
class Plan:
    """What to do for a deployment: annotate it, then create or change sets, remove old ones, write the status."""

    revision: str = ""
    """The revision to write into the deployment's annotation, if it differs."""
    create: Object | None = None
    changes: list[Change] = field(default_factory=list)
    remove: list[Object] = field(default_factory=list)
    status: Object = field(default_factory=dict)
    requeue_after: float | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many pods a deployment may have during an update."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        """How many pods there may be."""
        return self.replicas + self.surge

    @property
    def least_available(self) -> int:
        """How many pods must be available."""
        return self.replicas - self.unavailable


def bounds(deployment: Object) -> Bounds:
    """Return the limits of a deployment. Percentages are of ``replicas``; surge rounds up, unavailable down."""
    spec = deployment["spec"]
    replicas = int(spec.get("replicas", 1))
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return Bounds(replicas, 0, 0)
    rolling = strategy.get("rollingUpdate") or {}
    surge = resolve(rolling.get("maxSurge"), replicas, up=True)
    unavailable = resolve(rolling.get("maxUnavailable"), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1  # both round to nothing: an update must be able to begin
    return Bounds(replicas, surge, min(unavailable, replicas))


def plan(deployment: Object, replica_sets: Sequence[Object], now: datetime, *, old_pods: bool = False) -> Plan:
    """Decide what the deployment needs.

    ``replica_sets`` are those it controls; ``old_pods`` tells whether pods of sets other than the newest have not
    ended yet, which a Recreate waits for.
    """
    todo = Plan()
    limits = bounds(deployment)
    sets = by_age(replica_sets)
    new = newest(deployment, sets)
    old = [one for one in sets if one is not new]
    if not is_deleting(deployment):
        paused = bool(deployment["spec"].get("paused"))
        scaled = {name_of(one): size_of(one) for one in sets}
        noted = None
        if new is not None or not paused:
            noted = _note_revision(deployment, new, old, todo)
        if paused or _is_resized(deployment, sets):
            scaled.update(proportional(limits, new, old, _is_rolling(deployment), deployment))
            if paused:
                _clean_up(deployment, old, todo)
        elif _is_rolling(deployment):
            _roll(limits, new, old, scaled)
        else:
            _recreate(limits, new, old, scaled, old_pods)
        may_create = not paused and (_is_rolling(deployment) or not (old_pods or any(map(size_of, old))))
        if new is None and may_create and noted is not None:
            todo.create = new_set(deployment, first_size(limits, old, _is_rolling(deployment)), _sized(noted, limits))
        _collect_changes(deployment, limits, sets, new, noted, scaled, todo)
    todo.status, todo.requeue_after = status_of(deployment, new, old, limits.unavailable, now, created=todo.create)
    if not is_deleting(deployment) and _is_complete(deployment, todo.status) and not todo.changes:
        _clean_up(deployment, old, todo)
    return todo


def size_of(replica_set: Object) -> int:
    """Return how many pods a set is to have."""
    return int(replica_set["spec"].get("replicas", 1))


def available_in(replica_set: Object) -> int:
    """Return how many of a set's pods are available."""
    return int((replica_set.get("status") or {}).get("availableReplicas") or 0)


def first_size(limits: Bounds, old: Sequence[Object], rolling: bool) -> int:
    """Return how many pods a new set begins with."""
    if not rolling:
        return limits.replicas
    return max(0, min(limits.most - sum(map(size_of, old)), limits.replicas))


def _is_rolling(deployment: Object) -> bool:
    return (deployment["spec"].get("strategy") or {}).get("type") != "Recreate"


def _is_resized(deployment: Object, sets: Sequence[Object]) -> bool:
    """Tell whether the deployment's size was changed since its sets were written."""
    wanted = int(deployment["spec"].get("replicas", 1))
    for one in sets:
        noted = annotations_of(one).get(DESIRED, "")
        if size_of(one) and noted.isdigit() and int(noted) != wanted:
            return True
    return False


def _note_revision(deployment: Object, new: Object | None, old: Sequence[Object], todo: Plan) -> dict[str, str]:
    revision = max(map(revision_of, old), default=0) + 1
    annotations = set_annotations(deployment, new, revision)
    if annotations.get(REVISION) and annotations[REVISION] != annotations_of(deployment).get(REVISION):
        todo.revision = annotations[REVISION]
    return annotations


def _roll(limits: Bounds, new: Object | None, old: Sequence[Object], scaled: dict[str, int]) -> None:
    """Scale up the new set; if that is done, scale down old ones."""
    if new is None:
        return
    have = size_of(new)
    total = have + sum(map(size_of, old))
    if have > limits.replicas:
        scaled[name_of(new)] = limits.replicas
    elif have < limits.replicas and total < limits.most:
        scaled[name_of(new)] = have + min(limits.most - total, limits.replicas - have)
    if scaled[name_of(new)] != have:
        return
    _shrink_old(limits, new, old, scaled)


def _shrink_old(limits: Bounds, new: Object, old: Sequence[Object], scaled: dict[str, int]) -> None:
    total = size_of(new) + sum(map(size_of, old))
    new_unavailable = max(0, size_of(new) - available_in(new))
    room = total - limits.least_available - new_unavailable
    for one in old:  # pods that do not work go first: that makes nothing worse
        broken = size_of(one) - available_in(one)
        if room > 0 and broken > 0 and size_of(one):
            gone = min(room, broken)
            scaled[name_of(one)] -= gone
            room -= gone
    if room <= 0:
        return
    spare = available_in(new) + sum(map(available_in, old)) - limits.least_available
    for one in old:
        gone = min(scaled[name_of(one)], max(spare, 0), room)
        scaled[name_of(one)] -= gone
        spare -= gone
        room -= gone


def _recreate(
    limits: Bounds, new: Object | None, old: Sequence[Object], scaled: dict[str, int], old_pods: bool
) -> None:
    """Take old sets to nothing; when their pods have ended, give the new one its size."""
    for one in old:
        scaled[name_of(one)] = 0
    if new is not None and not any(map(size_of, old)) and not old_pods:
        scaled[name_of(new)] = limits.replicas


def proportional(
    limits: Bounds, new: Object | None, old: Sequence[Object], rolling: bool, deployment: Object
) -> dict[str, int]:
    """Return the sizes that sets get when the deployment is resized or paused, by their names."""
    sets = [*old, *([new] if new is not None else [])]
    active = [one for one in sets if size_of(one)]
    if len(active) <= 1:
        only = active[0] if active else new if new is not None else by_age(old)[-1] if old else None
        return {} if only is None else {name_of(only): limits.replicas}
    if new is not None and _is_saturated(new, limits):
        return {name_of(one): 0 for one in old if size_of(one)}
    if not rolling:
        return {}
    allowed = limits.most if limits.replicas else 0
    missing = allowed - sum(map(size_of, active))
    order = by_age(active)
    if missing > 0:
        order.reverse()
    order.sort(key=size_of, reverse=True)  # stable: among equals the newest grows first, the oldest shrinks first
    sizes: dict[str, int] = {}
    added = 0
    for one in order:
        part = _share(one, limits, deployment) if missing else 0
        left = missing - added
        part = min(part, left) if missing > 0 else max(part, left)
        sizes[name_of(one)] = size_of(one) + part
        added += part
    first = name_of(order[0])
    sizes[first] = max(0, sizes[first] + missing - added)
    return sizes


def _share(replica_set: Object, limits: Bounds, deployment: Object) -> int:
    if limits.replicas == 0:
        return -size_of(replica_set)
    noted = annotations_of(replica_set).get(MAXIMUM, "")
    before = int(noted) if noted.isdigit() else int((deployment.get("status") or {}).get("replicas") or 0)
    if before <= 0:
        return 0
    # Rounded to the nearest, a half away from nothing, as Go's math.Round does.
    return (2 * size_of(replica_set) * limits.most + before) // (2 * before) - size_of(replica_set)


def _is_saturated(new: Object, limits: Bounds) -> bool:
    noted = annotations_of(new).get(DESIRED, "")
    return noted.isdigit() and size_of(new) == limits.replicas == int(noted) and available_in(new) == limits.replicas


def _sized(annotations: dict[str, str], limits: Bounds) -> dict[str, str]:
    return {**annotations, DESIRED: str(limits.replicas), MAXIMUM: str(limits.most)}


def _collect_changes(
    deployment: Object,
    limits: Bounds,
    sets: Sequence[Object],
    new: Object | None,
    noted: dict[str, str] | None,
    scaled: dict[str, int],
    todo: Plan,
) -> None:
    min_ready = int(deployment["spec"].get("minReadySeconds") or 0)
    for one in sets:
        annotations = noted if one is new and noted is not None else annotations_of(one)
        size = scaled[name_of(one)]
        if one is new or size or size != size_of(one):
            annotations = _sized(annotations, limits)
        ready = min_ready if one is new else int(one["spec"].get("minReadySeconds") or 0)
        same = annotations == annotations_of(one) and ready == int(one["spec"].get("minReadySeconds") or 0)
        if not is_deleting(one) and not (same and size == size_of(one)):
            todo.changes.append(Change(one, size, annotations, ready))


def _is_complete(deployment: Object, status: Object) -> bool:
    wanted = int(deployment["spec"].get("replicas", 1))
    return all(int(status.get(key) or 0) == wanted for key in ("replicas", "updatedReplicas", "availableReplicas"))


def _clean_up(deployment: Object, old: Sequence[Object], todo: Plan) -> None:
    """Remove sets without pods beyond the history that is kept, the oldest revisions first."""
    limit = deployment["spec"].get("revisionHistoryLimit", 10)
    if limit is None:
        return
    surplus = len([one for one in old if not is_deleting(one)]) - int(limit)
    for one in sorted((one for one in old if not is_deleting(one)), key=revision_of)[: max(surplus, 0)]:
        status = one.get("status") or {}
        seen = int(status.get("observedGeneration") or 0) >= int(one["metadata"].get("generation") or 0)
        if size_of(one) == 0 and not status.get("replicas") and seen:
            todo.remove.append(one)
