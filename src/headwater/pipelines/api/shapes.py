"""Records as the v2beta1 API shows them.

A run's tasks are shown twice: as ``run_details.task_details``, which the SDK of today reads, and as ``tasks``, the
shape that replaces it (and ML Metadata) in newer servers. States differ between the two: the older has no CACHED, so a
cached task is SKIPPED there; the newer has neither PENDING nor CANCELED.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from headwater.capability.errors import Code
from headwater.pipelines.api.wire import present, stamp
from headwater.pipelines.records.models import (
    ArtifactRow,
    ArtifactUse,
    Direction,
    ExperimentRow,
    PipelineRow,
    PipelineVersionRow,
    RunRow,
    StateChange,
    TaskRow,
    TaskState,
    TaskType,
)

Linked = Sequence[tuple[ArtifactUse, ArtifactRow]]


def experiment_json(row: ExperimentRow) -> dict[str, Any]:
    """Return a ``V2beta1Experiment``."""
    return present(
        experiment_id=row.experiment_id,
        display_name=row.display_name,
        description=row.description,
        created_at=stamp(row.created_at),
        namespace=row.namespace,
        storage_state=row.storage_state,
        last_run_created_at=stamp(row.last_run_created_at),
    )


def pipeline_json(row: PipelineRow) -> dict[str, Any]:
    """Return a ``V2beta1Pipeline``."""
    return present(
        pipeline_id=row.pipeline_id,
        display_name=row.display_name,
        name=row.name,
        description=row.description,
        created_at=stamp(row.created_at),
        namespace=row.namespace,
        tags=dict(row.tags),
    )


def version_json(row: PipelineVersionRow, document: bytes | None) -> dict[str, Any]:
    """Return a ``V2beta1PipelineVersion`` with its spec's stored document."""
    return present(
        pipeline_id=row.pipeline_id,
        pipeline_version_id=row.pipeline_version_id,
        display_name=row.display_name,
        name=row.name,
        description=row.description,
        created_at=stamp(row.created_at),
        package_url=present(pipeline_url=row.package_url),
        code_source_url=row.code_source_url,
        pipeline_spec=orjson.Fragment(document) if document is not None else None,
        tags=dict(row.tags),
    )


def run_json(row: RunRow, document: bytes | None = None) -> dict[str, Any]:
    """Return a ``V2beta1Run`` without its tasks; the spec only for a run that refers to no pipeline version."""
    reference = present(pipeline_id=row.pipeline_id, pipeline_version_id=row.pipeline_version_id)
    return present(
        experiment_id=row.experiment_id,
        run_id=row.run_id,
        display_name=row.display_name,
        storage_state=row.storage_state,
        description=row.description,
        pipeline_spec=orjson.Fragment(document) if document is not None and not reference else None,
        pipeline_version_reference=reference,
        runtime_config=present(parameters=dict(row.parameters), pipeline_root=row.pipeline_root),
        service_account=row.service_account,
        created_at=stamp(row.created_at),
        scheduled_at=stamp(row.scheduled_at or row.created_at),
        finished_at=stamp(row.finished_at),
        state=row.state,
        error=_error(row.error),
        recurring_run_id=row.recurring_run_id,
        state_history=[_status(change, change.state) for change in row.state_history],
    )


def task_details(run: RunRow, tasks: Sequence[TaskRow], linked: Linked) -> list[dict[str, Any]]:
    """Return the run's tasks as ``V2beta1PipelineTaskDetail``, as kfp 2.17 knows it."""
    ids, children, links = _structure(tasks, linked)
    return [
        present(
            run_id=run.run_id,
            task_id=task.task_id,
            display_name=task.display_name or task.name,
            create_time=stamp(task.created_at),
            start_time=stamp(task.started_at),
            end_time=stamp(task.finished_at),
            executor_detail=present(main_job=task.pod_name),
            state=_detail_state(task.state),
            error=_error(task.error),
            inputs=_artifact_ids(links, task, Direction.INPUT),
            outputs=_artifact_ids(links, task, Direction.OUTPUT),
            parent_task_id=ids.get(task.parent_path),
            state_history=[_status(change, _detail_state(change.state)) for change in task.state_history],
            pod_name=task.pod_name,
            child_tasks=[{"task_id": child.task_id} for child in children.get(task.path, ())],
        )
        for task in tasks
    ]


def tasks_json(run: RunRow, tasks: Sequence[TaskRow], linked: Linked) -> list[dict[str, Any]]:
    """Return the run's tasks in the newer shape, with values, artifacts and why the cache was used or not."""
    ids, children, links = _structure(tasks, linked)
    return [
        present(
            name=task.name,
            display_name=task.display_name or task.name,
            task_id=task.task_id,
            run_id=run.run_id,
            pods=[{"name": task.pod_name, "type": "EXECUTOR"}] if task.pod_name else [],
            cache_fingerprint=task.fingerprint,
            create_time=stamp(task.created_at),
            start_time=stamp(task.started_at),
            end_time=stamp(task.finished_at),
            state=_TASK_STATES.get(task.state),
            status_metadata=_status_metadata(task),
            state_history=[_status(change, _TASK_STATES.get(change.state)) for change in task.state_history],
            type=_TASK_TYPES[task.type],
            type_attributes=_type_attributes(task),
            error=_error(task.error),
            parent_task_id=ids.get(task.parent_path),
            child_tasks=[{"task_id": child.task_id, "name": child.name} for child in children.get(task.path, ())],
            inputs=_values(task, task.inputs, links, Direction.INPUT),
            outputs=_values(task, task.outputs, links, Direction.OUTPUT),
            scope_path=task.path.replace("/", "."),
        )
        for task in tasks
    ]


