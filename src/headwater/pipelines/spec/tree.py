"""A pipeline as the planner reads it: an immutable tree of components, tasks and where each input comes from.

This is what a Kubeflow Pipelines ``PipelineSpec`` (``pipeline_spec.proto``, schema 2.1.0) means once ``loading`` has
read and checked it: references are resolved, every value has a known source, and there are no cycles.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeAlias

_NOTHING: Mapping[str, Any] = MappingProxyType({})
ROOT = "root"
"""The path of the pipeline's own DAG; every other path begins with it."""


def _nothing() -> Mapping[str, Any]:
    return _NOTHING


class SpecError(ValueError):
    """A pipeline, or its run's parameters, that cannot run; says everything that is wrong and where."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class ParameterType(StrEnum):
    """``ParameterType.ParameterTypeEnum``."""

    DOUBLE = "NUMBER_DOUBLE"
    INTEGER = "NUMBER_INTEGER"
    STRING = "STRING"
    BOOLEAN = "BOOLEAN"
    LIST = "LIST"
    STRUCT = "STRUCT"
    FINAL_STATUS = "TASK_FINAL_STATUS"


class Trigger(StrEnum):
    """``TriggerPolicy.TriggerStrategy``: what a task waits for."""

    SUCCEEDED = "ALL_UPSTREAM_TASKS_SUCCEEDED"
    COMPLETED = "ALL_UPSTREAM_TASKS_COMPLETED"


@dataclass(frozen=True, slots=True)
class ParameterInput:
    """A parameter that a component takes."""

    type: ParameterType
    optional: bool = False
    default: Any = None
    """None when there is no default: null counts as absent everywhere."""
    literals: tuple[Any, ...] = ()
    """When not empty, the only values allowed."""


@dataclass(frozen=True, slots=True)
class ArtifactType:
    """The type of an artifact: ``system.Model`` at ``0.0.1``."""

    title: str = "system.Artifact"
    version: str = "0.0.1"


@dataclass(frozen=True, slots=True)
class ArtifactInput:
    """An artifact, or a list of them, that a component takes."""

    type: ArtifactType
    is_list: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ArtifactOutput:
    """An artifact, or a list of them, that a component makes."""

    type: ArtifactType
    is_list: bool = False
    metadata: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that stands in the pipeline; strings in it may hold placeholders for the task's other inputs."""

    value: Any


@dataclass(frozen=True, slots=True)
class ComponentInput:
    """An input of the DAG that the task is in."""

    name: str


@dataclass(frozen=True, slots=True)
class TaskOutput:
    """An output of a task in the same DAG."""

    task: str
    key: str


@dataclass(frozen=True, slots=True)
class FinalStatus:
    """How a task in the same DAG ended."""

    task: str


ParameterOrigin: TypeAlias = Constant | ComponentInput | TaskOutput | FinalStatus
ArtifactOrigin: TypeAlias = ComponentInput | TaskOutput


@dataclass(frozen=True, slots=True)
class ParameterSource:
    """Where a task's parameter comes from, and which part of the value is meant."""

    origin: ParameterOrigin
    selector: str = ""
    """A CEL expression over ``string_value``; kfp emits ``parseJson(string_value)["key"]``."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a failed step is tried again, and after how long."""

    max_retries: int
    backoff_seconds: float = 0.0
    factor: float = 2.0
    max_backoff_seconds: float = 3600.0

    def delay(self, retry: int) -> float:
        """Return the seconds to wait before the ``retry``-th retry, counted from one."""
        try:
            wait = self.backoff_seconds * self.factor ** (retry - 1)
        except OverflowError:
            wait = self.max_backoff_seconds
        return min(wait, self.max_backoff_seconds)


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop over the elements of a list; each iteration runs the component once."""

    item_input: str
    """The component's input that gets the element."""
    items: tuple[Any, ...] | None = None
    """The elements, when they stand in the pipeline."""
    items_input: str = ""
    """Otherwise the task's own input that holds them."""
    over_artifacts: bool = False
    parallelism: int = 0
    """How many iterations may run at once; 0 means all."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a step asks for, as written: quantities of Kubernetes, or placeholders."""

    cpu_request: str = ""
    cpu_limit: str = ""
    memory_request: str = ""
    memory_limit: str = ""
    accelerator_type: str = ""
    accelerator_count: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    """A component that runs a program in an image."""

    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    resources: Resources = field(default_factory=Resources)
    kubernetes: Mapping[str, Any] = field(default_factory=_nothing)
    """The executor's part of the platform specification for ``kubernetes`` (kfp-kubernetes)."""


