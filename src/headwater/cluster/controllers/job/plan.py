"""What a job needs next: a pure function of the job, its pods and the time.

The rules are those of the ``batch/v1`` Job controller. A pod's end is counted exactly once, whenever and however
often the controller is killed, by the same three steps: the pod's uid is written into
``status.uncountedTerminatedPods``; then the pod loses its tracking finalizer; then, once the pod is seen without
it, the uid moves into the count. A pod that the controller itself removes (suspended, too many) loses the
finalizer first and is not counted.
"""

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from headwater.cluster.controllers.job.failures import judge
from headwater.cluster.controllers.job.indexes import (
    Indexes,
    format_indexes,
    index_of,
    is_indexed,
    look,
    next_indexes,
    policy_met,
    surplus,
)
from headwater.cluster.controllers.job.names import ordinal_of
from headwater.cluster.controllers.job.pods import (
    ended_at,
    is_active,
    is_ready,
    is_terminal,
    is_terminating,
    is_tracked,
    phase_of,
    removal_rank,
    restarts,
)
from headwater.kube.meta.conditions import condition_is, find_condition, set_condition
from headwater.kube.meta.objects import Object, is_deleting, name_of, uid_of
from headwater.kube.meta.time import format_time, parse_time

FIRST_BACK_OFF = 10.0
LAST_BACK_OFF = 360.0
"""Seconds between a failure and the next pod; doubles with each failure since the last success."""
MOST_PODS_AT_ONCE = 500
"""How many pods one call creates or removes at most."""


@dataclass(frozen=True, slots=True)
class Said:
    """An event to record on the job."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(slots=True)
class Plan:
    """What to do for a job, in this order: create, remove, stop, write the status, release, expire."""

    status: Object
    """What the status should be; write it if it differs, on the condition that the job has not changed."""
    create: list[int] = field(default_factory=list)
    """Numbers of the pods to create."""
    indexes: dict[int, int] = field(default_factory=dict)
    """Of an Indexed job: the completion index of each pod to create."""
    failures: Mapping[int, int] = field(default_factory=dict)
    """Of an Indexed job: how many pods of an index have failed."""
    remove: list[Object] = field(default_factory=list)
    """Pods to take out of the count (release first), then delete."""
    stop: list[Object] = field(default_factory=list)
    """Pods to delete that count as failed."""
    release: list[Object] = field(default_factory=list)
    """Pods that need their tracking finalizer no longer, once the status is written."""
    events: list[Said] = field(default_factory=list)
    expire: bool = False
    """The job's time to live is over: delete it."""
    requeue_after: float | None = None
    """Seconds after which time alone makes a difference."""

    def wake_after(self, seconds: float) -> None:
        """Ask to be called again, at the earliest of all that is asked for."""
        seconds = max(seconds, 0.0)
        self.requeue_after = seconds if self.requeue_after is None else min(seconds, self.requeue_after)


def is_finished(job: Object) -> bool:
    """Tell whether the job is Complete or Failed."""
    return condition_is(job, "Complete") or condition_is(job, "Failed")


def newly_ended(job: Object, pods: Iterable[Object]) -> list[Object]:
    """Return the tracked pods whose end is not written down yet: succeeded, failed, or being deleted."""
    known = _uncounted(job, "succeeded") | _uncounted(job, "failed")
    keep_deleted = (job.get("spec") or {}).get("podReplacementPolicy") == "Failed"
    return [
        pod
        for pod in pods
        if is_tracked(pod)
        and uid_of(pod) not in known
        and (is_terminal(pod) or (is_deleting(pod) and not keep_deleted))
    ]


def vanished(job: Object, pods: Iterable[Object]) -> set[str]:
    """Return the uids that are written down as ended but not counted, and whose pods are not among ``pods``."""
    return (_uncounted(job, "succeeded") | _uncounted(job, "failed")) - {uid_of(pod) for pod in pods}


