"""Between database rows and the room's values: the only place that knows how each value is written down.

State histories are short lists ``[state, microseconds, error]``. A spec's document is what the API echoes: the bare
``PipelineSpec``, or ``{"pipeline_spec", "platform_spec"}`` when there is a platform part; it is stored compressed.
"""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from headwater.pipelines.records.models import (
    ArtifactRow,
    ArtifactUse,
    CacheEntry,
    Direction,
    ExperimentRow,
    PipelineRow,
    PipelineVersionRow,
    RunRow,
    RunState,
    StateChange,
    StorageState,
    TaskRow,
    TaskState,
    TaskType,
)

Columns = Mapping[str, Any]
"""A database row by column name."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def history_out(changes: Sequence[StateChange]) -> list[list[Any]]:
    """Return a state history as it is stored."""
    return [[change.state, (change.at - _EPOCH) // _MICROSECOND, change.error] for change in changes]


def history_in(stored: Sequence[Sequence[Any]]) -> tuple[StateChange, ...]:
    """Read a stored state history."""
    return tuple(StateChange(state, _EPOCH + at * _MICROSECOND, error) for state, at, error in stored)


def spec_document(pipeline_spec: Mapping[str, Any], platform_spec: Mapping[str, Any] | None) -> bytes:
    """Return the document that stands for both specs, as JSON with sorted keys."""
    document: Any = {"pipeline_spec": pipeline_spec, "platform_spec": platform_spec} if platform_spec else pipeline_spec
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def spec_hash(document: bytes) -> str:
    """Return the name under which the document is stored."""
    return hashlib.sha256(document).hexdigest()


def compress(document: bytes) -> bytes:
    """Return the document as it is stored."""
    return zlib.compress(document, 1)


def decompress(body: bytes) -> bytes:
    """Return a stored document's JSON."""
    return zlib.decompress(body)


