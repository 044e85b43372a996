"""A run's tasks while it is worked on: what is recorded, what was decided since, and one transaction for both.

Decisions are noted here first and written together by ``write``. When the records refuse any of them, because somebody
else has changed the run meanwhile, the ledger is stale and must be dropped: the records are the truth.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from headwater.pipelines.records.models import (
    STEP_TYPES,
    ArtifactRow,
    ArtifactUse,
    CacheEntry,
    CacheHit,
    Direction,
    RunChange,
    RunRow,
    StateChange,
    TaskChange,
    TaskRow,
    TaskState,
    TaskType,
)
from headwater.pipelines.records.records import Records
from headwater.pipelines.runs.execute import Step, pod_name_of, task_id_of
from headwater.pipelines.runs.outputs import Outputs
from headwater.pipelines.runs.plan import Closing, Opening, Plan
from headwater.pipelines.runs.steps import Decision, Move
from headwater.pipelines.runs.tasks import TaskStatus, Values
from headwater.pipelines.spec.tree import ROOT, Pipeline, Task


@dataclass(slots=True)
class Ledger:
    """One run's tasks by path."""

    run: RunRow
    pipeline: Pipeline
    parameters: Mapping[str, Any]
    rows: dict[str, TaskRow] = field(default_factory=dict)
    statuses: dict[str, TaskStatus] = field(default_factory=dict)
    active: dict[str, TaskRow] = field(default_factory=dict)
    """The steps that have begun and not ended."""
    artifacts: dict[str, ArtifactRow] = field(default_factory=dict)
    written: bool = False
    """Whether the last ``write`` had anything to record."""
    touched: set[str] | None = None
    """The tasks that ended since the planner last looked; None when it has not looked at all."""
    _tasks: dict[str, Task] = field(default_factory=dict)
    _new: dict[str, TaskRow] = field(default_factory=dict)
    _changes: list[TaskChange] = field(default_factory=list)

    @classmethod
    async def load(cls, records: Records, run: RunRow, pipeline: Pipeline, parameters: Mapping[str, Any]) -> "Ledger":
        """Read a run's tasks and artifacts from the records."""
        ledger = cls(run, pipeline, parameters)
        for row in await records.load_tasks(run.run_id):
            ledger._put(row)
        for _, artifact in await records.load_artifacts(run.run_id):
            ledger.artifacts[artifact.artifact_id] = artifact
        return ledger

    def _put(self, row: TaskRow) -> None:
        before, known = self.rows.get(row.path), self.statuses.get(row.path)
        inputs = known.inputs if known and before and before.inputs is row.inputs else Values.from_record(row.inputs)
        self.rows[row.path] = row
        self.statuses[row.path] = TaskStatus(row.state, inputs, Values.from_record(row.outputs), row.error)
        if row.type in STEP_TYPES and not row.state.finished:
            self.active[row.path] = row
        else:
            self.active.pop(row.path, None)

    def task(self, path: str) -> Task:
        """Return the pipeline's task for a place in the run; an iteration's is its loop's."""
        task = self._tasks.get(path)
        if task is None:
            found = self.pipeline.at(path)
            assert found is not None, f"the pipeline has no {path}"
            _, task = found
            assert task is not None, "the root is no task"
            self._tasks[path] = task
        return task

    def step(self, row: TaskRow) -> Step:
        """Return what the row's current attempt runs."""
        parameters, artifacts = self.inputs_of(row.path)
        return Step(self.task(row.path), row.task_id, row.path, row.attempt, parameters, artifacts)

    def inputs_of(self, path: str) -> tuple[Mapping[str, Any], dict[str, list[ArtifactRow]]]:
        """Return a task's input values and its input artifacts."""
        inputs = self.statuses[path].inputs
        return inputs.parameters, {name: [self.artifacts[one] for one in ids] for name, ids in inputs.artifacts.items()}

    def apply(self, plan: Plan, now: datetime) -> list[TaskRow]:
        """Note a plan's decisions; return the steps that begin."""
        beginning = []
        for opening in plan.opened:
            row = self._opened(opening, now)
            if row.path in self.active:
                beginning.append(row)
        for closing in plan.closed:
            self._closed(closing, now)
        self.touched = set()
        return beginning

    def _opened(self, opening: Opening, now: datetime) -> TaskRow:
        status = opening.status
        task_id = task_id_of(self.run.run_id, opening.path)
        structural = opening.type not in STEP_TYPES
        if opening.task is not None:
            self._tasks[opening.path] = opening.task
        row = TaskRow(
            task_id=task_id,
            run_id=self.run.run_id,
            path=opening.path,
            parent_path=opening.parent_path,
            name=opening.name,
            display_name=opening.display_name,
            type=opening.type,
            state=status.state,
            state_history=(StateChange(status.state, now, status.error),),
            pod_name=self._pod_name(opening, task_id),
            inputs=status.inputs.as_record(),
            outputs=status.outputs.as_record(),
            error=status.error,
            created_at=now,
            started_at=now if structural and not status.state.finished else None,
            finished_at=now if status.state.finished else None,
        )
        self._new[row.path] = row
        self._put(row)
        # A task's status keeps the very values that the planner made, not copies of what is recorded.
        self.statuses[row.path] = status
        if not structural and status.inputs.artifacts:
            links = [
                ArtifactUse(task_id=task_id, artifact_id=one, direction=Direction.INPUT, key=name, position=position)
                for name, ids in status.inputs.artifacts.items()
                for position, one in enumerate(ids)
            ]
            states = frozenset(TaskState)
            self._changes.append(TaskChange(task_id=task_id, from_states=states, uses=links))
        return row

    def _pod_name(self, opening: Opening, task_id: str) -> str:
        if opening.type is not TaskType.CONTAINER or opening.status.state.finished or opening.task is None:
            return ""
        return pod_name_of(self.pipeline.name, opening.task.name, task_id, 0)

    def _closed(self, closing: Closing, now: datetime) -> None:
        status = closing.status
        self.change(
            closing.path,
            state=status.state,
            outputs=status.outputs.as_record(),
            error=status.error or None,
            finished_at=now,
        )

    def amend(self, path: str, **values: Any) -> None:
        """Say more of a task that was opened and is not recorded yet, by the names of ``TaskRow``."""
        self._new[path] = replace(self._new[path], **values)
        self._put(self._new[path])

    def change(self, path: str, **values: Any) -> None:
        """Note a change to a task, by the names of ``TaskChange``; it takes effect here at once."""
        before = self.rows[path]
        self._changes.append(TaskChange(task_id=before.task_id, from_states=frozenset({before.state}), **values))
        kept = {
            name: value
            for name, value in values.items()
            if value is not None and name not in ("artifacts", "uses", "cache_entry")
        }
        row = replace(before, **kept)
        self._put(row)
        if row.state.finished and self.touched is not None:
            self.touched.add(path)
        for artifact in values.get("artifacts", ()):
            self.artifacts[artifact.artifact_id] = artifact

    def note(self, row: TaskRow, decision: Decision, now: datetime) -> None:
        """Note what was decided about a step, but for a result that is taken over: that is ``succeeded``."""
        if decision.move is Move.NOTE:
            self.change(row.path, error=decision.message)
        elif decision.move is Move.BEGAN:
            self.change(row.path, state=TaskState.RUNNING, error="", started_at=row.started_at or now)
        elif decision.move is Move.FAIL:
            self.change(
                row.path,
                state=TaskState.FAILED,
                error=decision.message,
                started_at=row.started_at or now,
                finished_at=now,
            )
        elif decision.move is Move.AGAIN:
            attempt = row.attempt + 1
            self.change(
                row.path,
                state=TaskState.PENDING,
                attempt=attempt,
                pod_name=pod_name_of(self.pipeline.name, self.task(row.path).name, row.task_id, attempt),
                error=f"attempt {row.attempt + 1} did not succeed: {decision.message}",
                data=decision.counts,
            )

    def succeeded(self, path: str, made: Outputs, now: datetime, entry: CacheEntry | None) -> None:
        """Note a step's result."""
        row = self.rows[path]
        outputs = Values(
            made.parameters, {name: tuple(one.artifact_id for one in rows) for name, rows in made.artifacts.items()}
        )
        self.change(
            path,
            state=TaskState.SUCCEEDED,
            outputs=outputs.as_record(),
            error="",
            started_at=row.started_at or now,
            finished_at=now,
            artifacts=tuple(one for rows in made.artifacts.values() for one in rows),
            uses=tuple(_output_uses(row.task_id, made.artifacts)),
            cache_entry=entry,
        )

    def cached(self, path: str, hit: CacheHit, explanation: str, now: datetime) -> None:
        """Note that a step takes an earlier result."""
        row = self.rows[path]
        held: dict[str, list[ArtifactRow]] = {}
        for use, artifact in sorted(hit.artifacts, key=lambda pair: pair[0].position):
            held.setdefault(use.key, []).append(artifact)
            self.artifacts[artifact.artifact_id] = artifact
        outputs = Values(
            Values.from_record(hit.task.outputs).parameters,
            {name: tuple(one.artifact_id for one in rows) for name, rows in held.items()},
        )
        self.change(
            path,
            state=TaskState.CACHED,
            outputs=outputs.as_record(),
            cached_from=hit.task.task_id,
            cache_explanation=explanation,
            pod_name="",
            finished_at=now,
            uses=tuple(_output_uses(row.task_id, held)),
        )

    async def write(self, records: Records, change: RunChange | None = None) -> bool:
        """Record everything that was noted; False when the ledger turned out to be stale."""
        self.written = bool(self._new or self._changes or change is not None)
        if not self.written:
            return True
        applied = await records.save(self.run.run_id, new=tuple(self._new.values()), changes=self._changes, run=change)
        wanted = {row.task_id for row in self._new.values()} | {one.task_id for one in self._changes}
        if change is not None:
            wanted.add(self.run.run_id)
        self._new, self._changes = {}, []
        return wanted <= applied

    def counts(self) -> dict[str, int]:
        """Return how many tasks are in which state."""
        return count_tasks(self.rows.values())

    def unfinished(self) -> list[TaskRow]:
        """Return every task that has not ended, structures too."""
        return [row for row in self.rows.values() if not row.state.finished]


def _output_uses(task_id: str, artifacts: Mapping[str, Sequence[ArtifactRow]]) -> Iterator[ArtifactUse]:
    for name, rows in artifacts.items():
        for position, one in enumerate(rows):
            yield ArtifactUse(
                task_id=task_id, artifact_id=one.artifact_id, direction=Direction.OUTPUT, key=name, position=position
            )


def count_tasks(rows: Iterable[TaskRow]) -> dict[str, int]:
    """Return how many tasks are in which state, by the names of ``types.TaskCounts``; the root does not count."""
    states = [row.state for row in rows if row.path != ROOT]
    return {
        "total": len(states),
        "active": sum(not state.finished for state in states),
        "succeeded": states.count(TaskState.SUCCEEDED),
        "cached": states.count(TaskState.CACHED),
        "skipped": states.count(TaskState.SKIPPED),
        "failed": states.count(TaskState.FAILED) + states.count(TaskState.CANCELED),
    }
