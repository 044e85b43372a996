"""A run as its page shows it: the graph at one level, the timeline of all steps, and why a step waits.

Pure: the checked pipeline and the task records in, view models out. A level is a DAG: the pipeline's own, or one inside
(a condition, a nested pipeline, one iteration of a loop). A loop is one folded node that shows how its iterations
fare; its level is the iteration that is picked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from headwater.pipelines.pages.graph import Box, Line, layout
from headwater.pipelines.records.models import STEP_TYPES, TaskRow, TaskState
from headwater.pipelines.spec.tree import ROOT, Dag, Importer, Pipeline, Task

NOT_STARTED = "NONE"
_WIDTH = 204.0
_HEIGHT = 50.0
_MARKS_SHOWN = 12
_NAME_FITS = 23


@dataclass(frozen=True, slots=True)
class Mark:
    """One iteration of a folded loop, as a small sign on its node."""

    path: str
    state: str
    label: str


@dataclass(frozen=True, slots=True)
class Node:
    """A task as a node of the graph."""

    path: str
    name: str
    short: str
    kind: str
    """``step``, ``importer``, ``dag``, ``condition`` or ``loop``."""
    state: str
    started_at: datetime | None
    finished_at: datetime | None
    box: Box
    marks: Sequence[Mark]
    more_marks: int
    selected: bool
    note: str
    """In a word or two, why it waits; empty when it does not or has no reason of its own."""
    opens: bool
    """Whether the node has a graph of its own inside."""


@dataclass(frozen=True, slots=True)
class Crumb:
    """A level on the way to the one that is shown."""

    label: str
    path: str


@dataclass(frozen=True, slots=True)
class Level:
    """The graph of one DAG."""

    path: str
    nodes: Sequence[Node]
    lines: Sequence[Line]
    width: float
    height: float
    crumbs: Sequence[Crumb]
    iterations: Sequence[Mark] = ()
    """The loop's iterations, when the level is one of them."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A step on the timeline; places are percentages of the whole span."""

    path: str
    label: str
    state: str
    waiting_from: float
    start: float
    end: float
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """Every step over time."""

    bars: Sequence[Bar]
    ticks: Sequence[tuple[float, float]]
    """Places in percent, each with the seconds since the start."""


def level(pipeline: Pipeline, tasks: Mapping[str, TaskRow], at: str, selected: str) -> Level:
    """Return the graph of the DAG at a path; of the pipeline's own when there is none at that path."""
    picked = at if pipeline.at(at) is not None else ROOT
    found = pipeline.at(picked)
    assert found is not None
    component, task = found
    iterations: Sequence[Mark] = ()
    if task is not None and task.loop is not None:
        loop_path = picked.rpartition("/")[0] if _is_iteration(picked, task) else picked
        iterations = marks_of(tasks, loop_path, task)
        if picked == loop_path and iterations:
            picked = _worth_seeing(iterations)
    if not isinstance(component.body, Dag):
        return level(pipeline, tasks, picked.rpartition("/")[0] or ROOT, selected)
    body = component.body
    kinds = {name: kind_of(one) for name, one in body.tasks.items()}
    sizes = {name: (_WIDTH, _HEIGHT + (20.0 if kinds[name] == "loop" else 0.0)) for name in body.tasks}
    edges = [(before, name) for name, one in body.tasks.items() for before in sorted(one.upstream & set(body.tasks))]
    drawn = layout(sizes, edges)
    nodes = [
        _node(tasks, f"{picked}/{name}", one, kinds[name], drawn.boxes[name], selected)
        for name, one in body.tasks.items()
    ]
    return Level(picked, nodes, drawn.lines, drawn.width, drawn.height, crumbs(pipeline, tasks, picked), iterations)


def kind_of(task: Task) -> str:
    """Say what a task is, for its node."""
    if task.loop is not None:
        return "loop"
    if isinstance(task.component.body, Dag):
        return "condition" if task.condition else "dag"
    return "importer" if isinstance(task.component.body, Importer) else "step"


