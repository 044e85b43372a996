"""The planner against pipelines that kfp compiled, and against random ones."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pipelines.simulation import DATA, STEPS, Simulation, pipeline, python

from headwater.pipelines.records.models import RunState, TaskState
from headwater.pipelines.runs.tasks import Values
from headwater.pipelines.spec.loading import load

NAMES = sorted(path.stem for path in DATA.glob("*.yaml"))
FAILING = {"exit_handler", "ignore_failure", "retries"}


@pytest.mark.parametrize("name", NAMES)
def test_every_compiled_pipeline_runs_to_its_end(name: str) -> None:
    made = pipeline(name)
    given_ = {"a": 1} if name == "diamond" else {}
    run = Simulation(made, given_)
    outcome = run.run(python, random.Random(3))
    assert outcome.state is (RunState.FAILED if name in FAILING else RunState.SUCCEEDED), outcome.error


def test_a_chain_runs_one_after_another() -> None:
    run = Simulation(pipeline("chain"))
    assert run.plan() == ["root/double"]
    assert run.plan() == []
    run.finish("root/double", {"Output": 6})
    assert run.plan() == ["root/double-2"]
    assert run.tasks["root/double-2"].inputs.parameters == {"x": 6}


def test_values_keep_their_types_and_text_is_filled_in() -> None:
    run = Simulation(pipeline("diamond"), {"a": 1.0})
    run.run(python)
    assert run.tasks["root/add"].inputs.parameters == {"a": 1, "b": 2}
    said = run.tasks["root/say"].inputs.parameters["text"]
    assert said == "sum 12 of 1 (n) in job"


def test_conditions_decide_and_say_why() -> None:
    run = Simulation(pipeline("conditions"))
    assert run.run(python).state is RunState.SUCCEEDED
    states = {path: run.state(path) for path in ("condition-1", "condition-1/condition-2", "condition-3")}
    assert states == {"condition-1": "SUCCEEDED", "condition-1/condition-2": "SUCCEEDED", "condition-3": "SKIPPED"}
    assert "!= 3" in run.tasks["root/condition-3"].error
    assert run.state("condition-6") == "SKIPPED"
    assert run.state("condition-7") == "SUCCEEDED"


@pytest.mark.parametrize(("n", "said"), [(1, "one"), (2, "two"), (5, "many")])
def test_exactly_one_branch_is_taken(n: int, said: str) -> None:
    run = Simulation(pipeline("branches"), {"n": n})
    outcome = run.run(python)
    assert outcome.outputs.parameters == {"Output": said}
    assert len(run.history) == 2


def test_a_branch_hands_on_its_artifact() -> None:
    run = Simulation(pipeline("artifact_branches"), {"n": 2})
    run.run(python)
    (got,) = run.tasks["root/split-dataset"].inputs.artifacts["data"]
    assert got.endswith("condition-3/make-dataset-2:data")


def test_a_loop_keeps_its_limit_and_collects_in_order() -> None:
    run = Simulation(pipeline("loop_static"))
    assert len(run.plan()) == 2
    run.finish(run.pending[1], {"Output": 4})
    assert len(run.plan()) == 1
    outcome = run.run(python)
    assert run.tasks["root/total"].inputs.parameters == {"values": [2, 4, 6]}
    assert outcome.outputs.parameters == {"Output": 12}


def test_iterations_of_a_loop_begin_together() -> None:
    run = Simulation(pipeline("wide"))
    assert len(run.plan()) == 20


def test_a_loop_over_a_task_s_list() -> None:
    run = Simulation(pipeline("loop_dynamic"), {"n": 3})
    run.run(python)
    assert run.tasks["root/total"].inputs.parameters == {"values": [0, 2, 4]}


def test_a_loop_over_nothing_succeeds_with_empty_lists() -> None:
    run = Simulation(pipeline("loop_dynamic"), {"n": 0})
    assert run.run(python).state is RunState.SUCCEEDED
    assert run.tasks["root/total"].inputs.parameters == {"values": []}


def test_loops_take_parts_of_structs() -> None:
    run = Simulation(pipeline("loop_structs"))
    run.run(python)
    assert run.tasks["root/for-loop-2/1/add"].inputs.parameters == {"a": 2, "b": 6}


def test_nested_loops_give_lists_of_lists() -> None:
    run = Simulation(pipeline("loop_nested"))
    run.run(python)
    assert run.tasks["root/collect-nested"].inputs.parameters == {"values": [[12, 22], [14, 24]]}
    assert run.state("for-loop-2/0/for-loop-4/0/condition-5") == "SUCCEEDED"
    assert run.state("for-loop-2/0/for-loop-4/1/condition-5") == "SKIPPED"


def test_artifacts_of_nested_loops_are_one_list() -> None:
    run = Simulation(pipeline("loop_artifacts"))
    run.run(python)
    assert len(run.tasks["root/read-all"].inputs.artifacts["models"]) == 4


def test_nested_pipelines_pass_values_in_and_out() -> None:
    run = Simulation(pipeline("nested"))
    outcome = run.run(python)
    assert outcome.outputs.parameters == {"result": 80}
    assert outcome.outputs.artifacts == {"data": ("root/make-dataset:data",)}


def test_an_exit_handler_runs_after_a_failure_and_the_run_still_fails() -> None:
    run = Simulation(pipeline("exit_handler"))
    outcome = run.run(python)
    assert outcome.state is RunState.FAILED
    assert outcome.error == "task 'exit-handler-1/fail' failed: exit code 1"
    assert run.history[-1] == "root/final"
    status = run.tasks["root/final"].inputs.parameters["status"]
    assert status["state"] == "FAILED"
    assert status["pipelineTaskName"] == "exit-handler-1"
    assert "exit code 1" in status["error"]["message"]


def test_a_task_that_ignores_failures_upstream_runs() -> None:
    run = Simulation(pipeline("ignore_failure"))
    assert run.run(python).state is RunState.FAILED
    assert run.state("say") == "SUCCEEDED"


def test_what_depends_on_a_failure_is_skipped_and_the_rest_goes_on() -> None:
    run = Simulation(pipeline("diamond"), {"a": 1})
    run.plan()
    run.finish("root/add", {"Output": 3})
    run.plan()
    run.finish("root/double", None, "exit code 7")
    run.plan()
    assert run.outcome is None
    run.finish("root/double-2", {"Output": 6})
    run.plan()
    assert run.outcome is not None
    assert run.outcome.error == "task 'double' failed: exit code 7"
    assert run.tasks["root/add-2"].state is TaskState.SKIPPED
    assert run.tasks["root/say"].error == "not run, because task 'add-2' was skipped"


def test_a_missing_output_fails_the_task_that_needs_it_with_both_names() -> None:
    run = Simulation(pipeline("chain"))
    run.plan()
    run.finish("root/double", {})
    run.plan()
    assert run.tasks["root/double-2"].error == "input 'x' has no value: task 'double' made no output 'Output'"


def test_a_loop_over_something_else_than_a_list_fails() -> None:
    run = Simulation(pipeline("loop_dynamic"))
    run.plan()
    run.finish("root/numbers", {"Output": 3})
    run.plan()
    assert run.outcome is not None
    assert "must be a list; got the number 3" in run.outcome.error


def test_the_champion_pipeline() -> None:
    run = Simulation(pipeline("champion"))
    assert run.run(python).state is RunState.SUCCEEDED
    assert [status for path, status in run.tasks.items() if path.endswith("condition-3")]
    pick = run.tasks["root/pick-best"].inputs
    assert pick.parameters["scores"] == [0.75] * 3
    assert pick.artifacts["models"] == tuple(f"root/for-loop-2/{i}/train-model:model" for i in range(3))


@st.composite
def random_dag(draw: st.DrawFn) -> dict[str, object]:
    """A pipeline of steps, conditions and loops whose tasks depend on random earlier ones."""
    count = draw(st.integers(1, 12))
    tasks: dict[str, object] = {}
    for number in range(count):
        before = sorted(draw(st.sets(st.sampled_from(range(number)), max_size=3))) if number else []
        kind = draw(st.sampled_from(["step", "step", "step", "sub", "loop", "limited", "when", "exit"]))
        task: dict[str, object] = {"componentRef": {"name": "comp-step"}, "dependentTasks": [f"t{b}" for b in before]}
        if kind != "step":
            task["componentRef"] = {"name": "comp-sub" if kind == "exit" else "comp-dag"}
        if kind in ("loop", "limited"):
            task["componentRef"] = {"name": "comp-body"}
            items = {"raw": draw(st.sampled_from(["[]", "[1]", "[1, 2, 3]"]))}
            task["parameterIterator"] = {"items": items, "itemInput": "item"}
            if kind == "limited":
                task["iteratorPolicy"] = {"parallelismLimit": 1}
        if kind == "when":
            task["triggerPolicy"] = {"condition": draw(st.sampled_from(["true", "false", "1 / 0 == 1"]))}
        if kind == "exit":
            task["triggerPolicy"] = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
        tasks[f"t{number}"] = task
    step = {"componentRef": {"name": "comp-step"}}
    item = {"item": {"parameterType": "NUMBER_INTEGER"}}
    return {
        "pipelineInfo": {"name": "random"},
        "root": {"dag": {"tasks": tasks}},
        "components": {
            "comp-step": {"executorLabel": "exec"},
            "comp-sub": {"dag": {"tasks": {"a": step, "b": {**step, "dependentTasks": ["a"]}}}},
            "comp-dag": {"dag": {"tasks": {"x": step, "y": {"componentRef": {"name": "comp-sub"}}}}},
            "comp-body": {"inputDefinitions": {"parameters": item}, "dag": {"tasks": {"a": step, "b": step}}},
        },
        "deploymentSpec": {"executors": {"exec": {"container": {"image": "busybox"}}}},
    }


@settings(max_examples=150, deadline=None)
@given(random_dag(), st.integers(0, 2**32), st.floats(0, 0.4))
def test_random_pipelines_end_whatever_the_order(spec: dict[str, object], seed: int, failing: float) -> None:
    rng = random.Random(seed)
    run = Simulation(load(spec))

    def program(path: str, inputs: Values) -> dict[str, object] | None:
        upstream = run.openings[path].task.upstream
        parent = path.rpartition("/")[0]
        assert all(run.tasks[f"{parent}/{other}"].state.finished for other in upstream), "began before its upstream"
        running = {p for p, s in run.tasks.items() if not s.state.finished}
        assert all(p in running for p in _ancestors(path)), "ran in a structure that was over"
        return None if rng.random() < failing else {}

    outcome = run.run(program, rng)
    assert len(run.history) == len(set(run.history)), "a step ran twice"
    assert all(status.state.finished for status in run.tasks.values())
    failures = [path for path, status in run.tasks.items() if status.state is TaskState.FAILED and path != "root"]
    assert (outcome.state is RunState.FAILED) == bool(failures)
    for path, opening in run.openings.items():
        if opening.type in STEPS and run.tasks[path].state is TaskState.SKIPPED:
            assert path not in run.history


def _ancestors(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]
