"""A task's inputs: every source followed, placeholders replaced, types made to fit, defaults filled in.

The order is that of Kubeflow Pipelines: values first, then defaults for what is absent (null counts as absent), then
placeholders in constants, which may name any of the task's other inputs.
"""

from collections.abc import Callable, Mapping
from typing import Any

from headwater.pipelines.records.models import TaskState
from headwater.pipelines.runs.tasks import TaskStatus
from headwater.pipelines.spec.tree import ComponentInput, Constant, Dag, FinalStatus, ParameterSource, Task, TaskOutput
from headwater.pipelines.spec.values import coerce, describe, select, substitute

_UNKNOWN_ERROR = 2
"""``google.rpc.Code.UNKNOWN``: nothing more exact is known of a failed step."""
_FINAL_STATES = {
    TaskState.SUCCEEDED: "COMPLETE",
    TaskState.CACHED: "COMPLETE",
    TaskState.SKIPPED: "SKIPPED",
    TaskState.CANCELED: "CANCELLED",
}


class InputError(ValueError):
    """A task cannot begin, because an input has no value or an unfit one."""


def resolve(
    task: Task,
    parameters: Mapping[str, Any],
    artifacts: Mapping[str, tuple[str, ...]],
    status_of: Callable[[str], TaskStatus | None],
    names: Mapping[str, str],
) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    """Return a task's input parameters, and its input artifacts by id.

    ``parameters`` and ``artifacts`` are the DAG's own inputs, ``status_of`` answers for its other tasks, ``names`` for
    the run's placeholders. Raises ``InputError``.
    """
    found: dict[str, Any] = {}
    constants: dict[str, ParameterSource] = {}
    for name, source in task.parameters.items():
        if isinstance(source.origin, Constant):
            constants[name] = source
        else:
            _put(found, task, name, _value(task, name, source, parameters, status_of, names))
    for name, source in constants.items():
        assert isinstance(source.origin, Constant)
        value = substitute(source.origin.value, found, names)
        _put(found, task, name, _selected(name, value, source.selector))
    item = task.loop.item_input if task.loop else None
    for name, declared in task.component.parameters.items():
        if name not in found and declared.default is not None and name != item:
            found[name] = declared.default
        elif name not in found and not declared.optional and name != item:
            raise InputError(f"input {name!r} has no value: {_absent(task, name)}")
        if declared.literals and name in found and found[name] not in declared.literals:
            raise InputError(f"input {name!r}: {describe(found[name])} is not one of {list(declared.literals)}")
    return found, _artifacts(task, artifacts, status_of)


def _put(found: dict[str, Any], task: Task, name: str, value: Any) -> None:
    if value is None:
        return
    declared = task.component.parameters.get(name)
    # Between groups of tasks the compiler guesses types; they are certain where a step takes the value.
    typed = declared is not None and not isinstance(task.component.body, Dag)
    if typed or (declared is not None and isinstance(task.parameters[name].origin, Constant)):
        assert declared is not None
        try:
            value = coerce(value, declared.type)
        except ValueError as error:
            raise InputError(f"input {name!r}: {error}") from None
    found[name] = value


def _value(
    task: Task,
    name: str,
    source: ParameterSource,
    parameters: Mapping[str, Any],
    status_of: Callable[[str], TaskStatus | None],
    names: Mapping[str, str],
) -> Any:
    origin = source.origin
    if isinstance(origin, ComponentInput):
        return _selected(name, parameters.get(origin.name), source.selector)
    assert isinstance(origin, TaskOutput | FinalStatus)
    status = status_of(origin.task)
    assert status is not None, f"task {task.name!r} began before {origin.task!r}"
    if isinstance(origin, TaskOutput):
        return _selected(name, status.outputs.parameters.get(origin.key), source.selector)
    ended: dict[str, Any] = {
        "state": _FINAL_STATES.get(status.state, "FAILED"),
        "pipelineJobResourceName": names.get("$.pipeline_job_resource_name", ""),
        "pipelineTaskName": origin.task,
    }
    if status.error and not status.state.succeeded:
        ended["error"] = {"code": _UNKNOWN_ERROR, "message": status.error}
    return ended


def _selected(name: str, value: Any, selector: str) -> Any:
    if value is None or not selector:
        return value
    try:
        return select(value, selector)
    except ValueError as error:
        raise InputError(f"input {name!r}: {error}") from None


def _absent(task: Task, name: str) -> str:
    source = task.parameters.get(name)
    origin = source.origin if source else task.artifacts.get(name)
    if isinstance(origin, TaskOutput):
        return f"task {origin.task!r} made no output {origin.key!r}"
    if isinstance(origin, ComponentInput):
        return f"{origin.name!r} was not given"
    return "it was not given"


def _artifacts(
    task: Task, artifacts: Mapping[str, tuple[str, ...]], status_of: Callable[[str], TaskStatus | None]
) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, origin in task.artifacts.items():
        if isinstance(origin, ComponentInput):
            ids = artifacts.get(origin.name)
        else:
            status = status_of(origin.task)
            assert status is not None, f"task {task.name!r} began before {origin.task!r}"
            ids = status.outputs.artifacts.get(origin.key)
        declared = task.component.artifacts.get(name)
        if ids is not None:
            if declared is not None and not declared.is_list and len(ids) != 1:
                raise InputError(f"input {name!r} takes one artifact and would get {len(ids)}")
            found[name] = ids
    item = task.loop.item_input if task.loop else None
    for name, declared in task.component.artifacts.items():
        if name not in found and not declared.optional and name != item:
            raise InputError(f"input {name!r} has no artifact: {_absent(task, name)}")
    return found
