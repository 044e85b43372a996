"""Runs, tasks and artifacts in the records database: the one place where their states change.

Every write is one transaction and conditional on the state that it was decided from, so that two reconcilers, or one
that was killed and came back, cannot take the same result twice. Lists leave out the specs; ``get_run`` brings them.
"""

from collections.abc import Iterable, Sequence

from headwater.database import Database
from headwater.kube.meta.time import Clock
from headwater.pipelines.models import (
    ArtifactRow,
    ArtifactUse,
    CacheEntry,
    CacheHit,
    RunChange,
    RunRow,
    RunState,
    TaskChange,
    TaskRow,
)


class Records:
    """What the run reconciler, the API and the pages read and write about runs."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create_run(self, run: RunRow) -> bool:
        """Store a new run with its specs; False (and nothing changes) when the id exists."""
        raise NotImplementedError

    async def get_run(self, run_id: str, *, with_spec: bool = True) -> RunRow | None:
        """Return the run, or None."""
        raise NotImplementedError

    async def unfinished_runs(self) -> list[RunRow]:
        """Return every run that is not over, oldest first, with its specs: what must have a Run object."""
        raise NotImplementedError

    async def load_tasks(self, run_id: str) -> list[TaskRow]:
        """Return the run's tasks in the order of their creation."""
        raise NotImplementedError

    async def load_artifacts(self, run_id: str) -> list[tuple[ArtifactUse, ArtifactRow]]:
        """Return every link between the run's tasks and artifacts, with the artifact."""
        raise NotImplementedError

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
        raise NotImplementedError

    async def finish_task(self, change: TaskChange) -> bool:
        """Take over one task's result; False when it was taken already."""
        raise NotImplementedError

    async def set_run_state(self, run_id: str, from_states: Iterable[RunState], to: RunState, error: str = "") -> bool:
        """Move the run; False when it is in none of ``from_states``."""
        raise NotImplementedError

    async def request_termination(self, run_id: str) -> bool:
        """Note that somebody wants the run's end and set CANCELING; False when it is over already."""
        raise NotImplementedError

    async def find_cached(self, namespace: str, pipeline_name: str, fingerprint: str) -> CacheHit | None:
        """Return the newest usable result with this fingerprint."""
        raise NotImplementedError

    async def nearest_cached(self, namespace: str, pipeline_name: str, task_name: str) -> CacheEntry | None:
        """Return the newest entry that a task of this name left, to explain a miss by comparing ``parts``."""
        raise NotImplementedError

    async def get_artifact(self, artifact_id: str) -> ArtifactRow | None:
        """Return the artifact, or None."""
        raise NotImplementedError

    async def artifact_uses(self, artifact_id: str) -> list[tuple[ArtifactUse, TaskRow]]:
        """Return the tasks that made or read the artifact: one step of the lineage."""
        raise NotImplementedError
