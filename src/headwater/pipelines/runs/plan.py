"""What a run does next: a pure function of the pipeline, the run's inputs and the state of its tasks.

One call walks the pipeline once, in the order in which data flows, and decides everything that can be decided: which
tasks begin and with what inputs, which are skipped and why, which loops and DAGs are complete and with what outputs,
and whether the run is over. Tasks are told apart by path (``root/for-loop-3/1/train``). Called again with its
decisions applied, it decides nothing new.

The rules are those of Kubeflow Pipelines: a task waits for its upstream tasks to succeed (or, with
``ALL_UPSTREAM_TASKS_COMPLETED``, to end); what depends on a failed or skipped task is skipped; a failure does not stop
branches that do not depend on it, but fails its DAG once they are done.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from headwater.pipelines.records.models import RunState, TaskState, TaskType
from headwater.pipelines.runs.resolve import InputError, resolve
from headwater.pipelines.runs.tasks import TaskStatus, Values
from headwater.pipelines.spec import conditions
from headwater.pipelines.spec.tree import ROOT, Component, Container, Dag, Importer, Pipeline, Task, TaskOutput, Trigger
from headwater.pipelines.spec.values import describe


@dataclass(frozen=True, slots=True)
class Opening:
    """A task that begins now. One in a finished state (skipped, failed) begins and ends at once."""

    path: str
    parent_path: str
    name: str
    display_name: str
    type: TaskType
    status: TaskStatus
    task: Task | None
    """None for the root."""


@dataclass(frozen=True, slots=True)
class Closing:
    """A structural task that is complete."""

    path: str
    status: TaskStatus


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the run ends."""

    state: RunState
    error: str = ""
    outputs: Values = field(default_factory=Values)


@dataclass(slots=True)
class Plan:
    """Everything that can be decided now."""

    opened: list[Opening] = field(default_factory=list)
    closed: list[Closing] = field(default_factory=list)
    outcome: Outcome | None = None


def plan(
    pipeline: Pipeline,
    parameters: Mapping[str, Any],
    tasks: Mapping[str, TaskStatus],
    names: Mapping[str, str] | None = None,
    touched: Iterable[str] | None = None,
) -> Plan:
    """Decide what happens next.

    ``parameters`` are the root's, as ``loading.check_run_parameters`` gives them; ``tasks`` are all that were begun,
    by path; ``names`` are the run's placeholders (``$.pipeline_job_name``). ``touched`` may name the tasks that changed
    since an earlier plan whose decisions are among ``tasks``: the rest is then not looked at again. Never raises for a
    pipeline that ``loading`` accepted: what goes wrong with one task becomes that task's failure.
    """
    relevant = None if touched is None else {above for path in touched for above in _and_above(path)}
    planner = _Planner(tasks, names or {}, relevant)
    planner.root(pipeline, Values(parameters))
    return planner.decided


def _and_above(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]


