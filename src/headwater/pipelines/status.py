"""A Run object's status, from the run's record: what ``kubectl get`` and ``kubectl wait`` look at."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from headwater.kube.meta.conditions import set_condition
from headwater.kube.meta.objects import Object
from headwater.kube.meta.time import format_time
from headwater.pipelines.models import RunRow, RunState


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