def plan(
    job: Object,
    pods: Sequence[Object],
    now: datetime,
    *,
    expected: Collection[int] = (),
    blocked: Collection[int] = (),
    starting_indexes: Collection[int] = (),
) -> Plan:
    """Decide what the job needs.

    ``pods`` are those it controls. ``expected`` are the numbers of pods that were created and are not among
    ``pods`` yet; they count as active. ``blocked`` are numbers whose name belongs to somebody else's pod.
    ``starting_indexes`` are the completion indexes of the expected pods.
    """
    spec = job["spec"]
    result = Plan(status=copy.deepcopy(job.get("status") or {}))
    if is_deleting(job):
        result.release = [pod for pod in pods if is_tracked(pod)]
        return result
    if is_finished(job):
        result.release = [pod for pod in pods if is_tracked(pod)]
        _expire(job, now, result)
        return result
    status = result.status
    conditions: list[Object] = status.setdefault("conditions", [])
    state = look(job, pods) if is_indexed(job) else None
    tally = _count(job, pods, status, result, state)
    active = [pod for pod in pods if is_active(pod)]
    taken = _ordinals(job, pods)
    starting = len(set(expected) - taken)
    taken |= {*expected, *blocked}
    suspended = bool(spec.get("suspend"))

    if not suspended and not status.get("startTime"):
        status["startTime"] = format_time(now)

    failure = _failure(job, pods, status, tally, active, suspended, now, result, state)
    success = None if failure else _success(job, tally, len(active) + starting, state)
    if failure:
        reason, message = failure
        if set_condition(conditions, "FailureTarget", "True", reason, message, now):
            result.events.append(Said("Warning", reason, message))
        result.stop = active[:MOST_PODS_AT_ONCE]
    elif success:
        set_condition(conditions, "SuccessCriteriaMet", "True", *success, now)
        result.remove = active[:MOST_PODS_AT_ONCE]
    else:
        _suspension(job, status, conditions, suspended, now, result)
        _manage(job, pods, active, starting, taken, tally, suspended, now, result, state, starting_indexes)

    terminating = sum(map(is_terminating, pods))
    leaving = {id(pod) for pod in [*result.stop, *result.remove]}
    staying = [pod for pod in active if id(pod) not in leaving]
    _set(status, "active", len(staying) + starting + len(result.create))
    status["ready"] = sum(map(is_ready, staying))
    status["terminating"] = terminating + len(leaving)
    if state is not None and not failure and not success:
        # A failed pod stays until its successor carries on the count of its index.
        result.release = [pod for pod in result.release if uid_of(pod) not in state.keep]
    if not status.get("active"):
        _finish(failure, success, tally, status, conditions, now, result)
    if not conditions:
        del status["conditions"]
    return result


@dataclass(slots=True)
class _Tally:
    """How many pods have ended: counted, or written down to be counted."""

    succeeded: int
    failed: int
    waiting: int
    """How many of them are written down only."""


def _uncounted(job: Object, outcome: str) -> set[str]:
    section = (job.get("status") or {}).get("uncountedTerminatedPods") or {}
    return set(section.get(outcome) or ())


def _ordinals(job: Object, pods: Iterable[Object]) -> set[int]:
    return {ordinal for pod in pods if (ordinal := ordinal_of(name_of(pod), uid_of(job))) is not None}


def _set(status: Object, key: str, number: int) -> None:
    if number:
        status[key] = number
    else:
        status.pop(key, None)