def artifact_json(row: ArtifactRow) -> dict[str, Any]:
    """Return an ``Artifact`` in the shape that replaces ML Metadata."""
    return present(
        artifact_id=row.artifact_id,
        name=row.name,
        type=_ARTIFACT_TYPES.get(row.type, "Artifact"),
        uri=row.uri,
        metadata=dict(row.metadata),
        created_at=stamp(row.created_at),
        namespace=row.namespace,
    )


def artifact_task_json(use: ArtifactUse, run_id: str) -> dict[str, Any]:
    """Return an ``ArtifactTask``: one link of the lineage."""
    return present(
        id=f"{use.task_id}.{use.direction}.{use.key}.{use.position}",
        artifact_id=use.artifact_id,
        run_id=run_id,
        task_id=use.task_id,
        type=_IO_TYPES[use.direction],
        key=use.key,
    )


_IO_TYPES = {Direction.INPUT: "TASK_OUTPUT_INPUT", Direction.OUTPUT: "OUTPUT"}

_ARTIFACT_TYPES = {
    "system.Model": "Model",
    "system.Dataset": "Dataset",
    "system.HTML": "HTML",
    "system.Markdown": "Markdown",
    "system.Metrics": "Metric",
    "system.ClassificationMetrics": "ClassificationMetric",
    "system.SlicedClassificationMetrics": "SlicedClassificationMetric",
}

_TASK_TYPES = {
    TaskType.ROOT: "ROOT",
    TaskType.CONTAINER: "RUNTIME",
    TaskType.IMPORTER: "IMPORTER",
    TaskType.DAG: "DAG",
    TaskType.LOOP: "LOOP",
    TaskType.ITERATION: "DAG",
    TaskType.CONDITION: "CONDITION",
    TaskType.EXIT_HANDLER: "EXIT_HANDLER",
}

_TASK_STATES: dict[str, str] = {
    TaskState.RUNNING: "RUNNING",
    TaskState.SUCCEEDED: "SUCCEEDED",
    TaskState.CACHED: "CACHED",
    TaskState.SKIPPED: "SKIPPED",
    TaskState.FAILED: "FAILED",
    TaskState.CANCELED: "FAILED",
}


def _detail_state(state: str) -> str:
    return "SKIPPED" if state == TaskState.CACHED else state


def _error(message: str) -> dict[str, Any]:
    return {"code": Code.INTERNAL, "message": message} if message else {}


def _status(change: StateChange, state: str | None) -> dict[str, Any]:
    return present(update_time=stamp(change.at), state=state, error=_error(change.error))


def _structure(
    tasks: Sequence[TaskRow], linked: Linked
) -> tuple[dict[str, str], dict[str, list[TaskRow]], dict[tuple[str, Direction], dict[str, list[ArtifactRow]]]]:
    """Index a run: task ids by path, children by parent path, artifacts by task, direction and key."""
    children: dict[str, list[TaskRow]] = {}
    for task in tasks:
        children.setdefault(task.parent_path, []).append(task)
    links: dict[tuple[str, Direction], dict[str, list[ArtifactRow]]] = {}
    for use, artifact in linked:
        links.setdefault((use.task_id, use.direction), {}).setdefault(use.key, []).append(artifact)
    return {task.path: task.task_id for task in tasks}, children, links


def _artifact_ids(
    links: Mapping[tuple[str, Direction], Mapping[str, Sequence[ArtifactRow]]], task: TaskRow, direction: Direction
) -> dict[str, Any]:
    held = links.get((task.task_id, direction), {})
    return {key: {"artifact_ids": [one.artifact_id for one in artifacts]} for key, artifacts in held.items()}


def _values(
    task: TaskRow,
    values: Mapping[str, Any],
    links: Mapping[tuple[str, Direction], Mapping[str, Sequence[ArtifactRow]]],
    direction: Direction,
) -> dict[str, Any]:
    held = links.get((task.task_id, direction), {})
    kind = "OUTPUT" if direction is Direction.OUTPUT else "COMPONENT_INPUT"
    parameters = values.get("parameters") or {}
    return present(
        parameters=[{"parameter_key": name, "value": value, "type": kind} for name, value in parameters.items()],
        artifacts=[
            {"artifact_key": key, "type": _IO_TYPES[direction], "artifacts": [artifact_json(one) for one in artifacts]}
            for key, artifacts in held.items()
        ],
    )


def _status_metadata(task: TaskRow) -> dict[str, Any]:
    custom = present(cache_explanation=task.cache_explanation, cached_from=task.cached_from)
    return present(message=task.error, custom_properties=custom)


def _type_attributes(task: TaskRow) -> dict[str, Any]:
    last = task.path.rpartition("/")[2]
    return {"iteration_index": last} if task.type is TaskType.ITERATION and last.isdigit() else {}