def _is_iteration(path: str, task: Task) -> bool:
    return path.rpartition("/")[2].isdigit() and path.split("/")[-2] == task.name


def _worth_seeing(iterations: Sequence[Mark]) -> str:
    for state in (TaskState.FAILED, TaskState.RUNNING):
        for mark in iterations:
            if mark.state == state:
                return mark.path
    return iterations[0].path


def _node(tasks: Mapping[str, TaskRow], path: str, task: Task, kind: str, box: Box, selected: str) -> Node:
    row = tasks.get(path)
    marks = marks_of(tasks, path, task) if kind == "loop" else ()
    name = display_name(task, row)
    return Node(
        path=path,
        name=name,
        short=shortened(name),
        kind=kind,
        state=row.state.value if row else NOT_STARTED,
        started_at=row.started_at if row else None,
        finished_at=row.finished_at if row else None,
        box=box,
        marks=marks[:_MARKS_SHOWN],
        more_marks=max(0, len(marks) - _MARKS_SHOWN),
        selected=path == selected or (kind == "loop" and any(mark.path == selected for mark in marks)),
        note=waiting_word(row),
        opens=isinstance(task.component.body, Dag),
    )


def waiting_word(row: TaskRow | None) -> str:
    """Return the reason for which a step cannot begin, as Kubernetes names it: ``ImagePullBackOff``."""
    if row is None or row.state is not TaskState.PENDING:
        return ""
    word = row.error.partition(":")[0]
    return word if word and " " not in word and len(word) <= 20 else ""


def display_name(task: Task | None, row: TaskRow | None) -> str:
    """Return the name that a person gave a task."""
    if row is not None and row.display_name:
        return row.display_name
    return (task.display_name or task.name) if task is not None else (row.name if row is not None else "")


def shortened(name: str) -> str:
    """Cut a name so that it fits a node, in the middle, where names differ least."""
    if len(name) <= _NAME_FITS:
        return name
    head = (_NAME_FITS - 1) // 2
    return f"{name[: _NAME_FITS - 1 - head]}…{name[-head:]}"


def marks_of(tasks: Mapping[str, TaskRow], loop_path: str, task: Task | None) -> list[Mark]:
    """Return a loop's iterations in order."""
    rows = [row for row in tasks.values() if row.parent_path == loop_path and row.path.rpartition("/")[2].isdigit()]
    rows.sort(key=lambda row: in_order(row.path))
    return [Mark(row.path, row.state.value, iteration_label(row, task)) for row in rows]


def in_order(path: str) -> list[tuple[int, str]]:
    """Return what to sort paths by, so that iteration 10 comes after iteration 9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in path.split("/")]


def parameters_in(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters among a task's inputs or outputs."""
    inner = values.get("parameters")
    return inner if isinstance(inner, Mapping) else {}


def said_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters among a task's inputs or outputs by the names that a person knows them by.

    The compiler calls what it hands into a group of tasks ``pipelinechannel--…``, and a loop's element
    ``loop-item-param-1``.
    """
    found: dict[str, Any] = {}
    for name, value in parameters_in(values).items():
        short = name.removeprefix("pipelinechannel--")
        short = "loop item" if short.startswith("loop-item-param-") else short
        found[name if short in found else short] = value
    return found


def iteration_label(row: TaskRow, task: Task | None) -> str:
    """Name an iteration by its number and, when it is short, by its item."""
    number = row.path.rpartition("/")[2]
    values = parameters_in(row.inputs)
    item = values.get(task.loop.item_input) if task is not None and task.loop is not None else None
    if item is None or isinstance(item, Mapping | list):
        return f"#{number}"
    text = str(item)
    return f"#{number} {text if len(text) <= 32 else text[:31] + '…'}"


def crumbs(pipeline: Pipeline, tasks: Mapping[str, TaskRow], path: str) -> list[Crumb]:
    """Return the levels from the pipeline down to a path."""
    found = [Crumb(pipeline.name, ROOT)]
    here = ROOT
    for part in path.split("/")[1:]:
        here = f"{here}/{part}"
        row = tasks.get(here)
        resolved = pipeline.at(here)
        task = resolved[1] if resolved else None
        if part.isdigit() and task is not None and task.loop is not None and task.name != part:
            found.append(Crumb(iteration_label(row, task) if row is not None else f"#{part}", here))
        else:
            found.append(Crumb(display_name(task, row) or part, here))
    return found


def label_of(pipeline: Pipeline | None, tasks: Mapping[str, TaskRow], path: str) -> str:
    """Name a step in the whole run: ``models #1 random-forest › evaluate``."""
    if pipeline is None:
        return path.removeprefix(f"{ROOT}/")
    parts: list[str] = []
    for crumb in crumbs(pipeline, tasks, path)[1:]:
        if crumb.label.startswith("#") and parts:
            parts[-1] = f"{parts[-1]} {crumb.label}"
        else:
            parts.append(crumb.label)
    return " › ".join(parts)


