"""A run as its page shows it: levels, folded loops, the timeline, and what a step waits for."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.pipelines.pages.steps import (
    crumbs,
    label_of,
    level,
    said_parameters,
    shortened,
    ticks,
    timeline,
    told_apart,
    waits_for,
)
from headwater.pipelines.records.models import TaskRow, TaskState, TaskType
from headwater.pipelines.spec.documents import read_documents
from headwater.pipelines.spec.loading import load
from headwater.pipelines.spec.tree import ROOT, Pipeline

DATA = Path(__file__).parents[1] / "data"
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LOOP = "root/for-loop-2"


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return read("breast_cancer.yaml")


def read(name: str) -> Pipeline:
    documents = read_documents((DATA / name).read_text())
    return load(documents.spec, documents.platform)


def rows(*given: tuple[str, TaskType, TaskState], **values: Any) -> dict[str, TaskRow]:
    made = {}
    for path, kind, state in given:
        parent, _, name = path.rpartition("/")
        inputs = (
            {"parameters": {"pipelinechannel--loop-item-param-1": f"item-{name}"}} if kind is TaskType.ITERATION else {}
        )
        made[path] = TaskRow(
            task_id=path, run_id="r", path=path, parent_path=parent, name=name, type=kind, state=state,
            inputs=inputs, created_at=NOW, **values,
        )  # fmt: skip
    return made


ITERATIONS = (
    (LOOP, TaskType.LOOP, TaskState.RUNNING),
    *(
        (f"{LOOP}/{i}", TaskType.ITERATION, state)
        for i, state in enumerate((TaskState.SUCCEEDED, TaskState.FAILED, TaskState.RUNNING))
    ),
    *((f"{LOOP}/{i}/train-model", TaskType.CONTAINER, TaskState.SUCCEEDED) for i in range(3)),
)


def test_the_top_level_folds_the_loop(pipeline: Pipeline) -> None:
    shown = level(pipeline, rows(*ITERATIONS), ROOT, "")
    nodes = {node.path: node for node in shown.nodes}
    assert list(nodes) == ["root/load", "root/split", LOOP, "root/pick-best"]
    assert nodes["root/load"].state == "NONE"
    assert (nodes[LOOP].kind, nodes[LOOP].name, nodes[LOOP].opens) == ("loop", "models", True)
    assert [mark.label for mark in nodes[LOOP].marks] == ["#0 item-0", "#1 item-1", "#2 item-2"]
    assert len(shown.lines) == 3


def test_a_loop_opens_at_the_iteration_that_is_worth_seeing(pipeline: Pipeline) -> None:
    shown = level(pipeline, rows(*ITERATIONS), LOOP, "")
    assert shown.path == f"{LOOP}/1", "the one that failed"
    assert [node.path for node in shown.nodes] == [f"{LOOP}/1/train-model", f"{LOOP}/1/evaluate"]
    assert [crumb.label for crumb in shown.crumbs] == ["breast-cancer", "models", "#1 item-1"]
    assert level(pipeline, rows(*ITERATIONS), f"{LOOP}/2", "").path == f"{LOOP}/2"


def test_a_loop_that_has_not_begun_shows_its_body(pipeline: Pipeline) -> None:
    shown = level(pipeline, {}, LOOP, "")
    assert [node.name for node in shown.nodes] == ["train-model", "evaluate"]
    assert not shown.iterations


def test_paths_that_lead_nowhere_show_the_pipeline(pipeline: Pipeline) -> None:
    for path in ("", "root/nothing", "root/load/deeper", "../../x", "root/for-loop-2/x", "root/load"):
        assert level(pipeline, {}, path, "").path == ROOT


def test_a_step_is_named_in_the_whole_run(pipeline: Pipeline) -> None:
    tasks = rows(*ITERATIONS)
    assert label_of(pipeline, tasks, f"{LOOP}/1/train-model") == "models #1 item-1 › train-model"
    assert label_of(None, tasks, "root/a/b") == "a/b"
    assert [crumb.path for crumb in crumbs(pipeline, tasks, f"{LOOP}/1")] == [ROOT, LOOP, f"{LOOP}/1"]


def test_what_a_step_waits_for(pipeline: Pipeline) -> None:
    tasks = rows(
        ("root/load", TaskType.CONTAINER, TaskState.SUCCEEDED), ("root/split", TaskType.CONTAINER, TaskState.RUNNING)
    )
    assert waits_for(pipeline, tasks, LOOP) == ["split"]
    assert waits_for(pipeline, tasks, "root/split") == []
    assert waits_for(pipeline, tasks, "root/pick-best") == ["models"]
    assert waits_for(pipeline, tasks, "root/none") == []


@pytest.mark.parametrize("file", sorted(path.name for path in DATA.glob("*.yaml")))
def test_every_level_of_every_pipeline_can_be_drawn(file: str) -> None:
    pipeline = read(file)

    def draw(path: str) -> None:
        shown = level(pipeline, {}, path, "")
        assert shown.nodes
        for node in shown.nodes:
            assert pipeline.at(node.path) is not None
            if node.opens and shown.path == path:
                draw(node.path)

    draw(ROOT)


def test_the_timeline_shows_waiting_and_working() -> None:
    at = NOW.replace
    tasks = rows(("root/a", TaskType.CONTAINER, TaskState.SUCCEEDED), started_at=at(second=2), finished_at=at(second=6))
    tasks |= rows(("root/b", TaskType.CONTAINER, TaskState.RUNNING), started_at=at(second=5))
    tasks |= rows(
        ("root/c", TaskType.CONTAINER, TaskState.PENDING),
        ("root/d", TaskType.CONTAINER, TaskState.SKIPPED),
        ("root", TaskType.ROOT, TaskState.RUNNING),
    )
    shown = timeline(None, tasks, NOW + timedelta(seconds=10))
    assert [(bar.label, bar.waiting_from, bar.start, bar.end) for bar in shown.bars] == [
        ("c", 0, 100, 100),
        ("a", 0, 20, 60),
        ("b", 0, 50, 100),
    ]
    assert shown.ticks == [(0.0, 0), (20.0, 2), (40.0, 4), (60.0, 6), (80.0, 8), (100.0, 10)]
    assert timeline(None, {}, NOW).bars == ()


@given(st.floats(0.01, 1e8))
def test_ticks_are_few_and_inside(span: float) -> None:
    found = ticks(span)
    assert 1 <= len(found) <= 8
    assert found[0] == 0
    assert found[-1] <= span * 1.001


@pytest.mark.parametrize(
    ("labels", "short"),
    [
        (["models #0 forest › evaluate", "models #1 trees › evaluate"], ["#0 forest", "#1 trees"]),
        (["a", "b"], ["a", "b"]),
        (["a x", "a"], ["a x", "a"]),
        (["same", "same"], ["same", "same"]),
        (["alone here"], ["alone here"]),
        ([], []),
    ],
)
def test_labels_are_told_apart(labels: list[str], short: list[str]) -> None:
    assert told_apart(labels) == short


@given(st.lists(st.text(alphabet="ab ", min_size=1), unique=True))
def test_shortening_keeps_labels_apart(labels: list[str]) -> None:
    assert len(told_apart(labels)) == len(labels)


def test_names_fit_their_node() -> None:
    assert shortened("train-model") == "train-model"
    assert shortened("a-very-long-name-of-a-step-number-1") == "a-very-long…ep-number-1"


def test_parameters_have_the_names_that_people_know() -> None:
    values = {"parameters": {"pipelinechannel--loop-item-param-1": 1, "pipelinechannel--seed": 2, "x": 3}}
    assert said_parameters(values) == {"loop item": 1, "seed": 2, "x": 3}
    both = {"parameters": {"seed": 3, "pipelinechannel--seed": 2}}
    assert said_parameters(both) == {"seed": 3, "pipelinechannel--seed": 2}
