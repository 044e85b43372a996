"""Whether a step's result is there already: its fingerprint, and a sentence that says why it was or was not taken.

The fingerprint follows Kubeflow Pipelines: input artifacts, input values, output specifications, image, command and
arguments; a ``cacheKey`` set by the author replaces all of it. Environment variables are not part of it there, nor
here, but are kept beside it so that a hit can say when they differ. The scope is the pipeline's name in a namespace.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from headwater.kube.meta.time import format_time
from headwater.pipelines.records.models import ArtifactRow, CacheEntry, CacheHit
from headwater.pipelines.spec.tree import Component, Container, Task

_NOT_COUNTED = "environment"
_OFF = "Caching is off for this task."


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A step's identity for the cache."""

    value: str
    """64 hexadecimal digits."""
    parts: Mapping[str, str]
    """A short digest of everything that counts, by what it is: ``image``, ``input x``."""


def off_explanation(task: Task, disabled_for_run: bool = False) -> str:
    """Say why the cache was not asked."""
    return "Caching is off for this run." if disabled_for_run and task.cache else _OFF


def fingerprint(
    task: Task, parameters: Mapping[str, Any], artifacts: Mapping[str, Sequence[ArtifactRow]]
) -> Fingerprint:
    """Return the fingerprint of a step with these inputs."""
    component = task.component
    body = component.body
    assert isinstance(body, Container)
    parts = {
        "image": _digest(body.image),
        "command": _digest(body.command),
        "arguments": _digest(body.args),
        "outputs": _digest(_outputs(component)),
        **{f"input {name}": _digest(value) for name, value in parameters.items()},
        **{f"input {name}": _digest([one.uri for one in rows]) for name, rows in artifacts.items()},
    }
    counted = f"key {task.cache_key}" if task.cache_key else sorted(parts.items())
    if task.cache_key:
        parts = {"cache key": _digest(task.cache_key)}
    return Fingerprint(_digest(counted, 64), {**parts, _NOT_COUNTED: _digest(sorted(body.env))})


def hit_explanation(mine: Fingerprint, hit: CacheHit, entry: CacheEntry | None) -> str:
    """Say whose result was taken."""
    task = hit.task
    text = f"Taken from the cache: task {task.name!r} of run {task.run_id}{_when(task.finished_at)} had the same "
    text += "cache key." if "cache key" in mine.parts else "image, command, inputs and outputs."
    if entry is not None and entry.task_id == task.task_id:
        before = entry.parts.get(_NOT_COUNTED)
        if before is not None and before != mine.parts[_NOT_COUNTED]:
            text += " Its environment variables were different, which does not count for the cache."
    return text


def miss_explanation(mine: Fingerprint, nearest: CacheEntry | None, pipeline_name: str) -> str:
    """Say why nothing was taken, by comparing with the newest result of a task of the same name."""
    if nearest is None:
        return "Not taken from the cache: no earlier result of a task of this name."
    if nearest.fingerprint == mine.value:
        if nearest.pipeline_name != pipeline_name:
            return (
                f"Not taken from the cache: the same step ran in the pipeline {nearest.pipeline_name!r}, "
                "and results are shared only between runs of one pipeline."
            )
        return f"Not taken from the cache: the result of run {nearest.run_id} is no longer there."
    names = (mine.parts.keys() | nearest.parts.keys()) - {_NOT_COUNTED}
    different = sorted(name for name in names if mine.parts.get(name) != nearest.parts.get(name))
    said = ", ".join(different) if different else "what counts for the cache"
    verb = "differs" if len(different) == 1 else "differ"
    last = f"the last result (run {nearest.run_id}{_when(nearest.created_at)})"
    return f"Not taken from the cache: {said} {verb} from {last}."


def _when(moment: datetime | None) -> str:
    return f" at {format_time(moment)}" if moment else ""


def _outputs(component: Component) -> list[Any]:
    parameters = [[name, kind.value] for name, kind in sorted(component.output_parameters.items())]
    artifacts = [
        [name, output.type.title, output.type.version, output.is_list]
        for name, output in sorted(component.output_artifacts.items())
    ]
    return [parameters, artifacts]


def _digest(value: Any, length: int = 16) -> str:
    data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=_plain)
    return hashlib.sha256(data).hexdigest()[:length]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, int):
        return str(value)  # beyond 64 bits
    raise TypeError(f"{type(value).__name__} has no place in a fingerprint")
