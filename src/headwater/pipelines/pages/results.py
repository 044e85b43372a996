"""What came of a run, for its page: what failed or is stuck, what was made, the metrics side by side, what happened.

Pure: the records in, view models out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headwater.kube.meta.time import parse_time
from headwater.pipelines.pages.charts import (
    charts_of,
    metric_bars,
    other_metadata,
    roc_curves,
    roc_points,
    scalar_metrics,
)
from headwater.pipelines.pages.steps import (
    in_order,
    label_of,
    parameters_in,
    steps_among,
    told_apart,
    waiting_word,
    waits_for,
)
from headwater.pipelines.records.models import (
    ArtifactRow,
    ArtifactUse,
    Direction,
    RunRow,
    StateChange,
    TaskRow,
    TaskState,
)
from headwater.pipelines.spec.tree import ROOT, Pipeline

Links = Mapping[str, Sequence[tuple[ArtifactUse, ArtifactRow]]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A run with everything that its page shows."""

    run: RunRow
    pipeline: Pipeline | None
    problem: str
    """Why the pipeline could not be read, if so."""
    tasks: Mapping[str, TaskRow]
    links: Links
    """Artifacts of each task by its id."""


def why_it_waits(loaded: Loaded, path: str, task: TaskRow | None) -> str:
    """Say what a step that does not run yet waits for; empty for one that runs or has ended."""
    if loaded.run.state.finished and (task is None or not task.state.finished):
        return "The run ended before this could begin."
    if task is None:
        before = waits_for(loaded.pipeline, loaded.tasks, path) if loaded.pipeline is not None else []
        return f"Waits for {', '.join(before)}." if before else ""
    if task.state is not TaskState.PENDING:
        return ""
    return task.error or "Its inputs are ready; its pod is being prepared."


def first_failure(loaded: Loaded) -> tuple[str, str, str] | None:
    """Return path, name and the first useful line of the step that failed first."""
    failed = [task for task in steps_among(loaded.tasks.values()) if task.state is TaskState.FAILED]
    if not failed:
        return None
    task = min(failed, key=lambda one: one.finished_at or one.created_at)
    return task.path, label_of(loaded.pipeline, loaded.tasks, task.path), task.error


def first_stuck(loaded: Loaded) -> tuple[str, str, str] | None:
    """Return path, name and reason of the first step that something keeps from beginning."""
    if loaded.run.state.finished:
        return None
    for task in steps_among(loaded.tasks.values()):
        if waiting_word(task):
            return task.path, label_of(loaded.pipeline, loaded.tasks, task.path), task.error
    return None


def artifacts_of(loaded: Loaded, task: TaskRow, direction: Direction) -> list[dict[str, Any]]:
    """Return a task's artifacts in one direction with what their metadata says: numbers, charts and the rest."""
    found = []
    for use, artifact in loaded.links.get(task.task_id, ()):
        if use.direction is direction:
            metrics = scalar_metrics(artifact.metadata) if artifact.type.endswith("Metrics") else {}
            rest = other_metadata(artifact.metadata, metrics)
            charts = charts_of(artifact.metadata) if direction is Direction.OUTPUT else []
            found.append({"key": use.key, "artifact": artifact, "metrics": metrics, "rest": rest, "charts": charts})
    return found


def summary(loaded: Loaded) -> dict[str, Any]:
    """Return what the panel shows while no step is picked: parameters, steps by state, what came out at the end."""
    steps = steps_among(loaded.tasks.values())
    counts: dict[str, int] = {}
    for step in steps:
        counts[step.state.value] = counts.get(step.state.value, 0) + 1
    root = loaded.tasks.get(ROOT)
    last = sorted((s for s in steps if s.state.succeeded), key=lambda s: s.finished_at or s.created_at)[-1:]
    outputs = parameters_in(root.outputs) if root else {}
    of_last = parameters_in(last[0].outputs) if last else {}
    return {
        "counts": counts,
        "parameters": {**(parameters_in(root.inputs) if root else {}), **loaded.run.parameters},
        "outputs": outputs,
        "last": label_of(loaded.pipeline, loaded.tasks, last[0].path) if last and of_last else "",
        "last_path": last[0].path if last else "",
        "last_outputs": of_last,
        "metrics": metric_rows(loaded),
    }


def metric_rows(loaded: Loaded) -> list[tuple[str, str, dict[str, float | int]]]:
    """Return each step that put out scalar metrics: its path, its name, its numbers."""
    rows = []
    for task in sorted(steps_among(loaded.tasks.values()), key=lambda one: in_order(one.path)):
        numbers: dict[str, float | int] = {}
        for made in artifacts_of(loaded, task, Direction.OUTPUT):
            numbers |= made["metrics"]
        if numbers:
            rows.append((task.path, label_of(loaded.pipeline, loaded.tasks, task.path), numbers))
    return rows


def results(loaded: Loaded) -> dict[str, Any]:
    """Put every step's metrics, curves and matrices side by side."""
    rows = metric_rows(loaded)
    names = list(dict.fromkeys(name for _, _, numbers in rows for name in numbers))
    best = {name: max(numbers[name] for _, _, numbers in rows if name in numbers) for name in names}
    curves: dict[str, Sequence[Mapping[str, float]]] = {}
    matrices = []
    for task in sorted(steps_among(loaded.tasks.values()), key=lambda one: in_order(one.path)):
        label = label_of(loaded.pipeline, loaded.tasks, task.path)
        for use, artifact in loaded.links.get(task.task_id, ()):
            if use.direction is Direction.OUTPUT:
                if points := roc_points(artifact.metadata):
                    curves[label if label not in curves else f"{label} · {use.key}"] = points
                matrices += [
                    (label, task.path, title, s) for title, s in charts_of(artifact.metadata) if "matrix" in title
                ]
    short = dict(zip(curves, told_apart(list(curves)), strict=True))
    labels = told_apart([label for _, label, _ in rows])
    return {
        "rows": rows,
        "names": names,
        "best": best if len(rows) > 1 else {},
        "curves": roc_curves({short[label]: points for label, points in curves.items()}) if curves else None,
        "matrices": matrices,
        "bars": metric_bars({label: numbers for label, (_, _, numbers) in zip(labels, rows, strict=True)}),
    }


def happenings(history: Sequence[StateChange], events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Put changes of state and Kubernetes events in one order of time."""
    found = [{"at": change.at, "state": change.state, "message": change.error} for change in history]
    for event in events:
        text = event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or ""
        try:
            at = parse_time(text)
        except ValueError:
            continue
        found.append(
            {
                "at": at,
                "state": "",
                "reason": event.get("reason", ""),
                "warning": event.get("type") == "Warning",
                "count": event.get("count") or (event.get("series") or {}).get("count") or 1,
                "message": event.get("message") or event.get("note") or "",
                "whose": involved(event),
            }
        )
    return sorted(found, key=lambda one: one["at"].replace(microsecond=0))


def involved(event: Mapping[str, Any]) -> str:
    """Return the name of the object that an event is about."""
    return str((event.get("involvedObject") or event.get("regarding") or {}).get("name") or "")
