"""What one transaction does to a run and its tasks; ``records`` decides what belongs into one.

Every change looks at the state it was decided from, with the row held against other writers, and is not applied when
that state has passed. Inserts skip what is there already, so that doing a thing twice is doing it once.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Table, and_, func, select

from headwater.pipelines.records.models import (
    ArtifactRow,
    ArtifactUse,
    RunChange,
    RunState,
    StateChange,
    StorageState,
    TaskChange,
    TaskRow,
    TaskState,
)
from headwater.pipelines.records.rows import (
    Columns,
    artifact_in,
    artifact_out,
    cache_out,
    history_in,
    history_out,
    task_out,
    use_in,
    use_out,
)
from headwater.pipelines.records.tables import artifacts, cache, experiments, runs, tasks, uses

DEFAULT_EXPERIMENT = "Default"


def ensure_experiment(connection: Connection, namespace: str, new_id: str, now: datetime) -> str:
    """Return the id of the namespace's default experiment, made under ``new_id`` if there is none yet."""
    name = and_(experiments.c.namespace == namespace, experiments.c.display_name == DEFAULT_EXPERIMENT)
    found = first(connection, experiments, name)
    if found is not None:
        return str(found["experiment_id"])
    connection.execute(
        experiments.insert().values(
            experiment_id=new_id,
            namespace=namespace,
            display_name=DEFAULT_EXPERIMENT,
            description="Runs that name no experiment.",
            storage_state=StorageState.AVAILABLE.value,
            created_at=now,
        )
    )
    return new_id


def insert_tasks(connection: Connection, run_id: str, new: Sequence[TaskRow]) -> set[str]:
    """Store those of the run's new tasks that are not there yet; return their ids."""
    held = connection.execute(select(tasks.c.task_id).where(tasks.c.run_id == run_id)).scalars()
    known = set(held)
    last = connection.execute(select(func.max(tasks.c.sequence)).where(tasks.c.run_id == run_id)).scalar() or 0
    fresh = {task.task_id: task for task in new if task.task_id not in known}
    if fresh:
        rows = [task_out(task, last + index) for index, task in enumerate(fresh.values(), 1)]
        connection.execute(tasks.insert(), rows)
    return set(fresh)


def change_run(connection: Connection, run_id: str, change: RunChange, now: datetime) -> bool:
    """Apply a change to a run if it is in one of the states it was decided from."""
    row = first(connection, runs, runs.c.run_id == run_id, lock=True)
    if row is None or RunState(row["state"]) not in change.from_states:
        return False
    values: dict[str, Any] = _given(change, ("error", "started_at", "finished_at"))
    if change.state is not None:
        if change.state.finished:
            values.setdefault("finished_at", now)
        if change.state is RunState.RUNNING and row["started_at"] is None:
            values.setdefault("started_at", now)
        values |= _transition(row, change.state, change.error or "", now)
    if values:
        connection.execute(runs.update().where(runs.c.run_id == run_id).values(values))
    return True


_TASK_COLUMNS = (
    "attempt",
    "pod_name",
    "inputs",
    "outputs",
    "data",
    "error",
    "fingerprint",
    "cache_explanation",
    "cached_from",
    "started_at",
    "finished_at",
)


def change_task(connection: Connection, change: TaskChange, now: datetime) -> bool:
    """Apply a change to a task, with all it brings, if the task is in one of the states it was decided from."""
    row = first(connection, tasks, tasks.c.task_id == change.task_id, lock=True)
    if row is None or TaskState(row["state"]) not in change.from_states:
        return False
    values = _given(change, _TASK_COLUMNS)
    if change.state is not None:
        if change.state.finished:
            values.setdefault("finished_at", now)
        values |= _transition(row, change.state, change.error or "", now)
    if values:
        connection.execute(tasks.update().where(tasks.c.task_id == change.task_id).values(values))
    _insert_missing(connection, artifacts, ("artifact_id",), [artifact_out(artifact) for artifact in change.artifacts])
    links = [use_out(use, row["run_id"]) for use in change.uses]
    _insert_missing(connection, uses, ("task_id", "direction", "key", "position"), links)
    if change.cache_entry is not None:
        _insert_missing(connection, cache, ("task_id",), [cache_out(change.cache_entry)])
    return True


def _insert_missing(connection: Connection, table: Table, keys: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        same = and_(*(table.c[key] == row[key] for key in keys))
        if connection.execute(select(table.c[keys[0]]).where(same)).first() is None:
            connection.execute(table.insert().values(row))


def _transition(row: Columns, to: RunState | TaskState, error: str, now: datetime) -> dict[str, Any]:
    if row["state"] == to and not error:
        return {}
    return {
        "state": to.value,
        "state_history": history_out((*history_in(row["state_history"]), StateChange(to, now, error))),
    }


def _given(change: TaskChange | RunChange, names: Sequence[str]) -> dict[str, Any]:
    values = {name: getattr(change, name) for name in names}
    return {
        name: dict(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value is not None
    }


def linked(connection: Connection, where: ColumnElement[bool]) -> list[tuple[ArtifactUse, ArtifactRow]]:
    """Return the links that ``where`` selects, with their artifacts; lists in their order."""
    links = connection.execute(select(uses).where(where).order_by(uses.c.task_id, uses.c.key, uses.c.position)).all()
    wanted = select(uses.c.artifact_id).where(where)
    found = connection.execute(select(artifacts).where(artifacts.c.artifact_id.in_(wanted)))
    by_id = {row.artifact_id: artifact_in(columns_of(row)) for row in found}
    return [(use_in(columns_of(link)), by_id[link.artifact_id]) for link in links if link.artifact_id in by_id]


def first(connection: Connection, table: Table, where: ColumnElement[bool], *, lock: bool = False) -> Columns | None:
    """Return the first row of the table that ``where`` selects, held against other writers if ``lock``."""
    statement = select(table).where(where)
    found = connection.execute(statement.with_for_update() if lock else statement).first()
    return columns_of(found) if found is not None else None


def columns_of(row: Any) -> Columns:
    """Return a result row by column name."""
    return cast(Columns, row._mapping)
