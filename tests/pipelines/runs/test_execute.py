"""Pods of steps: the executor input, command lines, volumes, names; and what a finished step left behind."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.pipelines.simulation import pipeline

from headwater.artifacts.directory import DirectoryStore
from headwater.kube.meta.names import is_dns_label
from headwater.pipelines.records.models import ArtifactRow, RunRow
from headwater.pipelines.runs.execute import RunContext, Step, build_pod, executor_input, pod_name_of, task_id_of
from headwater.pipelines.runs.locations import Locations
from headwater.pipelines.runs.outputs import OutputError, Outputs, collect
from headwater.pipelines.spec.placeholders import Template

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
OWNER = {"apiVersion": "g/v1", "kind": "Run", "metadata": {"name": "run-1", "uid": "u1", "namespace": "team"}}


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


def context(store: DirectoryStore, name: str, *, mounts: bool = True, root: str = "") -> RunContext:
    run = RunRow(
        run_id="r1", namespace="team", experiment_id="", display_name="My run", pipeline_root=root, created_at=NOW
    )
    return RunContext(run, pipeline(name), OWNER, Locations(store, mounts))


def artifact(uri: str, name: str = "data", **metadata: Any) -> ArtifactRow:
    return ArtifactRow(
        artifact_id="a1", namespace="team", name=name, type="system.Dataset", uri=uri, metadata=metadata, created_at=NOW
    )


def step(at: RunContext, name: str, parameters: Mapping[str, Any] | None = None, **artifacts: Any) -> Step:
    task = at.pipeline.dag.tasks[name]
    return Step(task, task_id_of("r1", f"root/{name}"), f"root/{name}", 0, parameters or {}, artifacts)


def test_the_executor_input_is_what_kfp_reads(store: DirectoryStore) -> None:
    at = context(store, "champion")
    data = artifact("minio://mlpipeline/v2/artifacts/x/data", rows=3)
    one = step(at, "split-dataset", data=[data])
    root = one.root(at)
    assert root.startswith("minio://mlpipeline/v2/artifacts/champion/r1/split-dataset/")
    given = executor_input(one, at)
    assert given["inputs"]["artifacts"]["data"]["artifacts"] == [
        {
            "name": "data",
            "type": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"},
            "uri": "minio://mlpipeline/v2/artifacts/x/data",
            "metadata": {"rows": 3},
            "artifactId": "a1",
        }
    ]
    folder = root.replace("minio://", "/minio/")
    assert given["outputs"]["outputFile"] == f"{folder}/executor_output.json"
    assert given["outputs"]["artifacts"]["train"]["artifacts"][0]["uri"] == f"{root}/train"
    made = executor_input(step(at, "make-dataset", {"rows": 4}), at)
    assert made["inputs"]["parameterValues"] == {"rows": 4}
    assert made["outputs"]["parameters"]["Output"]["outputFile"].endswith("/.outputs/Output")


def test_a_pod_has_one_container_and_the_volumes_it_needs(store: DirectoryStore, tmp_path: Path) -> None:
    at = context(store, "champion")
    there, gone = "minio://mlpipeline/there", "minio://mlpipeline/gone"
    (tmp_path / "minio/mlpipeline/there").mkdir(parents=True)
    one = step(at, "split-dataset", data=[artifact(there), artifact(gone), artifact("https://elsewhere/x")])
    pod = build_pod(one, at)
    (container,) = pod["spec"]["containers"]
    root = one.root(at)
    assert [(v["csi"]["volumeAttributes"]["uri"], v["csi"].get("readOnly")) for v in pod["spec"]["volumes"]] == [
        (root, None),
        (there, True),
    ]
    assert [m["mountPath"] for m in container["volumeMounts"]] == [
        root.replace("minio://", "/minio/"),
        "/minio/mlpipeline/there",
    ]
    assert pod["metadata"]["ownerReferences"][0]["uid"] == "u1"
    assert pod["metadata"]["labels"]["pipelines.headwater.dev/run-id"] == "r1"
    assert pod["spec"]["restartPolicy"] == "Never"
    told = json.loads(container["args"][container["args"].index("--executor_input") + 1])
    assert told == executor_input(one, at)


def test_without_mounts_processes_are_told_the_machine_s_own_paths(store: DirectoryStore, tmp_path: Path) -> None:
    at = context(store, "champion", mounts=False)
    one = step(at, "split-dataset", data=[artifact("minio://mlpipeline/there")])
    given = executor_input(one, at)
    assert given["inputs"]["artifacts"]["data"]["artifacts"][0]["uri"] == str(tmp_path / "minio/mlpipeline/there")
    assert given["outputs"]["outputFile"].startswith(str(tmp_path / "minio/mlpipeline/v2/artifacts/champion/r1"))
    assert "volumes" not in build_pod(one, at)["spec"]


def test_the_run_s_root_wins_over_the_default(store: DirectoryStore) -> None:
    at = context(store, "champion", root="s3://bucket/x/")
    assert at.root == "s3://bucket/x/champion/r1"
    assert executor_input(step(at, "make-dataset"), at)["outputs"]["outputFile"].startswith("/s3/bucket/x/champion/")


def test_settings_of_a_step_reach_its_container(store: DirectoryStore) -> None:
    at = context(store, "options")
    (container,) = build_pod(step(at, "say-2"), at)["spec"]["containers"]
    assert {"name": "A", "value": "1"} in container["env"]
    assert container["resources"] == {"requests": {"memory": "64Mi"}, "limits": {"cpu": "500m"}}


def test_a_container_component_s_command_line(store: DirectoryStore) -> None:
    at = context(store, "container")
    one = step(at, "shell", {"text": "hi $(HOME) {{$}}"})
    (container,) = build_pod(one, at)["spec"]["containers"]
    folder = one.root(at).replace("minio://", "/minio/")
    assert container["args"] == ["say-hi $$(HOME) {{$$}}", f"{folder}/.outputs/out", f"{folder}/data", "--none"]
    (container,) = build_pod(step(at, "shell", {"text": "a", "extra": "b"}), at)["spec"]["containers"]
    assert container["args"][-2:] == ["--extra", "b"]


TOLD = {
    "inputs": {
        "parameterValues": {"x": "$(A)", "n": 3, "l": [1]},
        "artifacts": {"m": {"artifacts": [{"name": "m", "uri": "minio://b/m", "metadata": {"k": {"a": 1}}}]}},
    },
    "outputs": {
        "outputFile": "/f/executor_output.json",
        "parameters": {"o": {"outputFile": "/f/.outputs/o"}},
        "artifacts": {"d": {"artifacts": [{"name": "d", "uri": "minio://b/d", "metadata": {}}]}},
    },
}


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("plain $(A)", ["plain $(A)"]),
        ("{{$.inputs.parameters['x']}}", ["$$(A)"]),
        ("a-{{$.inputs.parameters['n']}}-{{$.inputs.parameters[\"l\"]}}", ["a-3-[1]"]),
        ("{{$.inputs.parameters['absent']}}", []),
        ("a{{$.inputs.parameters['absent']}}b", ["ab"]),
        ("{{$.inputs.artifacts['m'].uri}}", ["minio://b/m"]),
        ("{{$.inputs.artifacts['m'].path}}", ["/at/minio://b/m"]),
        ("{{$.inputs.artifacts['m'].metadata['k']}}", ['{"a":1}']),
        ("{{$.inputs.artifacts['m'].metadata}}", ['{"k":{"a":1}}']),
        ("{{$.outputs.parameters['o'].output_file}}", ["/f/.outputs/o"]),
        ("{{$.outputs.artifacts['d'].path}}", ["/at/minio://b/d"]),
        ("{{$.outputs.output_file}}", ["/f/executor_output.json"]),
        ("{{$.pipeline_job_name}}!", ["job!"]),
        ("{{$.unknown}}", ["{{$.unknown}}"]),
        ('{"Concat": ["a", "{{$.inputs.parameters[\'n\']}}", {"Concat": ["b", "c"]}]}', ["a3bc"]),
        ('{"IfPresent": {"InputName": "n", "Then": ["--n", "{{$.inputs.parameters[\'n\']}}"]}}', ["--n", "3"]),
        ('{"IfPresent": {"InputName": "absent", "Then": "x"}}', []),
        ('{"IfPresent": {"InputName": "absent", "Then": "x", "Else": "y"}}', ["y"]),
        ('{"Concat": ["a", {"IfPresent": {"InputName": "m", "Then": "b"}}]}', ["ab"]),
        ('{"Concat": not json', ['{"Concat": not json']),
    ],
)
def test_placeholders(template: str, made: list[str]) -> None:
    read = Template(TOLD, {"$.pipeline_job_name": "job"}, lambda uri: f"/at/{uri}")
    assert read.arguments([template]) == made


def test_the_whole_input_is_inserted_once_and_never_read_again() -> None:
    told = {"inputs": {"parameterValues": {"x": "{{$.outputs.output_file}}"}}, "outputs": {"outputFile": "/f"}}
    (text,) = Template(told, {}, str).arguments(["{{$}}"])
    assert json.loads(text) == told


def test_pod_names_are_labels_and_differ() -> None:
    names = [pod_name_of("A very Long pipeline's name", "x" * 80, task_id_of("r", str(i)), i) for i in range(50)]
    assert len(set(names)) == 50
    assert all(is_dns_label(name) is None for name in names)
    assert pod_name_of("日本", "語", task_id_of("r", "p"), 0).startswith("step-")


async def _left(store: DirectoryStore, name: str, task: str, said: Any, **files: bytes) -> Outputs:
    at = context(store, name)
    one = step(at, task)
    root = one.root(at)
    if said is not None:
        await store.write(
            f"{root}/executor_output.json", said if isinstance(said, bytes) else json.dumps(said).encode()
        )
    for file, data in files.items():
        await store.write(f"{root}/.outputs/{file}", data)
    return await collect(one, at, store, NOW)


async def test_results_of_a_lightweight_component(store: DirectoryStore) -> None:
    metadata = {"score": 1.5, "bad": None}
    said = {
        "parameterValues": {"Output": 3.0},
        "artifacts": {"metrics": {"artifacts": [{"name": "", "uri": "", "metadata": metadata}]}},
    }
    at = context(store, "champion")
    judge = at.pipeline.dag.tasks["for-loop-2"].component.body.tasks["evaluate-model"]
    one = Step(judge, task_id_of("r1", "p"), "root/for-loop-2/0/evaluate-model", 0)
    await store.write(f"{one.root(at)}/executor_output.json", json.dumps(said).encode())
    left = await collect(one, at, store, NOW)
    assert left.parameters == {"Output": 3.0}
    (metrics,) = left.artifacts["metrics"]
    assert (metrics.name, metrics.type, dict(metrics.metadata)) == ("metrics", "system.Metrics", metadata)
    assert left.artifacts["curve"][0].uri == f"{one.root(at)}/curve"


async def test_results_in_files_and_where_both_are_the_executor_s_win(store: DirectoryStore) -> None:
    assert (await _left(store, "container", "shell", None, out=b"text\n")).parameters == {"out": "text\n"}
    left = await _left(store, "container", "shell", {"parameterValues": {"out": "first"}}, out=b"second")
    assert left.parameters == {"out": "first"}


async def test_nothing_written_is_nothing_there(store: DirectoryStore) -> None:
    left = await _left(store, "chain", "double", None)
    assert left.parameters == {}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"{", "not JSON"),
        pytest.param(b"[" * 300_000, "not JSON", id="nested without end"),
        (b"[]", "not a JSON object"),
        ({"parameterValues": {"Output": "x"}}, "output 'Output': expected NUMBER_INTEGER"),
    ],
)
async def test_results_that_cannot_be_used(store: DirectoryStore, said: Any, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        await _left(store, "chain", "double", said)


async def test_not_a_number_is_no_value_rather_than_an_error(store: DirectoryStore) -> None:
    said = b'{"parameterValues": {"Output": 4}, "artifacts": {"x": {"artifacts": [{"metadata": {"loss": NaN}}]}}}'
    assert (await _left(store, "chain", "double", said)).parameters == {"Output": 4}


async def test_a_link_out_of_the_store_is_not_followed(store: DirectoryStore, tmp_path: Path) -> None:
    at = context(store, "chain")
    one = step(at, "double")
    folder = at.locations.host_path(one.root(at))
    assert folder is not None
    folder.mkdir(parents=True)
    (folder / "executor_output.json").symlink_to("/etc/hostname")
    with pytest.raises(OutputError):
        await collect(one, at, store, NOW)


async def test_host_paths_become_uris_again(store: DirectoryStore) -> None:
    at = context(store, "champion", mounts=False)
    one = step(at, "split-dataset", data=[artifact("minio://mlpipeline/input")])
    seen = executor_input(one, at)
    given = seen["inputs"]["artifacts"]["data"]["artifacts"][0]["uri"]
    made = seen["outputs"]["artifacts"]["train"]["artifacts"][0]["uri"]
    said = {
        "artifacts": {
            "train": {"artifacts": [{"name": "train", "uri": f"{made}/part"}]},
            "test": {"artifacts": [{"name": "test", "uri": given}]},
        }
    }
    await store.write(f"{one.root(at)}/executor_output.json", json.dumps(said).encode())
    left = await collect(one, at, store, NOW)
    assert left.artifacts["train"][0].uri == f"{one.root(at)}/train/part"
    assert left.artifacts["test"][0].uri == "minio://mlpipeline/input"


async def test_a_path_outside_the_step_s_folder_is_refused(store: DirectoryStore) -> None:
    said = {"artifacts": {"data": {"artifacts": [{"name": "data", "uri": "", "custom_path": "/tmp/x"}]}}}
    with pytest.raises(OutputError, match="set_path is not built yet"):
        await _left(store, "container", "shell", said)
