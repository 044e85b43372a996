"""What the run page says beside the graph: failures, waits and what happened, from records alone."""

from datetime import UTC, datetime, timedelta

import pytest

from headwater.pipelines.pages.results import Loaded, first_failure, first_stuck, happenings, metric_rows, why_it_waits
from headwater.pipelines.records.models import (
    ArtifactRow,
    ArtifactUse,
    Direction,
    RunRow,
    RunState,
    StateChange,
    TaskRow,
    TaskState,
)

START = datetime(2026, 5, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def task(name: str, state: TaskState, error: str = "", finished: float | None = None) -> TaskRow:
    return TaskRow(
        task_id=name, run_id="r", path=f"root/{name}", name=name, state=state, error=error, created_at=START,
        finished_at=at(finished) if finished is not None else None,
    )  # fmt: skip


def loaded(*tasks: TaskRow, state: RunState = RunState.RUNNING, links=None) -> Loaded:
    run = RunRow(run_id="r", namespace="ns", experiment_id="e", display_name="run", state=state, created_at=START)
    return Loaded(run, None, "", {one.path: one for one in tasks}, links or {})


def test_the_first_failure_is_the_earliest_and_not_the_first_in_the_list():
    late, early = task("late", TaskState.FAILED, "b", 9), task("early", TaskState.FAILED, "a", 3)
    assert first_failure(loaded(late, early)) == ("root/early", "early", "a")
    assert first_failure(loaded(task("fine", TaskState.SUCCEEDED, finished=1))) is None


def test_a_step_is_stuck_while_its_reason_has_a_name_and_the_run_goes_on():
    pulling = task("train", TaskState.PENDING, "ImagePullBackOff: nothing knows the image")
    assert first_stuck(loaded(task("next", TaskState.PENDING), pulling)) == ("root/train", "train", pulling.error)
    assert first_stuck(loaded(pulling, state=RunState.FAILED)) is None


@pytest.mark.parametrize(
    ("state", "row", "said"),
    [
        (RunState.RUNNING, task("a", TaskState.PENDING), "Its inputs are ready; its pod is being prepared."),
        (RunState.RUNNING, task("a", TaskState.PENDING, "Unschedulable: no cpu"), "Unschedulable: no cpu"),
        (RunState.RUNNING, task("a", TaskState.RUNNING), ""),
        (RunState.RUNNING, None, ""),
        (RunState.FAILED, None, "The run ended before this could begin."),
        (RunState.FAILED, task("a", TaskState.FAILED, "no", 1), ""),
    ],
)
def test_why_it_waits(state, row, said):
    assert why_it_waits(loaded(state=state), "root/a", row) == said


def test_what_happened_is_in_the_order_of_time():
    history = [StateChange("PENDING", at(0), ""), StateChange("FAILED", at(20), "no")]
    events = [
        {"lastTimestamp": "2026-05-01T12:00:10Z", "type": "Warning", "reason": "BackOff", "message": "again",
         "count": 3, "involvedObject": {"name": "pod"}},
        {"eventTime": "2026-05-01T12:00:05.5Z", "reason": "Scheduled", "note": "bound", "regarding": {"name": "pod"}},
        {"reason": "without a time"},
    ]  # fmt: skip
    found = happenings(history, events)
    assert [one["state"] or one["reason"] for one in found] == ["PENDING", "Scheduled", "BackOff", "FAILED"]
    assert (found[1]["count"], found[1]["message"], found[1]["whose"], found[1]["warning"]) == (
        1,
        "bound",
        "pod",
        False,
    )
    assert (found[2]["count"], found[2]["warning"]) == (3, True)


def test_metrics_are_those_that_a_step_put_out():
    metrics = ArtifactRow(
        artifact_id="m", namespace="ns", name="metrics", type="system.Metrics", uri="", created_at=START,
        metadata={"accuracy": 0.9, "display_name": "metrics"},
    )  # fmt: skip
    judged, other = task("judge", TaskState.SUCCEEDED, finished=1), task("other", TaskState.SUCCEEDED, finished=2)
    made = ArtifactUse(task_id="judge", artifact_id="m", direction=Direction.OUTPUT, key="metrics")
    read = ArtifactUse(task_id="other", artifact_id="m", direction=Direction.INPUT, key="metrics")
    links = {"judge": [(made, metrics)], "other": [(read, metrics)]}
    assert metric_rows(loaded(other, judged, links=links)) == [("root/judge", "judge", {"accuracy": 0.9})]
