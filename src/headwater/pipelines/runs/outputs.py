"""What a finished step left behind: output parameters, artifacts and their metadata, among it metric values.

A lightweight component writes ``executor_output.json``; a container component writes one file per parameter. Where
both exist the first wins, as with the Kubeflow Pipelines launcher. What a program did not write is simply not there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from headwater.artifacts import ArtifactStore
from headwater.pipelines.records.models import ArtifactRow
from headwater.pipelines.runs.execute import (
    OUTPUT_FILE,
    PARAMETER_FOLDER,
    RunContext,
    Step,
    artifact_id_of,
    attempt_id_of,
)
from headwater.pipelines.spec.tree import ArtifactOutput
from headwater.pipelines.spec.values import coerce, from_file

_LIMIT = 16 << 20
"""The most bytes that are read of one output parameter, or of the whole executor output."""


class OutputError(ValueError):
    """A step ended well and left something that cannot be used."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """The result of one attempt."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, tuple[ArtifactRow, ...]] = field(default_factory=dict)


async def collect(step: Step, context: RunContext, store: ArtifactStore, now: datetime) -> Outputs:
    """Read the result of a step that ended well. Raises ``OutputError``."""
    root = step.root(context)
    said = await _executor_output(store, f"{root}/{OUTPUT_FILE}")
    component = step.task.component
    parameters: dict[str, Any] = {}
    given: Mapping[str, Any] = said.get("parameterValues") or {}
    old: Mapping[str, Any] = said.get("parameters") or {}
    for name, kind in component.output_parameters.items():
        try:
            if given.get(name) is not None:
                parameters[name] = coerce(given[name], kind)
            elif isinstance(old.get(name), Mapping) and old[name]:
                parameters[name] = coerce(next(iter(old[name].values())), kind)
            else:
                data = await _read(store, f"{root}/{PARAMETER_FOLDER}/{name}")
                if data is not None:
                    parameters[name] = from_file(data, kind)
        except ValueError as error:
            raise OutputError(f"output {name!r}: {error}") from None
    made: Mapping[str, Any] = said.get("artifacts") or {}
    artifacts = {
        name: _artifacts(name, declared, made.get(name), step, context, now)
        for name, declared in component.output_artifacts.items()
    }
    return Outputs(parameters, artifacts)


async def _executor_output(store: ArtifactStore, uri: str) -> Mapping[str, Any]:
    data = await _read(store, uri)
    if not data:
        return {}
    try:
        said = orjson.loads(data)
    except orjson.JSONDecodeError:
        try:  # Python's json writes NaN and Infinity, which JSON does not have
            said = json.loads(data, parse_constant=lambda _: None)
        except (ValueError, RecursionError) as error:
            raise OutputError(f"the step wrote an {OUTPUT_FILE} that is not JSON: {error}") from None
    if not isinstance(said, Mapping):
        raise OutputError(f"the step wrote an {OUTPUT_FILE} that is not a JSON object")
    return said


async def _read(store: ArtifactStore, uri: str) -> bytes | None:
    try:
        data = await store.read(uri, limit=_LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(str(error)) from None
    if len(data) > _LIMIT:
        raise OutputError(f"{uri.rpartition('/')[2]} is larger than {_LIMIT >> 20} MiB; write an artifact instead")
    return data


def _artifacts(
    name: str, declared: ArtifactOutput, said: Any, step: Step, context: RunContext, now: datetime
) -> tuple[ArtifactRow, ...]:
    root = step.root(context)
    seen, folder = context.locations.seen_uri, context.locations.seen_path(root)
    known = {seen(root): root, folder: root}
    known |= {seen(row.uri): row.uri for rows in step.artifacts.values() for row in rows}
    listed = said.get("artifacts") if isinstance(said, Mapping) else None
    items = [item for item in listed if isinstance(item, Mapping)] if isinstance(listed, list) else []
    rows = []
    for position, item in enumerate(items or [{}]):
        uri = context.locations.stored_uri(str(item.get("uri") or seen(f"{root}/{name}")), known)
        custom = item.get("custom_path") or item.get("customPath")
        if custom:
            if not str(custom).startswith(folder + "/"):
                raise OutputError(
                    f"output {name!r} was written to {custom}, outside its own folder; set_path is not built yet"
                )
            uri = context.locations.stored_uri(str(custom), known)
        metadata = item.get("metadata")
        rows.append(
            ArtifactRow(
                artifact_id=artifact_id_of(attempt_id_of(step.task_id, step.attempt), name, position),
                namespace=context.run.namespace,
                name=str(item.get("name") or name),
                type=declared.type.title,
                uri=uri,
                metadata={**declared.metadata, **(metadata if isinstance(metadata, Mapping) else {})},
                run_id=context.run.run_id,
                task_id=step.task_id,
                created_at=now,
            )
        )
    return tuple(rows)
