"""What must hold in a DAG before it may run: every value has a source, types fit, nothing waits for itself.

Pure functions of the tree; each returns the problems it found as sentences that name the task and the field.
"""

import re
from collections.abc import Iterator, Mapping

from headwater.pipelines.spec import conditions
from headwater.pipelines.spec.tree import (
    Component,
    ComponentInput,
    Constant,
    Container,
    Dag,
    FinalStatus,
    Importer,
    ParameterSource,
    ParameterType,
    Task,
    TaskOutput,
)
from headwater.pipelines.spec.values import coerce, placeholders

_INJECTED = "pipelinechannel--"
"""Inputs that the kfp compiler adds to a task for placeholders in its other inputs."""
_SETTINGS = frozenset(
    {"base_image", *(f"{what}_{end}" for what in ("cpu", "memory") for end in ("request", "limit"))}
) | {
    "accelerator_type",
    "accelerator_count",
}
_CONDITION_INPUT = re.compile(r"inputs\.parameter_values\[(?:'([^']*)'|\"([^\"]*)\")\]")
_MENTION = re.compile(r"\{\{\$\.(inputs|outputs)\.(parameters|artifacts)\[(?:'([^']*)'|\"([^\"]*)\")\]")
_NUMBERS = frozenset({ParameterType.INTEGER, ParameterType.DOUBLE})


def in_order(tasks: Mapping[str, Task]) -> tuple[dict[str, Task], list[str]]:
    """Sort tasks so that each comes after those it waits for, otherwise as they were written.

    Returns the problems too: tasks that do not exist, and circles.
    """
    problems: list[str] = []
    for name, task in tasks.items():
        missing = sorted(task.upstream - tasks.keys())
        problems += [f"task {name!r}: it depends on the task {other!r}, which does not exist here" for other in missing]
    ordered: dict[str, Task] = {}
    for start in tasks:
        # Depth first with a stack of its own: a chain may be longer than Python's recursion limit.
        stack: list[tuple[str, Iterator[str]]] = [(start, _dependencies(tasks, start))] if start not in ordered else []
        trail = {start}
        while stack:
            name, rest = stack[-1]
            following = next((other for other in rest if other not in ordered), None)
            if following is None:
                ordered[name] = tasks[name]
                trail.discard(name)
                stack.pop()
            elif following in trail:
                circle = [entry for entry, _ in stack]
                circle = [*circle[circle.index(following) :], following]
                problems.append(f"tasks wait for each other in a circle: {' -> '.join(reversed(circle))}")
                return {}, problems
            else:
                trail.add(following)
                stack.append((following, _dependencies(tasks, following)))
    return ordered, problems


def _dependencies(tasks: Mapping[str, Task], name: str) -> Iterator[str]:
    upstream = tasks[name].upstream
    return iter(
        [other for other in tasks if other in upstream] if len(upstream) > 1 else [u for u in upstream if u in tasks]
    )


def check_dag(component: Component, where: str) -> list[str]:
    """Check every task of a DAG and the sources of its outputs. ``where`` is empty for the root."""
    dag = component.body
    assert isinstance(dag, Dag)
    problems = [text for task in dag.tasks.values() for text in _check_task(component, dag, task)]
    for kind, declared, sources in (
        ("parameter", component.output_parameters, dag.parameter_outputs),
        ("artifact", component.output_artifacts, dag.artifact_outputs),
    ):
        sourceless = [name for name in declared if not sources.get(name)]
        problems += [f"output {kind} {name!r} has no source in dag.outputs" for name in sourceless]
        for name, selectors in sources.items():
            found = [_missing_output(dag, selector, kind) for selector in selectors]
            problems += [f"output {kind} {name!r}: {wrong}" for wrong in found if wrong]
    return [f"{where}: {text}" if where else text for text in problems]


def _missing_output(dag: Dag, wanted: TaskOutput, kind: str) -> str:
    producer = dag.tasks.get(wanted.task)
    if producer is None:
        return f"it comes from the task {wanted.task!r}, which does not exist here"
    made = producer.component
    known = made.output_parameters if kind == "parameter" else made.output_artifacts
    if wanted.key in known:
        return ""
    has = f"it has {', '.join(sorted(known))}" if known else "it has none"
    return f"task {wanted.task!r} has no output {kind} {wanted.key!r}; {has}"


def _check_task(parent: Component, dag: Dag, task: Task) -> Iterator[str]:
    here = f"task {task.name!r}"
    component = task.component
    item = task.loop.item_input if task.loop else None
    for name, source in task.parameters.items():
        problem = _parameter_problem(parent, dag, task, name, source)
        if problem:
            yield f"{here}: input {name!r}: {problem}"
    for name, origin in task.artifacts.items():
        problem = ""
        if isinstance(origin, TaskOutput):
            problem = _missing_output(dag, origin, "artifact")
        elif origin.name not in parent.artifacts:
            problem = f"there is no input artifact {origin.name!r} to take it from"
        elif name not in component.artifacts and not (task.loop and name == task.loop.items_input):
            problem = f"component {component.name!r} has no input artifact of this name"
        if problem:
            yield f"{here}: input {name!r}: {problem}"
    for name, parameter in component.parameters.items():
        if name not in task.parameters and name != item and not parameter.optional and parameter.default is None:
            yield f"{here}: input {name!r} is missing: component {component.name!r} needs this parameter"
    for name, artifact in component.artifacts.items():
        if name not in task.artifacts and name != item and not artifact.optional:
            yield f"{here}: input {name!r} is missing: component {component.name!r} needs this artifact"
    yield from (f"{here}: {text}" for text in _loop_problems(task))
    yield from (f"{here}: {text}" for text in _condition_problems(task))


