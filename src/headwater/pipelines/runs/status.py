"""A Run object's status, from the run's record: what ``kubectl get`` and ``kubectl wait`` look at."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from headwater.kube.client import Client
from headwater.kube.controller import EventRecorder
from headwater.kube.meta.conditions import set_condition
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, name_of, namespace_of
from headwater.kube.meta.time import format_time
from headwater.pipelines.records.models import RunChange, RunRow, RunState
from headwater.pipelines.spec.loading import load
from headwater.pipelines.spec.tree import SpecError
from headwater.pipelines.types import RUNS

TTL_SECONDS = 600
"""How long a finished run's object and pods are kept when neither the run nor the pipeline says."""


def status_of(row: RunRow, counts: Mapping[str, int] | None, before: Mapping[str, Any], now: datetime) -> Object:
    """Return the status that the object should have; ``counts`` None leaves the numbers as they were."""
    status: Object = {"state": row.state.value}
    if row.error:
        status["error"] = row.error
    if row.started_at:
        status["startTime"] = format_time(row.started_at)
    if row.finished_at:
        status["completionTime"] = format_time(row.finished_at)
    tasks = dict(counts) if counts is not None else before.get("tasks")
    if tasks:
        status["tasks"] = tasks
    conditions = [dict(condition) for condition in before.get("conditions") or ()]
    over = row.state.finished
    well = row.state is RunState.SUCCEEDED
    reason = row.state.title()
    set_condition(conditions, "Complete", "True" if over else "False", reason, row.error, now)
    set_condition(conditions, "Succeeded", ("True" if well else "False") if over else "Unknown", reason, row.error, now)
    status["conditions"] = conditions
    return status


def stranger_status(run: Object, now: datetime) -> Object:
    """Return the status of an object that names the record of another run."""
    error = "spec.runId names another run, or none that is recorded: leave it out, and the run gets an id of its own."
    before = run.get("status") or {}
    conditions = [dict(condition) for condition in before.get("conditions") or ()]
    set_condition(conditions, "Complete", "True", "Failed", error, now)
    set_condition(conditions, "Succeeded", "False", "Failed", error, now)
    return {"state": RunState.FAILED.value, "error": error, "conditions": conditions}


async def write_status(client: Client, run: Object, status: Object) -> None:
    """Write a Run object's status, if it differs from what the object has; an object that is gone needs none."""
    if status == (run.get("status") or {}):
        return
    try:
        await client.patch(RUNS, name_of(run), {"status": status}, namespace_of(run), subresource="status")
    except StatusError as error:
        if error.code != 404:
            raise


def say_end(events: EventRecorder, run: Object, row: RunRow) -> None:
    """Say in an event how the run ended."""
    if row.state is RunState.SUCCEEDED:
        events.event(run, "Normal", "Succeeded", "The run succeeded.")
    else:
        events.event(run, "Warning", "Failed", row.error[:1024])


def ttl_of(run: Object, row: RunRow) -> float:
    """Return the seconds for which the run's object is kept after its end."""
    given = run["spec"].get("ttlSecondsAfterFinished")
    if given is None and row.platform_spec:
        try:
            given = load(row.pipeline_spec or {}, row.platform_spec).ttl_seconds
        except SpecError:
            given = None
    return float(TTL_SECONDS if given is None else given)


def changed(row: RunRow, change: RunChange, now: datetime) -> RunRow:
    """Return the run as it is after a change."""
    state = change.state or row.state
    return replace(
        row,
        state=state,
        error=change.error if change.error is not None else row.error,
        started_at=change.started_at or row.started_at,
        finished_at=(change.finished_at or now) if state.finished else row.finished_at,
    )