class _Planner:
    def __init__(
        self, tasks: Mapping[str, TaskStatus], names: Mapping[str, str], relevant: set[str] | None = None
    ) -> None:
        self.before = tasks
        self.relevant = relevant
        self.changed: dict[str, TaskStatus] = {}
        self.names = names
        self.decided = Plan()

    def get(self, path: str) -> TaskStatus | None:
        return self.changed.get(path) or self.before.get(path)

    def untouched(self, path: str) -> bool:
        """Tell whether nothing in this structure has changed since it was last looked at."""
        return self.relevant is not None and path not in self.relevant and path not in self.changed

    def open(self, opening: Opening) -> TaskStatus:
        self.changed[opening.path] = opening.status
        self.decided.opened.append(opening)
        return opening.status

    def close(self, path: str, status: TaskStatus) -> None:
        self.changed[path] = status
        self.decided.closed.append(Closing(path, status))

    def root(self, pipeline: Pipeline, inputs: Values) -> None:
        status = self.get(ROOT)
        if status is None:
            running = TaskStatus(TaskState.RUNNING, inputs)
            status = self.open(Opening(ROOT, "", ROOT, pipeline.name, TaskType.ROOT, running, None))
        if not status.state.finished:
            ended = self.dag(ROOT, pipeline.root, inputs)
            if ended is None:
                return
            self.close(ROOT, ended)
            status = ended
        state = RunState.SUCCEEDED if status.state.succeeded else RunState.FAILED
        self.decided.outcome = Outcome(state, status.error, status.outputs)

    def dag(self, path: str, component: Component, inputs: Values) -> TaskStatus | None:
        """Advance a DAG's tasks; return how it ended once all have."""
        dag = component.body
        assert isinstance(dag, Dag)
        failed: list[tuple[str, TaskStatus]] = []
        complete = True
        for name, task in dag.tasks.items():
            here = f"{path}/{name}"
            status = self.task(here, path, dag, task, inputs)
            if status is None or not status.state.finished:
                complete = False
            elif status.state in (TaskState.FAILED, TaskState.CANCELED):
                failed.append((here, status))
        if not complete:
            return None
        if failed:
            return TaskStatus(TaskState.FAILED, inputs, Values(), _why(failed))
        return TaskStatus(TaskState.SUCCEEDED, inputs, self.outputs(path, dag))

    def outputs(self, path: str, dag: Dag) -> Values:
        def first(selectors: tuple[TaskOutput, ...], kind: str) -> Any:
            for selector in selectors:
                made = self.get(f"{path}/{selector.task}")
                if made is not None and made.state.succeeded:
                    values: Mapping[str, Any] = getattr(made.outputs, kind)
                    if selector.key in values:
                        return values[selector.key]
            return None

        parameters = {key: first(sources, "parameters") for key, sources in dag.parameter_outputs.items()}
        artifacts = {key: first(sources, "artifacts") for key, sources in dag.artifact_outputs.items()}
        return Values(
            {key: value for key, value in parameters.items() if value is not None},
            {key: ids for key, ids in artifacts.items() if ids is not None},
        )

    def task(self, path: str, parent: str, dag: Dag, task: Task, dag_inputs: Values) -> TaskStatus | None:
        """Advance one task; return its state, or None when it cannot begin yet."""
        status = self.get(path)
        if status is not None and status.state.finished:
            return status
        if status is None:
            status = self.begin(path, parent, dag, task, dag_inputs)
            if status is None or status.state.finished:
                return status
        elif self.untouched(path):
            return status
        if task.loop is not None:
            ended = self.loop(path, task, status.inputs)
        elif isinstance(task.component.body, Dag):
            ended = self.dag(path, task.component, status.inputs)
        else:
            return status
        if ended is None:
            return status
        self.close(path, ended)
        return ended

    def begin(self, path: str, parent: str, dag: Dag, task: Task, dag_inputs: Values) -> TaskStatus | None:
        unsuccessful = []
        for other in dag.tasks if len(task.upstream) > 1 else task.upstream:
            if other in task.upstream:
                status = self.get(f"{parent}/{other}")
                if status is None or not status.state.finished:
                    return None
                if not status.state.succeeded:
                    unsuccessful.append((other, status))
        kind = _type_of(task)
        if unsuccessful and task.trigger is Trigger.SUCCEEDED:
            other, status = unsuccessful[0]
            said = "was skipped" if status.state is TaskState.SKIPPED else "failed"
            ended = TaskStatus(TaskState.SKIPPED, error=f"not run, because task {other!r} {said}")
        else:
            ended = self.decide(path, parent, task, dag_inputs)
        return self.open(Opening(path, parent, task.name, task.display_name, kind, ended, task))

    def decide(self, path: str, parent: str, task: Task, dag_inputs: Values) -> TaskStatus:
        names = {**self.names, "$.pipeline_task_name": task.name}
        try:
            parameters, artifacts = resolve(
                task, dag_inputs.parameters, dag_inputs.artifacts, lambda other: self.get(f"{parent}/{other}"), names
            )
        except InputError as error:
            return TaskStatus(TaskState.FAILED, error=str(error))
        inputs = Values(parameters, artifacts)
        try:
            if task.condition and not conditions.evaluate(task.condition, parameters):
                return TaskStatus(TaskState.SKIPPED, inputs, error=f"its condition was false: {task.condition}")
        except conditions.ConditionError as error:
            return TaskStatus(TaskState.FAILED, inputs, error=str(error))
        structural = task.loop is not None or isinstance(task.component.body, Dag)
        return TaskStatus(TaskState.RUNNING if structural else TaskState.PENDING, inputs)

    def loop(self, path: str, task: Task, inputs: Values) -> TaskStatus | None:
        """Begin iterations as far as the limit allows and advance them; return how the loop ended."""
        assert task.loop is not None
        try:
            items = _items(task, inputs)
        except InputError as error:
            return TaskStatus(TaskState.FAILED, inputs, error=str(error))
        limit = task.loop.parallelism or len(items)
        body = task.component.body
        ended: list[TaskStatus] = []
        failed: list[tuple[str, TaskStatus]] = []
        active = 0
        waiting: list[int] = []
        for number in range(len(items)):
            status = self.get(f"{path}/{number}")
            if status is None:
                waiting.append(number)
                continue
            status = self.iteration(f"{path}/{number}", task, inputs, items[number], status)
            active += not status.state.finished
        for number in waiting:
            if active >= limit:
                return None
            step = not isinstance(body, Dag)
            item = _item_values(task, items[number])
            given = _merged(inputs, item) if step else item
            status = TaskStatus(TaskState.PENDING if step else TaskState.RUNNING, given)
            kind = _type_of_body(task.component) if step else TaskType.ITERATION
            label = f"{task.display_name or task.name} {number}"
            self.open(Opening(f"{path}/{number}", path, str(number), label, kind, status, task))
            status = self.iteration(f"{path}/{number}", task, inputs, items[number], status)
            active += not status.state.finished
        if active:
            return None
        for number in range(len(items)):
            status = self.get(f"{path}/{number}")
            assert status is not None
            ended.append(status)
            if status.state in (TaskState.FAILED, TaskState.CANCELED):
                failed.append((f"{path}/{number}", status))
        if failed:
            return TaskStatus(TaskState.FAILED, inputs, Values(), _why(failed))
        return TaskStatus(TaskState.SUCCEEDED, inputs, _collected(task.component, ended))

    def iteration(self, path: str, task: Task, inputs: Values, item: Any, status: TaskStatus) -> TaskStatus:
        if status.state.finished or not isinstance(task.component.body, Dag) or self.untouched(path):
            return status
        ended = self.dag(path, task.component, _merged(inputs, _item_values(task, item)))
        if ended is None:
            return status
        ended = TaskStatus(ended.state, status.inputs, ended.outputs, ended.error)
        self.close(path, ended)
        return ended