def _parameter_problem(parent: Component, dag: Dag, task: Task, name: str, source: ParameterSource) -> str:
    origin = source.origin
    kind: ParameterType | None = None
    if isinstance(origin, TaskOutput):
        problem = _missing_output(dag, origin, "parameter")
        if problem:
            return problem
        producer = dag.tasks[origin.task]
        kind = ParameterType.LIST if producer.loop else producer.component.output_parameters[origin.key]
    elif isinstance(origin, ComponentInput):
        if origin.name not in parent.parameters:
            return f"there is no input parameter {origin.name!r} to take it from"
        # What the compiler calls the type of a loop's element is a guess where the list comes from a task.
        kind = None if "loop-item" in origin.name else parent.parameters[origin.name].type
    elif isinstance(origin, FinalStatus) and origin.task not in dag.tasks:
        return f"it is the final status of the task {origin.task!r}, which does not exist here"
    if source.selector:
        wrong = conditions.check(source.selector)
        if wrong:
            return wrong
        kind = None
    declared = task.component.parameters.get(name)
    if declared is None:
        allowed = name.startswith(_INJECTED) or name in _SETTINGS or bool(task.loop and name == task.loop.items_input)
        return (
            ""
            if allowed or _mentioned(task, name)
            else (f"component {task.component.name!r} has no input parameter of this name")
        )
    if isinstance(origin, Constant):
        for other in sorted(placeholders(origin.value) - task.parameters.keys()):
            return f"its value mentions the input {other!r}, which the task does not have"
        try:
            value = coerce(origin.value, declared.type) if "{{$." not in str(origin.value) else None
        except ValueError as error:
            return str(error)
        if declared.literals and value is not None and value not in declared.literals:
            return f"{value!r} is not one of {list(declared.literals)}"
    elif kind is not None and not _fits(kind, declared.type):
        came = f"task {origin.task!r} gives {kind}" if isinstance(origin, TaskOutput) else f"the value is a {kind}"
        return f"types do not fit: {came}, and component {task.component.name!r} takes {declared.type}"
    return ""


def _mentioned(task: Task, name: str) -> bool:
    constants = [s.origin.value for s in task.parameters.values() if isinstance(s.origin, Constant)]
    return name in placeholders(constants)


def _fits(given: ParameterType, wanted: ParameterType) -> bool:
    return given is wanted or {given, wanted} <= _NUMBERS


def _loop_problems(task: Task) -> Iterator[str]:
    if task.loop is None:
        return
    over = task.component.artifacts if task.loop.over_artifacts else task.component.parameters
    given = task.artifacts if task.loop.over_artifacts else task.parameters
    if task.loop.item_input not in over:
        yield f"it loops into the input {task.loop.item_input!r}, which component {task.component.name!r} does not have"
    if task.loop.items is None and task.loop.items_input not in given:
        yield f"it loops over the input {task.loop.items_input!r}, which the task does not have"


def _condition_problems(task: Task) -> Iterator[str]:
    if not task.condition:
        return
    wrong = conditions.check(task.condition)
    if wrong:
        yield f"its condition cannot be read: {wrong}"
    known = task.parameters.keys() | task.component.parameters.keys()
    for single, double in _CONDITION_INPUT.findall(task.condition):
        if (single or double) not in known:
            yield f"its condition mentions the input {single or double!r}, which the task does not have"


def mentioned_problems(component: Component) -> list[str]:
    """Check that the placeholders in a step's command, and an importer's URI, name inputs and outputs it has."""
    if isinstance(component.body, Importer):
        wanted = component.body.uri_input
        return (
            [f"its URI comes from the input {wanted!r}, which it does not have"]
            if (wanted and wanted not in component.parameters)
            else []
        )
    assert isinstance(component.body, Container)
    body = component.body
    texts = [body.image, *body.command, *body.args, *(value for _, value in body.env)]
    known: Mapping[tuple[str, str], Mapping[str, object]] = {
        ("inputs", "parameters"): component.parameters,
        ("inputs", "artifacts"): component.artifacts,
        ("outputs", "parameters"): component.output_parameters,
        ("outputs", "artifacts"): component.output_artifacts,
    }
    problems = []
    for side, kind, single, double in _MENTION.findall("\n".join(texts)):
        name = single or double
        if name not in known[side, kind] and not name.startswith(_INJECTED):
            problems.append(f"its command mentions the {side[:-1]} {kind[:-1]} {name!r}, which it does not have")
    for key, output in component.output_artifacts.items():
        if output.is_list:
            problems.append(f"output {key!r}: a step that makes a list of artifacts is not built yet")
    return problems
