"""What a step's pod says, and what follows from it: taken over, tried again, or waited for. Pure functions.

A pod that failed by its own doing is a failed attempt and counts against the author's retry policy. One that was
deleted, evicted, or lost with its node did not finish: the step is run again, and that is not held against it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from headwater.kube.meta.conditions import condition_is, find_condition
from headwater.kube.meta.objects import Object, is_deleting
from headwater.kube.meta.time import parse_time
from headwater.pipelines.records.models import TaskRow, TaskState
from headwater.pipelines.spec.tree import RetryPolicy

MOST_LOSSES = 10
"""How often a step's pod may be lost before the step is given up."""
_LOSS_DELAYS = (0.0, 1.0, 5.0, 15.0, 60.0)
_OWN_DOING = frozenset({"DeadlineExceeded", "Error", "OOMKilled", "ContainerCannotRun", "StartError"})
_SIGNAL_BASE = 128
_SIGNALS = {9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM", 6: "SIGABRT", 2: "SIGINT"}


class Phase(Enum):
    """What a pod says of its step."""

    ABSENT = "there is no pod"
    WAITING = "the program has not started"
    RUNNING = "the program runs"
    SUCCEEDED = "the program ended with exit code 0"
    FAILED = "the program ended badly"
    LOST = "the pod is gone or was killed before the program ended"


@dataclass(frozen=True, slots=True)
class Observation:
    """A pod, as far as its step is concerned."""

    phase: Phase
    message: str = ""
    """Why it waits, failed or was lost."""
    detailed: bool = True
    """False when a failure's message says no more than the exit code; the log may."""
    started_at: datetime | None = None


def observe(pod: Object | None) -> Observation:
    """Read a step's pod."""
    if pod is None:
        return Observation(Phase.ABSENT)
    status = pod.get("status") or {}
    container: Mapping[str, Any] = next(iter(status.get("containerStatuses") or ()), {})
    state: Mapping[str, Any] = container.get("state") or {}
    ended: Mapping[str, Any] = state.get("terminated") or {}
    began = (state.get("running") or ended).get("startedAt") or status.get("startTime")
    started_at = parse_time(began) if began else None
    phase = status.get("phase") or "Pending"
    if phase == "Succeeded":
        return Observation(Phase.SUCCEEDED, started_at=started_at)
    if phase == "Failed":
        reason = status.get("reason") or ""
        lost = (
            is_deleting(pod)
            or (reason and reason not in _OWN_DOING)
            or condition_is(pod, "DisruptionTarget")
            or (not ended and not reason)
            or ended.get("reason") == "ContainerStatusUnknown"
        )
        if lost:
            why = status.get("message") or reason or ("it was deleted" if is_deleting(pod) else "its end is unknown")
            return Observation(Phase.LOST, str(why), started_at=started_at)
        text, detailed = _failure(ended, status)
        return Observation(Phase.FAILED, text, detailed, started_at)
    if phase == "Running" or state.get("running"):
        return Observation(Phase.RUNNING, started_at=started_at)
    return Observation(Phase.WAITING, _waiting(pod, state))


def _failure(ended: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[str, bool]:
    if status.get("reason") == "DeadlineExceeded":
        return status.get("message") or "it ran longer than its deadline", True
    code = int(ended.get("exitCode") or 0)
    reason = ended.get("reason") or ""
    signal = int(ended.get("signal") or 0) or (code - _SIGNAL_BASE if code > _SIGNAL_BASE else 0)
    text = f"exit code {code}"
    if signal in _SIGNALS:
        text = f"killed by {_SIGNALS[signal]} (exit code {code})"
    if reason == "OOMKilled":
        text = f"out of memory (exit code {code})"
    elif reason not in ("", "Error", "Completed"):
        text = f"{reason} ({text})"
    line = last_line(str(ended.get("message") or ""))
    return (f"{text}: {line}", True) if line else (text, False)


def last_line(log: str) -> str:
    """Return the last line of a log that says something: for a Python program, the exception."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1][:500] if lines else ""


def _waiting(pod: Object, state: Mapping[str, Any]) -> str:
    waiting: Mapping[str, Any] = state.get("waiting") or {}
    reason = waiting.get("reason") or ""
    if reason not in ("", "ContainerCreating", "PodInitializing"):
        message = waiting.get("message") or ""
        return f"{reason}: {message}" if message else str(reason)
    scheduled = find_condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("status") == "False":
        return f"{scheduled.get('reason') or 'Unschedulable'}: {scheduled.get('message') or 'no node fits'}"
    return ""


class Move(Enum):
    """What to do about a step."""

    NOTHING = "wait for news"
    CREATE = "create the attempt's pod"
    LATER = "create the attempt's pod at a later time"
    NOTE = "write down why it waits"
    BEGAN = "write down that it runs"
    TAKE = "take over the result"
    AGAIN = "go on to another attempt"
    FAIL = "the task has failed"


@dataclass(frozen=True, slots=True)
class Decision:
    """A move and what belongs to it."""

    move: Move
    message: str = ""
    at: datetime | None = None
    """For LATER and AGAIN, when the next pod is due."""
    counts: Mapping[str, Any] | None = None
    """For AGAIN, the row's new ``data``."""


def decide(row: TaskRow, seen: Observation, retry: RetryPolicy | None, now: datetime) -> Decision:
    """Return what follows for a step that is not finished from what its pod says."""
    phase = seen.phase
    if phase is Phase.ABSENT:
        if row.state is TaskState.RUNNING:
            return lost(row, "its pod is gone", now)
        due = row.data.get("not_before")
        at = parse_time(due) if due else None
        return Decision(Move.LATER, at=at) if at is not None and at > now else Decision(Move.CREATE)
    if phase is Phase.WAITING:
        return Decision(Move.NOTE, seen.message) if seen.message != row.error else Decision(Move.NOTHING)
    if phase is Phase.RUNNING:
        return Decision(Move.BEGAN) if row.state is TaskState.PENDING else Decision(Move.NOTHING)
    if phase is Phase.SUCCEEDED:
        return Decision(Move.TAKE)
    if phase is Phase.LOST:
        return lost(row, seen.message, now)
    return failed(row, seen.message, retry, now)


def failed(row: TaskRow, message: str, retry: RetryPolicy | None, now: datetime) -> Decision:
    """Decide after an attempt that failed by its own doing."""
    failures = int(row.data.get("failures") or 0) + 1
    if retry is None or failures > retry.max_retries:
        tries = f" (after {failures} attempts)" if failures > 1 else ""
        return Decision(Move.FAIL, message + tries)
    return _again(row, {"failures": failures}, retry.delay(failures), message, now)


def lost(row: TaskRow, message: str, now: datetime) -> Decision:
    """Decide after an attempt whose pod went away before it finished."""
    losses = int(row.data.get("losses") or 0) + 1
    if losses > MOST_LOSSES:
        return Decision(Move.FAIL, f"its pod was lost {losses} times before it finished; the last time: {message}")
    return _again(row, {"losses": losses}, _LOSS_DELAYS[min(losses, len(_LOSS_DELAYS)) - 1], message, now)


def _again(row: TaskRow, counted: Mapping[str, int], delay: float, message: str, now: datetime) -> Decision:
    at = now + timedelta(seconds=delay)
    counts = {**row.data, **counted, "not_before": at.isoformat()}
    return Decision(Move.AGAIN, message, at, counts)