def _count(job: Object, pods: Sequence[Object], status: Object, result: Plan, state: Indexes | None) -> _Tally:
    """Take the steps of counting that can be taken now."""
    tracked = {uid_of(pod): pod for pod in pods if is_tracked(pod)}
    ended = newly_ended(job, pods)
    ignored = [pod for pod in ended if _is_ignored(job, pod)]
    result.release += ignored
    lists: Object = {}
    numbers = {}
    for outcome in ("succeeded", "failed"):
        written = ((job.get("status") or {}).get("uncountedTerminatedPods") or {}).get(outcome) or []
        waiting = [uid for uid in written if uid in tracked]
        counted = int(status.get(outcome) or 0) + len(written) - len(waiting)
        new = [
            uid_of(pod)
            for pod in ended
            if (phase_of(pod) == "Succeeded") == (outcome == "succeeded") and not _is_ignored(job, pod)
        ]
        result.release += [tracked[uid] for uid in waiting + new]
        if state is not None and outcome == "succeeded":
            counted, waiting, new = len(state.completed), [], []  # a set of indexes needs no counting
        _set(status, outcome, counted)
        if waiting or new:
            lists[outcome] = waiting + new
        numbers[outcome] = counted + len(waiting) + len(new)
    if state is not None:
        for key, indexes in (("completedIndexes", state.completed), ("failedIndexes", state.failed)):
            status.pop(key, None)
            if indexes or (key == "failedIndexes" and job["spec"].get("backoffLimitPerIndex") is not None):
                status[key] = format_indexes(indexes)
    status["uncountedTerminatedPods"] = lists
    waiting_now = sum(map(len, lists.values()))
    return _Tally(numbers["succeeded"], numbers["failed"], waiting_now)


def _is_ignored(job: Object, pod: Object) -> bool:
    verdict = judge(job, pod)
    return verdict is not None and verdict.action == "Ignore"


def _failure(
    job: Object,
    pods: Sequence[Object],
    status: Object,
    tally: _Tally,
    active: Sequence[Object],
    suspended: bool,
    now: datetime,
    result: Plan,
    state: Indexes | None,
) -> tuple[str, str] | None:
    """Return reason and message if the job fails."""
    target = find_condition(job, "FailureTarget")
    if target and target["status"] == "True":
        return target.get("reason", ""), target.get("message", "")
    spec = job["spec"]
    if condition_is(job, "SuccessCriteriaMet"):
        return None
    for pod in pods:
        verdict = judge(job, pod) if is_tracked(pod) else None
        if verdict is not None and verdict.action == "FailJob":
            return "PodFailurePolicy", verdict.message
    limit = int(spec.get("backoffLimit", 6))
    again = sum(map(restarts, active)) if _policy(job) == "OnFailure" else 0
    if tally.failed > limit or (again >= limit if limit else again > 0):
        return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    if state is not None and state.failed:
        most = spec.get("maxFailedIndexes")
        if most is not None and len(state.failed) > int(most):
            return "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"
        if len(state.settled) >= state.completions and not policy_met(job, state.completed):
            return "FailedIndexes", "Job has failed indexes"
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not suspended and status.get("startTime"):
        left = (parse_time(status["startTime"]) - now).total_seconds() + float(deadline)
        if left <= 0:
            return "DeadlineExceeded", "Job was active longer than specified deadline"
        result.wake_after(left)
    return None


def _policy(job: Object) -> str:
    return str(job["spec"]["template"].get("spec", {}).get("restartPolicy") or "")


def _success(job: Object, tally: _Tally, active: int, state: Indexes | None) -> tuple[str, str] | None:
    target = find_condition(job, "SuccessCriteriaMet")
    if target and target["status"] == "True":
        return target.get("reason", ""), target.get("message", "")
    met = policy_met(job, state.completed) if state is not None else ""
    if met:
        return "SuccessPolicy", met
    completions = job["spec"].get("completions")
    enough = tally.succeeded >= completions if completions is not None else tally.succeeded > 0 and not active
    return ("CompletionsReached", "Reached expected number of succeeded pods") if enough else None


def _suspension(
    job: Object, status: Object, conditions: list[Object], suspended: bool, now: datetime, result: Plan
) -> None:
    if suspended:
        if set_condition(conditions, "Suspended", "True", "JobSuspended", "Job suspended", now):
            result.events.append(Said("Normal", "Suspended", "Job suspended"))
    elif condition_is(job, "Suspended"):
        set_condition(conditions, "Suspended", "False", "JobResumed", "Job resumed", now)
        status["startTime"] = format_time(now)
        result.events.append(Said("Normal", "Resumed", "Job resumed"))