def told_apart(labels: Sequence[str]) -> list[str]:
    """Shorten labels to the words in which they differ: those that all begin or end with are left out.

    Labels that are the same, or a single one, stay as they are.
    """
    words = [label.split(" ") for label in labels]
    if len(set(labels)) < 2 or len(set(labels)) != len(labels):
        return list(labels)
    shortest = min(len(one) for one in words)
    head = 0
    while head < shortest - 1 and len({one[head] for one in words}) == 1:
        head += 1
    tail = 0
    while tail < shortest - head - 1 and len({one[-1 - tail] for one in words}) == 1:
        tail += 1
    return [" ".join(one[head : len(one) - tail]).strip("› ") for one in words]


def steps_among(tasks: Iterable[TaskRow]) -> list[TaskRow]:
    """Return the tasks that do something themselves, not the structures around them."""
    return [task for task in tasks if task.type in STEP_TYPES]


def timeline(pipeline: Pipeline | None, tasks: Mapping[str, TaskRow], now: datetime) -> Timeline:
    """Return every step from the moment it could start, with round ticks."""
    steps = [step for step in steps_among(tasks.values()) if step.state is not TaskState.SKIPPED]
    if not steps:
        return Timeline((), ())
    first = min(step.created_at for step in steps)
    last = max((step.finished_at or now) for step in steps)
    span = max((last - first).total_seconds(), 0.1)

    def place(moment: datetime) -> float:
        return round(100 * min(max((moment - first).total_seconds() / span, 0.0), 1.0), 3)

    bars = []
    for step in sorted(steps, key=lambda one: one.started_at or one.created_at):
        end = step.finished_at or now
        start = step.started_at or (end if step.state.finished else now)
        label = label_of(pipeline, tasks, step.path)
        waiting = place(step.created_at)
        bars.append(
            Bar(
                step.path, label, step.state.value, waiting, place(start), place(end), step.started_at, step.finished_at
            )
        )
    return Timeline(bars, [(place(first + timedelta(seconds=at)), at) for at in ticks(span)])


def ticks(span: float) -> list[float]:
    """Return up to six round numbers of seconds from 0 on within the span."""
    for step in (
        0.02,
        0.05,
        0.1,
        0.2,
        0.5,
        1,
        2,
        5,
        10,
        15,
        30,
        60,
        120,
        300,
        600,
        1800,
        3600,
        7200,
        21600,
        43200,
        86400,
    ):
        if span / step <= 5:
            break
    else:
        step = 86400 * max(1, round(span / 86400 / 5))
    return [round(step * i, 3) for i in range(int(span / step) + 1)]


def waits_for(pipeline: Pipeline, tasks: Mapping[str, TaskRow], path: str) -> list[str]:
    """Return the names of what a task that has not started waits for, in its own DAG."""
    parent, _, name = path.rpartition("/")
    found = pipeline.at(parent)
    if found is None or not isinstance(found[0].body, Dag) or name not in found[0].body.tasks:
        return []
    body = found[0].body
    names = []
    for before in sorted(body.tasks[name].upstream & set(body.tasks)):
        row = tasks.get(f"{parent}/{before}")
        if row is None or not row.state.finished:
            names.append(display_name(body.tasks[before], row))
    return names
