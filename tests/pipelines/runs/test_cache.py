"""Fingerprints: what counts, what does not, and how a hit or a miss is explained."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.pipelines.simulation import pipeline

from headwater.pipelines.records.models import ArtifactRow, CacheEntry, CacheHit, TaskRow, TaskState
from headwater.pipelines.runs.cache import Fingerprint, fingerprint, hit_explanation, miss_explanation
from headwater.pipelines.spec.tree import Component, Container, ParameterType, Task

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
TASK = pipeline("champion").dag.tasks["make-dataset"]


def with_body(**values: Any) -> Task:
    body = TASK.component.body
    assert isinstance(body, Container)
    return replace(TASK, component=replace(TASK.component, body=replace(body, **values)))


def artifact(uri: str) -> ArtifactRow:
    return ArtifactRow(artifact_id="a", namespace="n", name="x", uri=uri, created_at=NOW)


def of(task: Task = TASK, parameters: dict[str, Any] | None = None, uri: str = "minio://b/x") -> Fingerprint:
    return fingerprint(task, {"rows": 3} if parameters is None else parameters, {"data": [artifact(uri)]})


def entry(mine: Fingerprint, **values: Any) -> CacheEntry:
    known = {"namespace": "n", "pipeline_name": "champion", "task_id": "t", "run_id": "r0", "task_name": "make-dataset"}
    return CacheEntry(**{**known, "fingerprint": mine.value, "parts": mine.parts, "created_at": NOW, **values})


def test_the_same_step_has_the_same_fingerprint() -> None:
    assert of() == of()
    assert len(of().value) == 64
    assert of(replace(TASK, name="other", display_name="o")).value == of().value


def _other_outputs() -> Task:
    component: Component = replace(TASK.component, output_parameters={"Output": ParameterType.STRING})
    return replace(TASK, component=component)


@pytest.mark.parametrize(
    ("other", "part"),
    [
        (of(with_body(image="python:3.12")), "image"),
        (of(with_body(command=("sh",))), "command"),
        (of(with_body(args=("x",))), "arguments"),
        (of(_other_outputs()), "outputs"),
        (of(parameters={"rows": 4}), "input rows"),
        (of(uri="minio://b/y"), "input data"),
        (of(parameters={}), "input rows"),
    ],
)
def test_what_counts(other: Fingerprint, part: str) -> None:
    assert other.value != of().value
    said = miss_explanation(other, entry(of()), "champion")
    assert said == (f"Not taken from the cache: {part} differs from the last result (run r0 at 2026-08-01T12:00:00Z).")


def test_types_of_values_count() -> None:
    assert of(parameters={"rows": "3"}).value != of().value


def test_a_key_of_the_author_replaces_everything() -> None:
    keyed = replace(TASK, cache_key="mine")
    assert of(keyed).value == of(keyed, {"rows": 99}).value
    assert of(keyed).value != of(replace(TASK, cache_key="yours")).value


def test_the_environment_does_not_count_and_a_hit_says_so() -> None:
    changed = of(with_body(env=(("A", "1"),)))
    assert changed.value == of().value
    task = TaskRow(
        task_id="t",
        run_id="r0",
        path="root/make-dataset",
        name="make-dataset",
        state=TaskState.SUCCEEDED,
        created_at=NOW,
        finished_at=NOW,
    )
    said = hit_explanation(changed, CacheHit(task=task, artifacts=()), entry(of()))
    assert said.startswith("Taken from the cache: task 'make-dataset' of run r0 at 2026-08-01T12:00:00Z had the same")
    assert said.endswith("Its environment variables were different, which does not count for the cache.")
    assert "environment" not in hit_explanation(of(), CacheHit(task=task, artifacts=()), entry(of()))


def test_misses_are_explained() -> None:
    assert miss_explanation(of(), None, "champion").endswith("no earlier result of a task of this name.")
    assert "in the pipeline 'other'" in miss_explanation(of(), entry(of(), pipeline_name="other"), "champion")
    assert "is no longer there" in miss_explanation(of(), entry(of()), "champion")
    both = of(with_body(image="x"), {"rows": 4})
    assert "image, input rows differ from" in miss_explanation(both, entry(of()), "champion")