def _manage(
    job: Object,
    pods: Sequence[Object],
    active: Sequence[Object],
    starting: int,
    taken: Collection[int],
    tally: _Tally,
    suspended: bool,
    now: datetime,
    result: Plan,
    state: Indexes | None,
    starting_indexes: Collection[int],
) -> None:
    """Create the pods that are missing, remove those that are too many."""
    spec = job["spec"]
    if suspended:
        result.remove = [*active][:MOST_PODS_AT_ONCE]
        return
    parallelism = int(spec.get("parallelism", 1))
    completions = spec.get("completions")
    if state is not None:
        # Pods without work go; those that are gone already make room at once.
        result.remove = surplus(active, state)[:MOST_PODS_AT_ONCE]
        gone = {id(pod) for pod in result.remove}
        active = [pod for pod in active if id(pod) not in gone]
    running = len(active) + starting
    if state is not None:
        wanted = min(parallelism, state.completions - len(state.settled))
    elif completions is not None:
        wanted = min(parallelism, int(completions) - tally.succeeded)
    else:
        wanted = min(parallelism, running) if tally.succeeded else parallelism
    if running > wanted:
        result.remove += sorted(active, key=removal_rank)[: min(running - wanted, MOST_PODS_AT_ONCE)]
        return
    missing = wanted - running
    if spec.get("podReplacementPolicy") == "Failed":
        missing -= sum(map(is_terminating, pods))
    if missing <= 0:
        return
    per_index = spec.get("backoffLimitPerIndex") is not None
    counting = pods if "podFailurePolicy" not in spec else [pod for pod in pods if not _is_ignored(job, pod)]
    wait = 0.0 if per_index else back_off(counting, now)
    if wait > 0:
        result.wake_after(wait)
        return
    number = min(missing, MOST_PODS_AT_ONCE)
    chosen: list[int] = []
    if state is not None:
        keeps_terminating = spec.get("podReplacementPolicy") == "Failed"
        held = [pod for pod in pods if is_active(pod) or (keeps_terminating and is_terminating(pod))]
        busy = {index for pod in held if (index := index_of(pod)) is not None} | {*starting_indexes}
        chosen, pause = next_indexes(state, busy, number, now, per_index=per_index)
        if pause is not None:
            result.wake_after(pause)
        number, result.failures = len(chosen), state.failures
    # As many as were created so far, unless some were removed without being counted.
    ordinal = tally.succeeded + tally.failed + running
    while len(result.create) < number:
        if ordinal not in taken:
            result.create.append(ordinal)
        ordinal += 1
    if state is not None:
        result.indexes = dict(zip(result.create, chosen, strict=True))


def back_off(pods: Iterable[Object], now: datetime) -> float:
    """Return how many seconds no new pod may be created, after the failures since the last success."""
    ended = [(ended_at(pod), phase_of(pod)) for pod in pods if is_terminal(pod)]
    last_success = max((moment for moment, phase in ended if phase == "Succeeded"), default=None)
    failures = [
        moment for moment, phase in ended if phase == "Failed" and (last_success is None or moment > last_success)
    ]
    if not failures:
        return 0.0
    delay = min(FIRST_BACK_OFF * 2.0 ** min(len(failures) - 1, 32), LAST_BACK_OFF)
    return (max(failures) - now).total_seconds() + delay


def _finish(
    failure: tuple[str, str] | None,
    success: tuple[str, str] | None,
    tally: _Tally,
    status: Object,
    conditions: list[Object],
    now: datetime,
    result: Plan,
) -> None:
    """Add the last condition, once no pod runs and every end is counted."""
    if tally.waiting or status["terminating"]:
        return
    if failure:
        set_condition(conditions, "Failed", "True", *failure, now)
    elif success:
        set_condition(conditions, "Complete", "True", *success, now)
        status["completionTime"] = format_time(now)
        result.events.append(Said("Normal", "Completed", "Job completed"))


def _expire(job: Object, now: datetime, result: Plan) -> None:
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    if ttl is None:
        return
    condition = find_condition(job, "Complete" if condition_is(job, "Complete") else "Failed")
    moment = (condition or {}).get("lastTransitionTime")
    if moment is None:
        return
    left = (parse_time(moment) + timedelta(seconds=int(ttl)) - now).total_seconds()
    if left <= 0:
        result.expire = True
    else:
        result.wake_after(left)
