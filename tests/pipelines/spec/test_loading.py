"""Reading pipelines: what kfp compiles is understood, and what is wrong is said with the task and the field."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from tests.pipelines.simulation import DATA, pipeline

from headwater.pipelines.spec.documents import read_documents
from headwater.pipelines.spec.loading import check_run_parameters, load
from headwater.pipelines.spec.tree import (
    Constant,
    Container,
    Dag,
    Importer,
    ParameterType,
    SpecError,
    TaskOutput,
    Trigger,
    steps,
)

Spec = dict[str, Any]


def wire(name: str) -> Spec:
    with (DATA / f"{name}.yaml").open() as file:
        spec: Spec = yaml.safe_load(file)
    return spec


def task(spec: Spec, name: str) -> Spec:
    found: Spec = spec["root"]["dag"]["tasks"][name]
    return found


def test_a_chain_is_read() -> None:
    made = pipeline("chain")
    assert (made.name, made.sdk_version) == ("chain", "kfp-2.17.0")
    assert list(made.dag.tasks) == ["double", "double-2", "double-3"]
    second = made.dag.tasks["double-2"]
    assert second.parameters["x"].origin == TaskOutput("double", "Output")
    assert second.upstream == {"double"}
    assert second.cache
    body = second.component.body
    assert isinstance(body, Container)
    assert body.image == "python:3.11"
    assert body.args[:2] == ("--executor_input", "{{$}}")


def test_everything_of_a_task_is_read() -> None:
    tasks = pipeline("options").dag.tasks
    assert tasks["say"].cache_key == "mine"
    assert not tasks["optional-3"].cache
    said = tasks["say-2"]
    body = said.component.body
    assert isinstance(body, Container)
    assert said.display_name == "Say it"
    assert body.env == (("A", "1"),)
    assert (body.resources.cpu_limit, body.resources.memory_request) == ("500m", "64Mi")
    assert tasks["optional-2"].parameters["x"].origin == Constant(3.0)
    retry = pipeline("retries").dag.tasks["fail"].retry
    assert retry is not None
    assert [retry.delay(n) for n in (1, 2, 3)] == [5.0, 10.0, 10.0]
    assert pipeline("exit_handler").dag.tasks["final"].trigger is Trigger.COMPLETED
    importers = [t.component.body for t in pipeline("importing").dag.tasks.values()]
    assert [body.uri or body.uri_input for body in importers if isinstance(body, Importer)] == [
        "minio://mlpipeline/x",
        "uri",
    ]
    assert len(list(steps(pipeline("nested").root))) == 11


def test_numbers_of_an_integer_parameter_are_integers() -> None:
    default = pipeline("chain").root.parameters["n"]
    assert (default.type, default.default, type(default.default)) == (ParameterType.INTEGER, 3, int)


def _set(path: str, value: Any) -> Callable[[Spec], None]:
    def change(spec: Spec) -> None:
        *heads, last = path.split("/")
        at: Any = spec
        for head in heads:
            at = at[head]
        if value is None:
            del at[last]
        else:
            at[last] = value

    return change


_TASKS = "root/dag/tasks"
WRONG = [
    (
        "chain",
        _set(f"{_TASKS}/double-2/inputs", None),
        "task 'double-2': input 'x' is missing: component 'comp-double-2'",
    ),
    (
        "chain",
        _set(f"{_TASKS}/double-2/inputs/parameters/x/taskOutputParameter/producerTask", "nobody"),
        "task 'double-2': it depends on the task 'nobody', which does not exist here",
    ),
    (
        "chain",
        _set(f"{_TASKS}/double-2/inputs/parameters/x/taskOutputParameter/outputParameterKey", "out"),
        "task 'double-2': input 'x': task 'double' has no output parameter 'out'; it has Output",
    ),
    ("chain", _set(f"{_TASKS}/double/componentRef/name", "comp-x"), "task 'double': component 'comp-x' is not in the"),
    (
        "chain",
        _set("components/comp-double/executorLabel", "exec-x"),
        "component 'comp-double': executor 'exec-x' is not",
    ),
    ("chain", _set(f"{_TASKS}/double/dependentTasks", ["double-3"]), "in a circle: double -> double-3 -> double"),
    ("chain", _set(f"{_TASKS}/double/dependentTasks", ["double"]), "in a circle: double -> double"),
    (
        "chain",
        _set("components/comp-double/outputDefinitions/parameters/Output/parameterType", "STRING"),
        "input 'x': types do not fit: task 'double' gives STRING, and component 'comp-double-2' takes NUMBER_INTEGER",
    ),
    (
        "chain",
        _set(f"{_TASKS}/double/inputs/parameters/x", {"runtimeValue": {"constant": "five"}}),
        "task 'double': input 'x': expected NUMBER_INTEGER, got the string \"five\"",
    ),
    (
        "chain",
        _set(f"{_TASKS}/double/inputs/parameters/x", {"componentInputParameter": "m"}),
        "task 'double': input 'x': there is no input parameter 'm' to take it from",
    ),
    (
        "chain",
        _set(f"{_TASKS}/double/inputs/parameters/y", {"runtimeValue": {"constant": 1}}),
        "task 'double': input 'y': component 'comp-double' has no input parameter of this name",
    ),
    (
        "chain",
        _set(f"{_TASKS}/double/inputs/parameters/x", {}),
        "input 'x': it says nowhere where its value comes from",
    ),
    ("chain", _set(f"{_TASKS}/double/color", "red"), "task 'double': unknown field 'color'"),
    (
        "chain",
        _set(f"{_TASKS}/double/dependentTasks", "double"),
        "dependentTasks must be a list of strings, found a str",
    ),
    ("chain", _set("schemaVersion", "1.0"), "schemaVersion '1.0' is not known; expected 2.x"),
    ("chain", _set("root", None), "the pipeline has no root"),
    ("chain", _set("pipelineInfo/name", None), "pipelineInfo.name is missing"),
    ("chain", _set("deploymentSpec/executors/exec-double/container/image", None), "image is missing"),
    (
        "chain",
        _set("deploymentSpec/executors/exec-double/container/args", ["{{$.inputs.parameters['y']}}"]),
        "component 'comp-double': its command mentions the input parameter 'y', which it does not have",
    ),
    (
        "chain",
        _set("components/comp-double", {"dag": {"tasks": {"a": {"componentRef": {"name": "comp-double"}}}}}),
        "component 'comp-double': task 'a': component 'comp-double' contains itself",
    ),
    (
        "conditions",
        _set(f"{_TASKS}/condition-3/triggerPolicy/condition", "inputs.parameter_values['m'] == 1"),
        "task 'condition-3': its condition mentions the input 'm', which the task does not have",
    ),
    (
        "conditions",
        _set(f"{_TASKS}/condition-3/triggerPolicy/condition", "'it's' == 'x'"),
        "task 'condition-3': its condition cannot be read: 'it's' == 'x' is not a CEL expression",
    ),
    ("loop_static", _set(f"{_TASKS}/for-loop-2/parameterIterator/items/raw", "1"), "raw must be a JSON list"),
    (
        "loop_static",
        _set(f"{_TASKS}/for-loop-2/parameterIterator/itemInput", "i"),
        "task 'for-loop-2': it loops into the input 'i', which component 'comp-for-loop-2' does not have",
    ),
    (
        "loop_dynamic",
        _set(f"{_TASKS}/for-loop-1/parameterIterator/items/inputParameter", "i"),
        "task 'for-loop-1': it loops over the input 'i', which the task does not have",
    ),
    (
        "champion",
        _set(
            "components/comp-for-loop-2/dag/outputs/artifacts/pipelinechannel--train-model-model/artifactSelectors", []
        ),
        "component 'comp-for-loop-2': output artifact 'pipelinechannel--train-model-model' has no source",
    ),
    (
        "retries",
        _set(f"{_TASKS}/fail/retryPolicy/backoffDuration", "5 minutes"),
        "backoffDuration must be a duration such as \"30s\", found '5 minutes'",
    ),
    # What is not built yet is refused by its name.
    ("chain", _set("deploymentSpec/executors/exec-double", {"customJob": {}}), "'customJob' are not built yet"),
    (
        "chain",
        _set("components/comp-double/taskConfigPassthroughs", [{}]),
        "taskConfigPassthroughs (TaskConfig) are not",
    ),
    ("nested", _set(f"{_TASKS}/sub/retryPolicy", {"maxRetryCount": 2}), "made of other tasks is not built yet"),
    (
        "importing",
        _set("deploymentSpec/executors/exec-importer/importer/downloadToWorkspace", True),
        "downloadToWorkspace is not built yet",
    ),
]


@pytest.mark.parametrize(("name", "change", "said"), WRONG, ids=[said[:60] for _, _, said in WRONG])
def test_what_is_wrong_is_named(name: str, change: Callable[[Spec], None], said: str) -> None:
    spec = copy.deepcopy(wire(name))
    change(spec)
    with pytest.raises(SpecError) as caught:
        load(spec)
    assert said in str(caught.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    spec = wire("chain")
    del task(spec, "double-2")["inputs"]
    del task(spec, "double-3")["inputs"]
    with pytest.raises(SpecError) as caught:
        load(spec)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("value", [None, 3, "text", [], {"tasks": 1}, {"dag": {"tasks": {"a": None}}}])
def test_nonsense_is_refused_and_not_crashed_on(value: Any) -> None:
    with pytest.raises(SpecError):
        load({"pipelineInfo": {"name": "x"}, "root": value, "components": value, "deploymentSpec": value})


def test_settings_of_the_platform_are_read_or_refused() -> None:
    config = {"pipelineConfig": {"resourceTtlOnCompletion": 30, "activeDeadlineSeconds": 60}}
    made = load(wire("chain"), {"platforms": {"kubernetes": config}})
    assert (made.ttl_seconds, made.active_deadline_seconds) == (30, 60)
    for refused, said in (
        ({"pipelineConfig": {"workspace": {"size": "1Gi"}}}, "a workspace for the whole pipeline is not built yet"),
        (
            {"deploymentSpec": {"executors": {"exec-double": {"pvcMount": [{}]}}}},
            "executor 'exec-double': these settings of kfp-kubernetes are not built yet: pvcMount",
        ),
    ):
        with pytest.raises(SpecError, match="not built yet") as caught:
            load(wire("chain"), {"platforms": {"kubernetes": refused}})
        assert said in str(caught.value)


def test_both_spellings_of_a_field_are_read() -> None:
    spec = wire("chain")
    task(spec, "double")["component_ref"] = task(spec, "double").pop("componentRef")
    assert list(load(spec).dag.tasks)


def test_a_long_chain_does_not_reach_the_recursion_limit() -> None:
    step = {"componentRef": {"name": "comp"}}
    tasks = {f"t{i}": {**step, "dependentTasks": [f"t{i + 1}"]} for i in range(3000)} | {"t3000": step}
    made = load(
        {
            "pipelineInfo": {"name": "long"},
            "root": {"dag": {"tasks": tasks}},
            "components": {"comp": {"executorLabel": "e"}},
            "deploymentSpec": {"executors": {"e": {"container": {"image": "busybox"}}}},
        }
    )
    assert isinstance(made.root.body, Dag)
    assert next(iter(made.dag.tasks)) == "t3000"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "the pipeline needs the parameter 'a' (NUMBER_INTEGER), and the run does not give it"),
        ({"a": 1, "z": 2}, "the pipeline has no parameter 'z'; it has a, b, note"),
        ({"a": 1.5}, "parameter 'a': expected NUMBER_INTEGER, got the number 1.5"),
        ({"a": None}, "the pipeline needs the parameter 'a'"),
    ],
)
def test_bad_run_parameters_are_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        check_run_parameters(pipeline("diamond"), given)
    assert said in str(caught.value)


def test_run_parameters_take_their_types_and_defaults() -> None:
    values = check_run_parameters(pipeline("diamond"), {"a": "7", "b": 2.0, "note": 3})
    assert values == {"a": 7, "b": 2, "note": "3"}
    assert check_run_parameters(pipeline("diamond"), {"a": 1}) == {"a": 1, "b": 2, "note": "n"}


@pytest.mark.parametrize("text", ["[" * 300_000, "root: " + "{a: " * 300_000, "{" * 300_000])
def test_a_file_that_is_nested_without_end_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        read_documents(text)
