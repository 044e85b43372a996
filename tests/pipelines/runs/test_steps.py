"""What pods say of their steps, and what follows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headwater.pipelines.records.models import TaskRow, TaskState
from headwater.pipelines.runs.steps import MOST_LOSSES, Decision, Move, Observation, Phase, decide, last_line, observe
from headwater.pipelines.spec.tree import RetryPolicy

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)


def pod(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", **metadata}, "status": status}


def ended(code: int, reason: str = "Error", message: str = "", **more: Any) -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": reason, "message": message, **more}}
    return {"phase": "Failed", "containerStatuses": [{"state": state}]}


def row(**values: Any) -> TaskRow:
    return TaskRow(task_id="t", run_id="r", path="root/a", name="a", created_at=NOW, **values)


WAITING = {"waiting": {"reason": "ImagePullBackOff", "message": "add a line"}}
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "too big"}


@pytest.mark.parametrize(
    ("seen", "phase", "message"),
    [
        (None, Phase.ABSENT, ""),
        (pod({}), Phase.WAITING, ""),
        (pod({"phase": "Pending", "conditions": [UNSCHEDULED]}), Phase.WAITING, "Unschedulable: too big"),
        (
            pod({"phase": "Pending", "containerStatuses": [{"state": WAITING}]}),
            Phase.WAITING,
            "ImagePullBackOff: add a line",
        ),
        (
            pod({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}),
            Phase.WAITING,
            "",
        ),
        (pod({"phase": "Running"}), Phase.RUNNING, ""),
        (pod({"phase": "Succeeded"}), Phase.SUCCEEDED, ""),
        (pod({"phase": "Succeeded"}, deletionTimestamp="x"), Phase.SUCCEEDED, ""),
        (pod(ended(2)), Phase.FAILED, "exit code 2"),
        (pod(ended(1, message="Traceback\n  x\nValueError: bad\n\n")), Phase.FAILED, "exit code 1: ValueError: bad"),
        (pod(ended(137)), Phase.FAILED, "killed by SIGKILL (exit code 137)"),
        (pod(ended(137, "OOMKilled")), Phase.FAILED, "out of memory (exit code 137)"),
        (pod(ended(128, "StartError", "no such file")), Phase.FAILED, "StartError (exit code 128): no such file"),
        (
            pod({"phase": "Failed", "reason": "DeadlineExceeded", "message": "too slow"}),
            Phase.FAILED,
            "too slow",
        ),
        (pod({"phase": "Failed", "reason": "Evicted", "message": "disk"}), Phase.LOST, "disk"),
        (pod({"phase": "Failed", "reason": "NodeLost"}), Phase.LOST, "NodeLost"),
        (pod({"phase": "Failed"}), Phase.LOST, "its end is unknown"),
        (pod(ended(137), deletionTimestamp="x"), Phase.LOST, "it was deleted"),
        (pod(ended(137, "ContainerStatusUnknown")), Phase.LOST, "its end is unknown"),
    ],
)
def test_pods_are_read(seen: dict[str, Any] | None, phase: Phase, message: str) -> None:
    found = observe(seen)
    assert (found.phase, found.message) == (phase, message)


RETRY = RetryPolicy(max_retries=2, backoff_seconds=10, factor=2)


@pytest.mark.parametrize(
    ("task", "seen", "retry", "move"),
    [
        (row(), Phase.ABSENT, None, Move.CREATE),
        (row(data={"not_before": (NOW + timedelta(1)).isoformat()}), Phase.ABSENT, None, Move.LATER),
        (row(data={"not_before": NOW.isoformat()}), Phase.ABSENT, None, Move.CREATE),
        (row(state=TaskState.RUNNING), Phase.ABSENT, None, Move.AGAIN),
        (row(), Phase.WAITING, None, Move.NOTHING),
        (row(error="old"), Phase.WAITING, None, Move.NOTE),
        (row(), Phase.RUNNING, None, Move.BEGAN),
        (row(state=TaskState.RUNNING), Phase.RUNNING, None, Move.NOTHING),
        (row(), Phase.SUCCEEDED, None, Move.TAKE),
        (row(), Phase.FAILED, None, Move.FAIL),
        (row(), Phase.FAILED, RETRY, Move.AGAIN),
        (row(data={"failures": 2}), Phase.FAILED, RETRY, Move.FAIL),
        (row(data={"failures": 2}), Phase.LOST, RETRY, Move.AGAIN),
        (row(data={"losses": MOST_LOSSES}), Phase.LOST, RETRY, Move.FAIL),
    ],
)
def test_moves(task: TaskRow, seen: Phase, retry: RetryPolicy | None, move: Move) -> None:
    assert decide(task, Observation(seen), retry, NOW).move is move


def test_attempts_are_counted_and_spaced() -> None:
    first = decide(row(data={"parts": {}}), Observation(Phase.FAILED, "exit code 1"), RETRY, NOW)
    assert first == Decision(
        Move.AGAIN,
        "exit code 1",
        NOW + timedelta(seconds=10),
        {"parts": {}, "failures": 1, "not_before": (NOW + timedelta(seconds=10)).isoformat()},
    )
    assert first.counts is not None
    second = decide(row(data=first.counts), Observation(Phase.FAILED, "exit code 1"), RETRY, NOW)
    assert second.at == NOW + timedelta(seconds=20)
    assert second.counts is not None
    last = decide(row(data=second.counts), Observation(Phase.FAILED, "exit code 1"), RETRY, NOW)
    assert (last.move, last.message) == (Move.FAIL, "exit code 1 (after 3 attempts)")


def test_back_off_has_an_end() -> None:
    assert RetryPolicy(99, 1.0, 10.0, 60.0).delay(5000) == 60.0
    assert RetryPolicy(9).delay(3) == 0.0


def test_the_last_line_that_says_something() -> None:
    assert last_line("a\nb\n\n  \n") == "b"
    assert last_line("") == ""
    assert len(last_line("x" * 5000)) == 500