def split_document(document: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """Return the pipeline spec and the platform spec of a document."""
    if "pipeline_spec" in document:
        return document["pipeline_spec"], document.get("platform_spec")
    return document, None


def run_out(run: RunRow) -> dict[str, Any]:
    """Return a run's columns."""
    return {
        "run_id": run.run_id,
        "namespace": run.namespace,
        "experiment_id": run.experiment_id,
        "display_name": run.display_name,
        "description": run.description,
        "state": run.state.value,
        "storage_state": run.storage_state.value,
        "state_history": history_out(run.state_history),
        "error": run.error,
        "pipeline_id": run.pipeline_id,
        "pipeline_version_id": run.pipeline_version_id,
        "pipeline_name": run.pipeline_name,
        "spec_hash": run.spec_hash,
        "parameters": dict(run.parameters),
        "pipeline_root": run.pipeline_root,
        "service_account": run.service_account,
        "recurring_run_id": run.recurring_run_id,
        "terminate": run.terminate,
        "created_at": run.created_at,
        "scheduled_at": run.scheduled_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }


def run_in(row: Columns, document: Mapping[str, Any] | None = None) -> RunRow:
    """Read a run; with its spec's document, with its specs."""
    pipeline_spec, platform_spec = split_document(document) if document is not None else (None, None)
    return RunRow(
        run_id=row["run_id"],
        namespace=row["namespace"],
        experiment_id=row["experiment_id"],
        display_name=row["display_name"],
        description=row["description"],
        state=RunState(row["state"]),
        storage_state=StorageState(row["storage_state"]),
        state_history=history_in(row["state_history"]),
        error=row["error"],
        pipeline_id=row["pipeline_id"],
        pipeline_version_id=row["pipeline_version_id"],
        pipeline_name=row["pipeline_name"],
        spec_hash=row["spec_hash"],
        pipeline_spec=pipeline_spec,
        platform_spec=platform_spec,
        parameters=row["parameters"],
        pipeline_root=row["pipeline_root"],
        service_account=row["service_account"],
        recurring_run_id=row["recurring_run_id"],
        terminate=row["terminate"],
        created_at=row["created_at"],
        scheduled_at=row["scheduled_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def task_out(task: TaskRow, sequence: int) -> dict[str, Any]:
    """Return a task's columns."""
    return {
        "task_id": task.task_id,
        "run_id": task.run_id,
        "sequence": sequence,
        "path": task.path,
        "parent_path": task.parent_path,
        "name": task.name,
        "display_name": task.display_name or task.name,
        "type": task.type.value,
        "state": task.state.value,
        "state_history": history_out(task.state_history or (StateChange(task.state, task.created_at, task.error),)),
        "attempt": task.attempt,
        "pod_name": task.pod_name,
        "inputs": dict(task.inputs),
        "outputs": dict(task.outputs),
        "data": dict(task.data),
        "error": task.error,
        "fingerprint": task.fingerprint,
        "cache_explanation": task.cache_explanation,
        "cached_from": task.cached_from,
        "created_at": task.created_at,
        "started_at": task.started_at,
        "finished_at": task.finished_at,
    }


def task_in(row: Columns) -> TaskRow:
    """Read a task."""
    return TaskRow(
        task_id=row["task_id"],
        run_id=row["run_id"],
        path=row["path"],
        parent_path=row["parent_path"],
        name=row["name"],
        display_name=row["display_name"],
        type=TaskType(row["type"]),
        state=TaskState(row["state"]),
        state_history=history_in(row["state_history"]),
        attempt=row["attempt"],
        pod_name=row["pod_name"],
        inputs=row["inputs"],
        outputs=row["outputs"],
        data=row["data"],
        error=row["error"],
        fingerprint=row["fingerprint"],
        cache_explanation=row["cache_explanation"],
        cached_from=row["cached_from"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def artifact_out(artifact: ArtifactRow) -> dict[str, Any]:
    """Return an artifact's columns."""
    return {
        "artifact_id": artifact.artifact_id,
        "namespace": artifact.namespace,
        "name": artifact.name,
        "type": artifact.type,
        "uri": artifact.uri,
        "metadata": dict(artifact.metadata),
        "run_id": artifact.run_id,
        "task_id": artifact.task_id,
        "created_at": artifact.created_at,
    }


def artifact_in(row: Columns) -> ArtifactRow:
    """Read an artifact."""
    return ArtifactRow(**{name: row[name] for name in ArtifactRow.__slots__})


def use_out(use: ArtifactUse, run_id: str) -> dict[str, Any]:
    """Return the columns of a link between a task of the run and an artifact."""
    return {
        "task_id": use.task_id,
        "artifact_id": use.artifact_id,
        "direction": use.direction.value,
        "key": use.key,
        "position": use.position,
        "run_id": run_id,
    }


def use_in(row: Columns) -> ArtifactUse:
    """Read a link."""
    return ArtifactUse(
        task_id=row["task_id"],
        artifact_id=row["artifact_id"],
        direction=Direction(row["direction"]),
        key=row["key"],
        position=row["position"],
    )


def cache_out(entry: CacheEntry) -> dict[str, Any]:
    """Return a cache entry's columns."""
    columns = {name: getattr(entry, name) for name in CacheEntry.__slots__}
    return columns | {"parts": dict(entry.parts)}


def cache_in(row: Columns) -> CacheEntry:
    """Read a cache entry."""
    return CacheEntry(**{name: row[name] for name in CacheEntry.__slots__})


def experiment_out(experiment: ExperimentRow) -> dict[str, Any]:
    """Return an experiment's columns."""
    columns = {name: getattr(experiment, name) for name in ExperimentRow.__slots__}
    return columns | {"storage_state": experiment.storage_state.value}


def experiment_in(row: Columns) -> ExperimentRow:
    """Read an experiment."""
    columns = {name: row[name] for name in ExperimentRow.__slots__}
    return ExperimentRow(**columns | {"storage_state": StorageState(row["storage_state"])})


def pipeline_out(pipeline: PipelineRow) -> dict[str, Any]:
    """Return a pipeline's columns."""
    columns = {name: getattr(pipeline, name) for name in PipelineRow.__slots__}
    return columns | {"tags": dict(pipeline.tags)}


def pipeline_in(row: Columns) -> PipelineRow:
    """Read a pipeline."""
    return PipelineRow(**{name: row[name] for name in PipelineRow.__slots__})


_SPECS = ("pipeline_spec", "platform_spec")


def version_out(version: PipelineVersionRow) -> dict[str, Any]:
    """Return a version's columns."""
    columns = {name: getattr(version, name) for name in PipelineVersionRow.__slots__ if name not in _SPECS}
    return columns | {"tags": dict(version.tags)}


def version_in(row: Columns, document: Mapping[str, Any] | None = None) -> PipelineVersionRow:
    """Read a version; with its spec's document, with its specs."""
    columns = {name: row[name] for name in PipelineVersionRow.__slots__ if name not in _SPECS}
    pipeline_spec, platform_spec = split_document(document) if document is not None else (None, None)
    return PipelineVersionRow(**columns, pipeline_spec=pipeline_spec, platform_spec=platform_spec)
