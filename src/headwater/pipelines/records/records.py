"""Runs, tasks and artifacts in the records database: the one place where their states change.

Every write is one transaction and conditional on the state that it was decided from, so that two reconcilers, or one
that was killed and came back, cannot take the same result twice. Lists leave out the specs; ``get_run`` brings them.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, and_, case, select

from headwater.database import Database
from headwater.kube.meta.time import Clock
from headwater.pipelines.records.changes import (
    change_run,
    change_task,
    columns_of,
    ensure_experiment,
    first,
    insert_tasks,
    linked,
)
from headwater.pipelines.records.filters import ListQuery
from headwater.pipelines.records.lists import Page, select_page
from headwater.pipelines.records.models import (
    ACTIVE_RUN,
    ArtifactRow,
    ArtifactUse,
    CacheEntry,
    CacheHit,
    Direction,
    RunChange,
    RunRow,
    RunState,
    StateChange,
    StorageState,
    TaskChange,
    TaskRow,
    TaskState,
)
from headwater.pipelines.records.rows import (
    artifact_in,
    cache_in,
    run_in,
    run_out,
    task_in,
    use_in,
)
from headwater.pipelines.records.specs import Specs
from headwater.pipelines.records.tables import artifacts, cache, experiments, runs, tasks, uses


def random_id() -> str:
    """Return a new UUID as text."""
    return str(uuid.uuid4())


class Records:
    """What the run reconciler, the API and the pages read and write about runs."""

    def __init__(self, database: Database, clock: Clock, new_id: Callable[[], str] = random_id) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id
        self._specs = Specs()

    # Runs

    async def create_run(self, run: RunRow) -> bool:
        """Store a new run with its specs; False (and nothing changes) when the id exists.

        A run without an experiment goes into the namespace's experiment ``Default``, which is made if need be. A run
        with a ``spec_hash`` and no spec refers to a spec that is stored already.
        """

        def write(connection: Connection) -> bool:
            if first(connection, runs, runs.c.run_id == run.run_id) is not None:
                return False
            stored = replace(
                run,
                experiment_id=run.experiment_id
                or ensure_experiment(connection, run.namespace, self._new_id(), run.created_at),
                spec_hash=self._specs.put(connection, run.pipeline_spec, run.platform_spec)
                if run.pipeline_spec is not None
                else run.spec_hash,
                state_history=run.state_history or (StateChange(run.state, run.created_at, run.error),),
            )
            connection.execute(runs.insert().values(run_out(stored)))
            connection.execute(
                experiments.update()
                .where(experiments.c.experiment_id == stored.experiment_id)
                .values(last_run_created_at=run.created_at)
            )
            return True

        return await self._database.run(write)

    async def get_run(self, run_id: str, *, with_spec: bool = True) -> RunRow | None:
        """Return the run, or None. Its specs are shared values: treat them as read-only."""

        def read(connection: Connection) -> RunRow | None:
            row = first(connection, runs, runs.c.run_id == run_id)
            if row is None:
                return None
            return run_in(row, self._specs.load(connection, row["spec_hash"]) if with_spec else None)

        return await self._database.read(read)

    async def list_runs(self, query: ListQuery, *, namespace: str = "", experiment_id: str = "") -> Page[RunRow]:
        """Return a page of runs, without specs, of a namespace or an experiment (empty: of all)."""

        def read(connection: Connection) -> Page[RunRow]:
            scope: list[ColumnElement[bool]] = []
            if namespace:
                scope.append(runs.c.namespace == namespace)
            if experiment_id:
                scope.append(runs.c.experiment_id == experiment_id)
            page = select_page(connection, runs, "run_id", query, scope)
            return Page([run_in(row) for row in page.rows], page.total_size, page.next_page_token)

        return await self._database.read(read)

    async def unfinished_runs(self) -> list[RunRow]:
        """Return every run that is not over, oldest first, with its specs: what must have a Run object."""

        def read(connection: Connection) -> list[RunRow]:
            found = connection.execute(
                select(runs).where(runs.c.state.in_(ACTIVE_RUN)).order_by(runs.c.created_at, runs.c.run_id)
            ).all()
            return [run_in(columns_of(row), self._specs.load(connection, row.spec_hash)) for row in found]

        return await self._database.read(read)

    async def spec_documents(self, hashes: Iterable[str]) -> dict[str, bytes]:
        """Return spec documents as JSON, by hash, for answers that only pass them on."""
        wanted = list(hashes)
        return await self._database.read(lambda connection: self._specs.documents(connection, wanted))

    async def set_run_state(self, run_id: str, from_states: Iterable[RunState], to: RunState, error: str = "") -> bool:
        """Move the run; False when it is in none of ``from_states``."""
        change = RunChange(from_states=frozenset(from_states), state=to, error=error or None)
        return run_id in await self.save(run_id, run=change)

    async def request_termination(self, run_id: str) -> bool:
        """Note that somebody wants the run's end and set CANCELING; False when it is over already."""

        def write(connection: Connection) -> bool:
            change = RunChange(state=RunState.CANCELING)
            if not change_run(connection, run_id, change, self._clock.now()):
                return False
            connection.execute(runs.update().where(runs.c.run_id == run_id).values(terminate=True))
            return True

        return await self._database.run(write)

    async def set_run_storage(self, run_id: str, state: StorageState) -> bool:
        """Archive or restore a run; False when there is none."""

        def write(connection: Connection) -> bool:
            statement = runs.update().where(runs.c.run_id == run_id).values(storage_state=state.value)
            return connection.execute(statement).rowcount > 0

        return await self._database.run(write)

    async def delete_run(self, run_id: str) -> bool:
        """Forget a run, its tasks, its cache entries and the artifacts that no other run uses; False if unknown.

        The artifacts' files stay in the store.
        """

        def write(connection: Connection) -> bool:
            row = first(connection, runs, runs.c.run_id == run_id)
            if row is None:
                return False
            for table in (uses, cache, tasks, runs):
                connection.execute(table.delete().where(table.c.run_id == run_id))
            used = select(uses.c.artifact_id).where(uses.c.artifact_id == artifacts.c.artifact_id).exists()
            connection.execute(artifacts.delete().where(artifacts.c.run_id == run_id, ~used))
            self._specs.sweep(connection, [row["spec_hash"]])
            return True

        return await self._database.run(write)

    # Tasks

    async def load_tasks(self, run_id: str) -> list[TaskRow]:
        """Return the run's tasks in the order of their creation."""

        def read(connection: Connection) -> list[TaskRow]:
            found = connection.execute(select(tasks).where(tasks.c.run_id == run_id).order_by(tasks.c.sequence))
            return [task_in(columns_of(row)) for row in found]

        return await self._database.read(read)

    async def load_artifacts(self, run_id: str) -> list[tuple[ArtifactUse, ArtifactRow]]:
        """Return every link between the run's tasks and artifacts, with the artifact; lists in their order."""
        return await self._database.read(lambda connection: linked(connection, uses.c.run_id == run_id))

    async def save(
        self,
        run_id: str,
        *,
        new: Sequence[TaskRow] = (),
        changes: Sequence[TaskChange] = (),
        run: RunChange | None = None,
    ) -> frozenset[str]:
        """Apply a planner's decisions in one transaction.

        ``new`` tasks that exist already are left alone. Returns the ids of the tasks that were created or whose change
        was applied; the run's own id is among them when ``run`` was applied.
        """

        def write(connection: Connection) -> frozenset[str]:
            now = self._clock.now()
            applied = insert_tasks(connection, run_id, new) if new else set()
            applied.update(change.task_id for change in changes if change_task(connection, change, now))
            if run is not None and change_run(connection, run_id, run, now):
                applied.add(run_id)
            return frozenset(applied)

        return await self._database.run(write)

    # The cache

    async def find_cached(self, namespace: str, pipeline_name: str, fingerprint: str) -> CacheHit | None:
        """Return the newest usable result with this fingerprint."""

        def read(connection: Connection) -> CacheHit | None:
            found = connection.execute(
                select(tasks)
                .join(cache, cache.c.task_id == tasks.c.task_id)
                .where(
                    cache.c.namespace == namespace,
                    cache.c.pipeline_name == pipeline_name,
                    cache.c.fingerprint == fingerprint,
                    tasks.c.state == TaskState.SUCCEEDED,
                )
                .order_by(cache.c.created_at.desc())
                .limit(1)
            ).first()
            if found is None:
                return None
            task = task_in(columns_of(found))
            of_task = and_(uses.c.task_id == task.task_id, uses.c.direction == Direction.OUTPUT)
            return CacheHit(task=task, artifacts=linked(connection, of_task))

        return await self._database.read(read)

    async def nearest_cached(self, namespace: str, pipeline_name: str, task_name: str) -> CacheEntry | None:
        """Return the newest entry that a task of this name left, to explain a miss by comparing ``parts``.

        One of the same pipeline is preferred to one of another.
        """

        def read(connection: Connection) -> CacheEntry | None:
            found = connection.execute(
                select(cache)
                .where(cache.c.namespace == namespace, cache.c.task_name == task_name)
                .order_by(case((cache.c.pipeline_name == pipeline_name, 0), else_=1), cache.c.created_at.desc())
                .limit(1)
            ).first()
            return cache_in(columns_of(found)) if found is not None else None

        return await self._database.read(read)

    # Artifacts

    async def get_artifact(self, artifact_id: str) -> ArtifactRow | None:
        """Return the artifact, or None."""

        def read(connection: Connection) -> ArtifactRow | None:
            row = first(connection, artifacts, artifacts.c.artifact_id == artifact_id)
            return artifact_in(row) if row is not None else None

        return await self._database.read(read)

    async def list_artifacts(self, query: ListQuery, *, namespace: str = "") -> Page[ArtifactRow]:
        """Return a page of artifacts of a namespace (empty: of all)."""

        def read(connection: Connection) -> Page[ArtifactRow]:
            scope = [artifacts.c.namespace == namespace] if namespace else []
            page = select_page(connection, artifacts, "artifact_id", query, scope)
            return Page([artifact_in(row) for row in page.rows], page.total_size, page.next_page_token)

        return await self._database.read(read)

    async def artifact_uses(self, artifact_id: str) -> list[tuple[ArtifactUse, TaskRow]]:
        """Return the tasks that made or read the artifact: one step of the lineage."""

        def read(connection: Connection) -> list[tuple[ArtifactUse, TaskRow]]:
            links = connection.execute(select(uses).where(uses.c.artifact_id == artifact_id)).all()
            ids = {link.task_id for link in links}
            found = connection.execute(select(tasks).where(tasks.c.task_id.in_(ids)).order_by(tasks.c.created_at))
            by_id = {row.task_id: task_in(columns_of(row)) for row in found}
            order = list(by_id)
            present = sorted(
                (link for link in links if link.task_id in by_id), key=lambda link: order.index(link.task_id)
            )
            return [(use_in(columns_of(link)), by_id[link.task_id]) for link in present]

        return await self._database.read(read)

    async def find_uses(
        self, *, run_ids: Sequence[str] = (), task_ids: Sequence[str] = (), artifact_ids: Sequence[str] = ()
    ) -> list[tuple[ArtifactUse, str, str]]:
        """Return the links that satisfy every condition given, each with its run's id and namespace."""
        wanted = ((uses.c.run_id, run_ids), (uses.c.task_id, task_ids), (uses.c.artifact_id, artifact_ids))
        conditions = [column.in_(list(values)) for column, values in wanted if values]

        def read(connection: Connection) -> list[tuple[ArtifactUse, str, str]]:
            found = connection.execute(
                select(uses, runs.c.namespace)
                .join(runs, runs.c.run_id == uses.c.run_id)
                .where(*conditions)
                .order_by(uses.c.run_id, uses.c.task_id, uses.c.key, uses.c.position)
            )
            return [(use_in(columns_of(row)), row.run_id, row.namespace) for row in found]

        return await self._database.read(read)