@dataclass(frozen=True, slots=True)
class Importer:
    """A component that records an artifact which exists already."""

    type: ArtifactType
    uri: str = ""
    """The URI, when it stands in the pipeline."""
    uri_input: str = ""
    """Otherwise the parameter that holds it."""
    metadata: Mapping[str, Any] = field(default_factory=_nothing)
    reimport: bool = False


@dataclass(frozen=True, slots=True)
class Dag:
    """A component that is made of tasks."""

    tasks: Mapping[str, "Task"]
    """In an order in which every task comes after all that it depends on."""
    parameter_outputs: Mapping[str, tuple[TaskOutput, ...]] = field(default_factory=_nothing)
    """Each output's sources; the first that was produced is taken (``OneOf``)."""
    artifact_outputs: Mapping[str, tuple[TaskOutput, ...]] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Component:
    """Something with inputs and outputs that a task can run."""

    name: str
    body: Dag | Container | Importer
    parameters: Mapping[str, ParameterInput] = field(default_factory=_nothing)
    artifacts: Mapping[str, ArtifactInput] = field(default_factory=_nothing)
    output_parameters: Mapping[str, ParameterType] = field(default_factory=_nothing)
    output_artifacts: Mapping[str, ArtifactOutput] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Task:
    """One use of a component in a DAG."""

    name: str
    component: Component
    display_name: str = ""
    parameters: Mapping[str, ParameterSource] = field(default_factory=_nothing)
    artifacts: Mapping[str, ArtifactOrigin] = field(default_factory=_nothing)
    upstream: frozenset[str] = frozenset()
    """Every task of the DAG that it waits for: those it names and those whose outputs it takes."""
    condition: str = ""
    """A CEL expression over the task's own inputs; false skips the task."""
    trigger: Trigger = Trigger.SUCCEEDED
    loop: Loop | None = None
    retry: RetryPolicy | None = None
    cache: bool = False
    cache_key: str = ""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A whole pipeline, checked."""

    name: str
    root: Component
    default_root: str = ""
    """Where artifacts go when the run does not say, as a URI."""
    description: str = ""
    sdk_version: str = ""
    active_deadline_seconds: int = 0
    """The longest a run may take; 0 means without limit."""
    ttl_seconds: int | None = None
    """How long a finished run's objects are kept, when the pipeline says so."""

    @property
    def dag(self) -> Dag:
        """The root's tasks."""
        assert isinstance(self.root.body, Dag)
        return self.root.body

    def at(self, path: str) -> tuple[Component, Task | None] | None:
        """Return the component that a place in a run stands for, and the task that names it; None if there is none.

        A place is a task record's path, ``root/for-loop-3/1/train``: what follows a loop is the number of an iteration,
        which stands for the loop's own task. The root has no task.
        """
        component, task, inside_loop = self.root, None, False
        first, *parts = path.split("/")
        if first != ROOT:
            return None
        for part in parts:
            if inside_loop and part.isdigit():
                inside_loop = False
                continue
            if not isinstance(component.body, Dag) or part not in component.body.tasks:
                return None
            task = component.body.tasks[part]
            component, inside_loop = task.component, task.loop is not None
        return component, task


def steps(component: Component, path: str = ROOT) -> Iterator[tuple[str, Task]]:
    """Yield every task below a component with its place in the pipeline; a loop's body stands once."""
    if isinstance(component.body, Dag):
        for name, task in component.body.tasks.items():
            here = f"{path}/{name}"
            yield here, task
            yield from steps(task.component, here)