def _items(task: Task, inputs: Values) -> tuple[Any, ...]:
    assert task.loop is not None
    if task.loop.items is not None:
        return task.loop.items
    if task.loop.over_artifacts:
        return inputs.artifacts.get(task.loop.items_input, ())
    value = inputs.parameters.get(task.loop.items_input)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            pass
    if not isinstance(value, list):
        raise InputError(
            f"it loops over the input {task.loop.items_input!r}, which must be a list; got {describe(value)}"
        )
    return tuple(value)


def _item_values(task: Task, item: Any) -> Values:
    assert task.loop is not None
    if task.loop.over_artifacts:
        return Values({}, {task.loop.item_input: (item,)})
    return Values({task.loop.item_input: item})


def _merged(inputs: Values, item: Values) -> Values:
    return Values({**inputs.parameters, **item.parameters}, {**inputs.artifacts, **item.artifacts})


def _collected(component: Component, ended: list[TaskStatus]) -> Values:
    """The outputs of all iterations in their order; parameters as lists, artifacts one after another."""
    parameters = {
        key: [status.outputs.parameters[key] for status in ended if key in status.outputs.parameters]
        for key in component.output_parameters
    }
    artifacts = {
        key: tuple(one for status in ended for one in status.outputs.artifacts.get(key, ()))
        for key in component.output_artifacts
    }
    return Values(parameters, artifacts)


def _type_of_body(component: Component) -> TaskType:
    return TaskType.IMPORTER if isinstance(component.body, Importer) else TaskType.CONTAINER


def _type_of(task: Task) -> TaskType:
    if task.loop is not None:
        return TaskType.LOOP
    if isinstance(task.component.body, Container | Importer):
        return _type_of_body(task.component)
    if task.condition:
        return TaskType.CONDITION
    return TaskType.EXIT_HANDLER if task.name.startswith("exit-handler-") else TaskType.DAG


def _why(failed: list[tuple[str, TaskStatus]]) -> str:
    """Say which step failed and why; a structure's error names its step already."""
    path, status = failed[0]
    error = status.error
    if not error.startswith("task '"):
        error = f"task {path.removeprefix(ROOT + '/')!r} failed: {error or 'no reason is known'}"
    more = len(failed) - 1
    return f"{error} (and {more} more failed)" if more else error
