"""What the pages ask of the records beyond the API's lists: metrics of many runs at once, counts, and change stamps.

A stamp is a value that differs when something on a page has changed; it is read again and again while somebody
watches, so it takes only narrow columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from headwater.database import Database
from headwater.pipelines.pages.charts import scalar_metrics
from headwater.pipelines.records.models import ACTIVE_RUN, STEP_TYPES, Direction, RunState, TaskState, TaskType
from headwater.pipelines.records.tables import artifacts, experiments, runs, tasks, uses

_METRICS = ("system.Metrics", "system.ClassificationMetrics")


@dataclass(frozen=True, slots=True)
class Progress:
    """The changing part of one task."""

    path: str
    parent_path: str
    type: TaskType
    state: TaskState
    attempt: int
    started_at: datetime | None
    finished_at: datetime | None


async def run_metrics(database: Database, run_ids: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Return, for each run, the values of every scalar metric that its steps put out or took from the cache."""

    def read(connection: Connection) -> dict[str, dict[str, list[float]]]:
        found: dict[str, dict[str, list[float]]] = {}
        query = (
            select(uses.c.run_id, artifacts.c.metadata)
            .join(artifacts, artifacts.c.artifact_id == uses.c.artifact_id)
            .where(uses.c.run_id.in_(run_ids), uses.c.direction == Direction.OUTPUT, artifacts.c.type.in_(_METRICS))
            .order_by(artifacts.c.created_at)
        )
        for run_id, metadata in connection.execute(query):
            own = found.setdefault(run_id, {})
            for name, value in scalar_metrics(metadata).items():
                own.setdefault(name, []).append(value)
        return found

    return await database.read(read) if run_ids else {}


async def step_counts(database: Database, run_ids: Sequence[str]) -> dict[str, Mapping[str, int]]:
    """Return, for each run, how many of its steps (not the structures around them) are in which state."""

    def read(connection: Connection) -> dict[str, Mapping[str, int]]:
        steps = tasks.c.type.in_(STEP_TYPES)
        query = (
            select(tasks.c.run_id, tasks.c.state, func.count())
            .where(tasks.c.run_id.in_(run_ids), steps)
            .group_by(tasks.c.run_id, tasks.c.state)
        )
        found: dict[str, dict[str, int]] = {}
        for run_id, state, count in connection.execute(query):
            found.setdefault(run_id, {})[state] = count
        return dict(found)

    return await database.read(read) if run_ids else {}


async def experiment_names(database: Database, ids: Sequence[str]) -> dict[str, str]:
    """Return the names of experiments by id."""
    query = select(experiments.c.experiment_id, experiments.c.display_name).where(experiments.c.experiment_id.in_(ids))
    rows = await database.read(lambda connection: connection.execute(query).all()) if ids else []
    return {str(row[0]): str(row[1]) for row in rows}


async def run_counts(database: Database, namespace: str, since: datetime) -> dict[str, int]:
    """Return how many runs are active now, and how many have failed or succeeded since a moment."""

    def read(connection: Connection) -> dict[str, int]:
        def count(*conditions: Any) -> int:
            query = select(func.count()).select_from(runs).where(runs.c.namespace == namespace, *conditions)
            return int(connection.execute(query).scalar_one())

        ended = runs.c.finished_at >= since
        return {
            "active": count(runs.c.state.in_(ACTIVE_RUN)),
            "failed": count(runs.c.state == RunState.FAILED, ended),
            "succeeded": count(runs.c.state == RunState.SUCCEEDED, ended),
        }

    return await database.read(read)


async def list_stamp(database: Database, namespace: str) -> Any:
    """Return the stamp of a namespace's runs."""
    query = (
        select(
            runs.c.state, runs.c.storage_state, func.count(), func.max(runs.c.created_at), func.max(runs.c.finished_at)
        )
        .where(runs.c.namespace == namespace)
        .group_by(runs.c.state, runs.c.storage_state)
    )
    return await database.read(lambda connection: [tuple(row) for row in connection.execute(query)])


async def run_progress(database: Database, run_id: str) -> tuple[RunState, Sequence[Progress]] | None:
    """Return the changing part of a run and its tasks; None when the run is gone."""
    columns = (
        tasks.c.path,
        tasks.c.parent_path,
        tasks.c.type,
        tasks.c.state,
        tasks.c.attempt,
        tasks.c.started_at,
        tasks.c.finished_at,
    )

    def read(connection: Connection) -> tuple[RunState, Sequence[Progress]] | None:
        state = connection.execute(select(runs.c.state).where(runs.c.run_id == run_id)).scalar()
        if state is None:
            return None
        found = connection.execute(select(*columns).where(tasks.c.run_id == run_id).order_by(tasks.c.sequence))
        return RunState(state), [
            Progress(path, parent, TaskType(kind), TaskState(current), attempt, started, finished)
            for path, parent, kind, current, attempt, started, finished in found
        ]

    return await database.read(read)
