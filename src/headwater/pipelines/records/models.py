"""What the pipelines room remembers, as plain values: runs, tasks, artifacts and what connects them.

These are the rows of the records database as the rest of the room sees them (``tables`` says how they are stored). The
names and states are those of Kubeflow Pipelines v2beta1; times are aware UTC ``datetime`` values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class RunState(StrEnum):
    """``V2beta1RuntimeState`` of a run. SDK waiters end on SUCCEEDED, FAILED and SKIPPED only."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    CANCELING = "CANCELING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self in (RunState.SUCCEEDED, RunState.FAILED, RunState.SKIPPED)


class TaskState(StrEnum):
    """The state of one task of a run."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    CACHED = "CACHED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self not in (TaskState.PENDING, TaskState.RUNNING)

    @property
    def succeeded(self) -> bool:
        """Whether its outputs may be used."""
        return self in (TaskState.SUCCEEDED, TaskState.CACHED)


class TaskType(StrEnum):
    """What a task is: a step with a pod, or a structure that holds others."""

    ROOT = "ROOT"
    CONTAINER = "CONTAINER"
    IMPORTER = "IMPORTER"
    DAG = "DAG"
    LOOP = "LOOP"
    ITERATION = "ITERATION"
    CONDITION = "CONDITION"
    EXIT_HANDLER = "EXIT_HANDLER"


STEP_TYPES = frozenset({TaskType.CONTAINER, TaskType.IMPORTER})
"""The tasks that do something themselves, and not the structures around them."""


class StorageState(StrEnum):
    """Whether an experiment or a run is among the archived ones."""

    AVAILABLE = "AVAILABLE"
    ARCHIVED = "ARCHIVED"


class Direction(StrEnum):
    """Whether a task reads an artifact or made it."""

    INPUT = "INPUT"
    OUTPUT = "OUTPUT"


ACTIVE_RUN = frozenset({RunState.PENDING, RunState.RUNNING, RunState.PAUSED, RunState.CANCELING})
ACTIVE_TASK = frozenset({TaskState.PENDING, TaskState.RUNNING})


@dataclass(frozen=True, slots=True)
class StateChange:
    """One line of a state history."""

    state: str
    at: datetime
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run. ``pipeline_spec`` and ``platform_spec`` are None where a query left them out (lists do)."""

    run_id: str
    namespace: str
    experiment_id: str
    display_name: str
    description: str = ""
    state: RunState = RunState.PENDING
    storage_state: StorageState = StorageState.AVAILABLE
    state_history: Sequence[StateChange] = ()
    error: str = ""
    pipeline_id: str = ""
    pipeline_version_id: str = ""
    pipeline_name: str = ""
    """``pipelineInfo.name`` of the spec; part of the cache's scope."""
    spec_hash: str = ""
    pipeline_spec: Mapping[str, Any] | None = None
    platform_spec: Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    pipeline_root: str = ""
    service_account: str = ""
    recurring_run_id: str = ""
    terminate: bool = False
    """Somebody asked for the run's end."""
    created_at: datetime
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One task of a run, also the structural ones."""

    task_id: str
    run_id: str
    path: str
    """Unique in the run, parents first: ``root/for-loop-3/1/train``."""
    parent_path: str = ""
    name: str
    display_name: str = ""
    type: TaskType = TaskType.CONTAINER
    state: TaskState = TaskState.PENDING
    state_history: Sequence[StateChange] = ()
    attempt: int = 0
    pod_name: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """``{"parameters": {name: value}, "artifacts": {name: [artifact id]}}``; artifacts are also linked as uses."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    """The reconciler's own: failures and losses so far, when the next attempt is due, the fingerprint's parts."""
    error: str = ""
    fingerprint: str = ""
    cache_explanation: str = ""
    """Why the task was or was not taken from the cache, for a person."""
    cached_from: str = ""
    """The ``task_id`` whose outputs were taken."""
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRow:
    """One artifact: where it lies and what is known of it. Metric values live in ``metadata``."""

    artifact_id: str
    namespace: str
    name: str
    type: str = "system.Artifact"
    """The schema title: ``system.Model``, ``system.Dataset``, ``system.Metrics`` …"""
    uri: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    run_id: str = ""
    """The run that made it, empty for an imported one that no run made."""
    task_id: str = ""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactUse:
    """A link between a task and an artifact under the name that the component gives it."""

    task_id: str
    artifact_id: str
    direction: Direction
    key: str
    """The input's or output's name in the component."""
    position: int = 0
    """The place in a list of artifacts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """What a finished task leaves for later ones with the same fingerprint."""

    namespace: str
    pipeline_name: str
    fingerprint: str
    task_id: str
    run_id: str
    task_name: str
    parts: Mapping[str, str] = field(default_factory=dict)
    """The digest of each part of the fingerprint (image, command, each input): comparing explains a miss."""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheHit:
    """A cached result: the task that made it and the artifacts it put out."""

    task: TaskRow
    artifacts: Sequence[tuple[ArtifactUse, ArtifactRow]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChange:
    """A change to one task. None leaves a column as it is.

    It is applied only if the task is in one of ``from_states`` at that moment: this is how a result is taken exactly
    once. What comes with it (links, artifacts, cache entry) is written in the same transaction or not at all.
    """

    task_id: str
    from_states: frozenset[TaskState] = ACTIVE_TASK
    state: TaskState | None = None
    attempt: int | None = None
    pod_name: str | None = None
    inputs: Mapping[str, Any] | None = None
    outputs: Mapping[str, Any] | None = None
    data: Mapping[str, Any] | None = None
    error: str | None = None
    fingerprint: str | None = None
    cache_explanation: str | None = None
    cached_from: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    """Set to the present by itself when ``state`` is a finished one."""
    artifacts: Sequence[ArtifactRow] = ()
    """New artifacts; one that exists already (same id) is left as it is."""
    uses: Sequence[ArtifactUse] = ()
    cache_entry: CacheEntry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChange:
    """A change to a run, applied only from one of ``from_states``. None leaves a column as it is."""

    from_states: frozenset[RunState] = ACTIVE_RUN
    state: RunState | None = None
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentRow:
    """A named group of runs in a namespace."""

    experiment_id: str
    namespace: str
    display_name: str
    description: str = ""
    storage_state: StorageState = StorageState.AVAILABLE
    created_at: datetime
    last_run_created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRow:
    """A named pipeline; its content is in its versions. An empty namespace means shared by all."""

    pipeline_id: str
    namespace: str
    name: str
    display_name: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineVersionRow:
    """One version of a pipeline. The specs are None where a query left them out."""

    pipeline_version_id: str
    pipeline_id: str
    name: str
    display_name: str
    description: str = ""
    spec_hash: str = ""
    pipeline_spec: Mapping[str, Any] | None = None
    platform_spec: Mapping[str, Any] | None = None
    package_url: str = ""
    code_source_url: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime
