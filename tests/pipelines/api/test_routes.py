"""The API's answers in detail: shapes, refusals, and what is written where."""

import base64
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient
from sqlalchemy import event
from tests.pipelines.application import Application, served

from headwater.pipelines.records.models import (
    ArtifactRow,
    ArtifactUse,
    Direction,
    RunRow,
    TaskChange,
    TaskRow,
    TaskState,
    TaskType,
)
from headwater.pipelines.types import RUNS

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
SPEC = {
    "pipelineInfo": {"name": "say"},
    "schemaVersion": "2.1.0",
    "components": {"comp-say": {"executorLabel": "exec-say"}},
    "deploymentSpec": {"executors": {"exec-say": {"container": {"image": "busybox", "command": ["true"]}}}},
    "root": {
        "inputDefinitions": {"parameters": {"n": {"parameterType": "NUMBER_INTEGER"}}},
        "dag": {"tasks": {"say": {"componentRef": {"name": "comp-say"}, "taskInfo": {"name": "say"}}}},
    },
}
TEXT = json.dumps(SPEC).encode()


class Asker:
    """Asks the API and returns status and decoded answer."""

    def __init__(self, application: Application, client: TestClient) -> None:
        self.application = application
        self.client = client

    async def __call__(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        async with self.client.request(method, f"/apis/v2beta1{path}", **options) as response:
            return response.status, json.loads(await response.read() or b"null")

    async def ok(self, method: str, path: str, **options: Any) -> Any:
        status, answer = await self(method, path, **options)
        assert status == 200, answer
        return answer

    async def run(self, **body: Any) -> Any:
        given = {"display_name": "r", "pipeline_spec": SPEC, "runtime_config": {"parameters": {"n": 1}}}
        return await self.ok("POST", "/runs", json=given | body)

    async def upload(self, data: bytes, file: str = "p.yaml", route: str = "upload", part: str = "uploadfile", **query):
        form = aiohttp.FormData()
        form.add_field(part, data, filename=file)
        return await self("POST", f"/pipelines/{route}", data=form, params=query)


@pytest.fixture
async def ask(tmp_path: Path) -> AsyncIterator[Asker]:
    async with served(tmp_path) as (application, client):
        yield Asker(application, client)


async def test_health(ask: Asker) -> None:
    answer = await ask.ok("GET", "/healthz")
    assert answer["multi_user"] is False


async def test_an_error_has_the_shape_of_grpc(ask: Asker) -> None:
    status, answer = await ask("GET", "/runs/nowhere")
    assert status == 404
    message = 'There is no run "nowhere".'
    detail = {"@type": "type.googleapis.com/google.rpc.Status", "code": 5, "message": message}
    assert answer == {"code": 5, "message": message, "details": [detail]}


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/experiments", b"{", "The request is not valid JSON: "),
        ("/experiments", b"[]", "the request must be an object, not a list."),
        ("/experiments", {"display_name": "x", "foo": 1}, 'Unknown field "foo".'),
        ("/experiments", {"display_name": 3}, "display_name must be a text, not a number."),
        ("/experiments", {"display_name": " "}, "display_name must have between 1 and 255 characters."),
        ("/experiments", {"display_name": "x" * 256}, "display_name must have between 1 and 255 characters."),
        ("/experiments", {}, "display_name must have between 1 and 255 characters."),
        ("/runs", {"runtimeConfig": {"parameter": {}}}, 'Unknown field "runtime_config.parameter".'),
        ("/runs", {"runtime_config": {"parameters": []}}, "runtime_config.parameters must be an object, not a list."),
        ("/runs", {"runtime_config": "x"}, "runtime_config must be an object, not a text."),
        ("/runs", {"pipeline_version_reference": {"id": "x"}}, 'Unknown field "pipeline_version_reference.id".'),
        ("/runs", {"created_at": "yesterday"}, "created_at must be a time such as 2026-01-31T12:00:00Z, not a text."),
        ("/runs", {"display_name": "r"}, "A run needs exactly one of pipeline_spec and pipeline_version_reference."),
        (
            "/runs",
            {"display_name": "r", "pipeline_spec": SPEC, "pipeline_version_id": "v"},
            "A run needs exactly one of pipeline_spec and pipeline_version_reference, and has pipeline_spec and ",
        ),
        ("/runs", {"pipeline_spec": SPEC}, "display_name must have between 1 and 255 characters."),
        ("/runs", {"display_name": "r", "pipeline_spec": {"x": 1}}, "this is not a compiled pipeline: it has neither"),
        ("/runs", {"display_name": "r", "pipeline_spec": SPEC}, "the pipeline needs the parameter 'n'"),
        (
            "/runs",
            {"display_name": "r", "pipeline_spec": SPEC, "runtime_config": {"parameters": {"n": "many"}}},
            "parameter 'n': ",
        ),
        ("/pipelines", {"tags": {"a": 1}, "name": "p"}, "tags must be an object of texts, not an object."),
        ("/pipelines", {}, "A pipeline needs a name (name or display_name) of 1 to 255 characters."),
        ("/pipelines/create", {"pipeline": {"name": "p"}}, "A pipeline version needs a pipeline_spec."),
    ],
)
async def test_bad_input_gets_one_clear_sentence(ask: Asker, path: str, body: Any, message: str) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, answer = await ask("POST", path, data=data)
    assert status == 400
    assert answer["code"] == 3
    assert answer["message"].startswith(message)
    assert "\n" not in answer["message"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("filter={", "filter: not valid JSON"),
        ("sort_by=colour", "sort_by: unknown field 'colour'"),
        ("page_size=-1", "page_size: must not be negative"),
        ("page_token=x", "page_token: not a token"),
    ],
)
@pytest.mark.parametrize("path", ["/experiments", "/pipelines", "/runs", "/artifacts"])
async def test_bad_list_parameters(ask: Asker, path: str, query: str, message: str) -> None:
    status, answer = await ask("GET", f"{path}?{query}")
    assert status == 400
    assert answer["message"].startswith(message)


async def test_a_submitted_run_is_recorded_and_handed_to_the_cluster(ask: Asker) -> None:
    run = await ask.run(description="d", service_account="sa", experiment_id="")
    assert run["state"] == "PENDING"
    assert run["pipeline_spec"] == SPEC
    assert [entry["state"] for entry in run["state_history"]] == ["PENDING"]
    made = await ask.application.context.client.get(RUNS, run["run_id"], "team-a")
    assert made["spec"]["runtimeConfig"]["parameters"] == {"n": 1}
    assert made["spec"]["serviceAccount"] == "sa"
    recorded = await ask.application.records.get_run(run["run_id"])
    assert recorded is not None
    assert recorded.pipeline_spec == SPEC
    experiment = await ask.ok("GET", f"/experiments/{run['experiment_id']}")
    assert experiment["display_name"] == "Default"
    assert experiment["last_run_created_at"] == run["created_at"]


async def test_a_run_that_the_cluster_refuses_leaves_no_record(ask: Asker) -> None:
    catalog = ask.application.catalog
    experiment = await catalog.create_experiment("nowhere", "e")
    body = {"display_name": "r", "pipeline_spec": SPEC, "experiment_id": experiment.experiment_id}
    body["runtime_config"] = {"parameters": {"n": 1}}
    status, answer = await ask("POST", "/runs", json=body, headers={"who": "root"})
    assert status == 403
    await _make_administrator(ask, "root")
    status, answer = await ask("POST", "/runs", json=body, headers={"who": "root"})
    assert (status, answer["code"]) == (404, 5)
    assert "nowhere" in answer["message"]
    assert await ask.application.records.unfinished_runs() == []


async def _make_administrator(ask: Asker, user: str) -> None:
    from headwater.kube.meta.resources import CLUSTER_ROLE_BINDINGS

    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "administrator"},
        "subjects": [{"kind": "User", "name": user, "apiGroup": group}],
        "roleRef": {"kind": "ClusterRole", "name": "cluster-admin", "apiGroup": group},
    }  # fmt: skip
    await ask.application.context.client.create(CLUSTER_ROLE_BINDINGS, binding)


async def test_ending_and_deleting_a_run(ask: Asker) -> None:
    run = await ask.run()
    path, client = f"/runs/{run['run_id']}", ask.application.context.client
    await ask.ok("POST", f"{path}:terminate")
    assert (await ask.ok("GET", path))["state"] == "CANCELING"
    assert (await client.get(RUNS, run["run_id"], "team-a"))["spec"]["terminate"] is True
    await ask.ok("DELETE", path)
    assert (await ask("GET", path))[0] == 404
    left = (await client.list(RUNS, "team-a")).items
    assert [one for one in left if "deletionTimestamp" not in one["metadata"]] == []


async def test_archiving(ask: Asker) -> None:
    run = await ask.run()
    experiment = f"/experiments/{run['experiment_id']}"
    await ask.ok("POST", f"{experiment}:archive")
    assert (await ask.ok("GET", f"/runs/{run['run_id']}"))["storage_state"] == "ARCHIVED"
    status, answer = await ask("POST", f"/runs/{run['run_id']}:unarchive")
    assert (status, answer["code"]) == (400, 9)
    status, answer = await ask("POST", "/runs", json={"experiment_id": run["experiment_id"], "display_name": "x"})
    assert (status, answer["code"]) == (400, 9)
    assert "archived" in answer["message"]
    await ask.ok("POST", f"{experiment}:unarchive")
    await ask.ok("POST", f"/runs/{run['run_id']}:unarchive")
    assert (await ask.ok("GET", f"/runs/{run['run_id']}"))["storage_state"] == "AVAILABLE"


async def test_uploads(ask: Asker) -> None:
    status, pipeline = await ask.upload(TEXT, file="p.json", description="d", tags='{"team": "a"}')
    assert status == 200
    assert (pipeline["name"], pipeline["description"], pipeline["tags"]) == ("say", "d", {"team": "a"})
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("readme.md", "words")
        archive.writestr("folder/pipeline.yaml", TEXT)
    with tarfile.open(fileobj=tarred, mode="w:gz") as tar:
        member = tarfile.TarInfo("p.yaml")
        member.size = len(TEXT)
        tar.addfile(member, io.BytesIO(TEXT))
    where = {"route": "upload_version", "pipelineid": pipeline["pipeline_id"]}
    for name, data in {"a.zip": zipped.getvalue(), "b.tar.gz": tarred.getvalue(), "c": TEXT}.items():
        status, version = await ask.upload(data, file=name, name=name, display_name=f"the {name}", **where)
        assert status == 200, version
        assert (version["name"], version["display_name"], version["pipeline_spec"]) == (name, f"the {name}", SPEC)


def _zip(**files: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("_", "."), text)
    return made.getvalue()


BILLION_LAUGHS = "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))
ARGO = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"a: [", "the file is not YAML: line 2"),
        (b"{", "the file is not"),
        (b"\x00\xff", "the file is not YAML"),
        (b"hello", "expected a compiled pipeline, found a str"),
        (ARGO.encode(), "this is an Argo Workflow"),
        (b"PK\x03\x04nonsense", "p.yaml cannot be unpacked"),
        (gzip.compress(b"not a tar"), "p.yaml cannot be unpacked"),
        (_zip(readme_md="x"), "The archive must hold pipeline.yaml or one YAML or JSON file; it has 0: none."),
        (
            _zip(a_yaml="x", b_json="y"),
            "The archive must hold pipeline.yaml or one YAML or JSON file; it has 2: a.yaml",
        ),
        (_zip(a_yaml="x" * (33 << 20)), "a.yaml in the archive is larger than 32 MiB."),
        (f"pipelineInfo: {{name: x}}\nroot: {{}}\n{BILLION_LAUGHS}".encode(), "The pipeline has more than 1,000,000"),
    ],
)
async def test_a_bad_upload_is_explained(ask: Asker, data: bytes, message: str) -> None:
    status, answer = await ask.upload(data)
    assert status == 400, answer
    assert answer["error_message"].startswith(message)
    assert set(answer) == {"error_message", "error_details"}


async def test_an_upload_in_the_wrong_form(ask: Asker) -> None:
    status, answer = await ask("POST", "/pipelines/upload", data=TEXT)
    assert (status, "multipart" in answer["error_message"]) == (400, True)
    status, answer = await ask.upload(TEXT, part="file")
    assert (status, answer["error_message"]) == (400, 'The request has no part "uploadfile".')
    status, answer = await ask.upload(TEXT, tags="{")
    assert (status, answer["error_message"].startswith("tags is not valid JSON")) == (400, True)
    status, answer = await ask.upload(TEXT, route="upload_version")
    assert (status, "pipelineid" in answer["error_message"]) == (400, True)
    status, answer = await ask.upload(b"x" * ((32 << 20) + 1))
    assert (status, answer["error_message"]) == (400, "The file is larger than 32 MiB.")


async def test_pipelines_and_versions(ask: Asker) -> None:
    made = await ask.ok(
        "POST", "/pipelines/create", json={"pipeline": {"displayName": "p"}, "pipelineVersion": {"pipelineSpec": SPEC}}
    )
    path = f"/pipelines/{made['pipeline_id']}"
    assert (await ask.ok("GET", "/pipelines/names/p"))["pipeline_id"] == made["pipeline_id"]
    assert (await ask("GET", "/pipelines/names/q"))[0] == 404
    changed = await ask.ok("PATCH", path, json={"display_name": "better", "tags": {"a": "b"}})
    assert (changed["name"], changed["display_name"], changed["tags"]) == ("p", "better", {"a": "b"})
    (version,) = (await ask.ok("GET", f"{path}/versions"))["pipeline_versions"]
    assert (version["name"], version["pipeline_spec"]) == ("p", SPEC)
    status, answer = await ask("POST", f"{path}/versions", json={"name": "p", "pipeline_spec": SPEC})
    assert (status, answer["code"]) == (409, 6)
    platform = {"pipeline_spec": SPEC, "platform_spec": {"platforms": {"kubernetes": {}}}}
    second = await ask.ok("POST", f"{path}/versions", json={"name": "v2", "pipeline_spec": platform})
    assert second["pipeline_spec"] == platform
    version_path = f"{path}/versions/{second['pipeline_version_id']}"
    assert (await ask.ok("PATCH", version_path, json={"description": "d"}))["description"] == "d"
    reference = {"pipeline_id": made["pipeline_id"]}
    run = await ask.ok(
        "POST",
        "/runs",
        json={
            "display_name": "latest", "pipeline_version_reference": reference,
            "runtime_config": {"parameters": {"n": 2}},
        },
    )  # fmt: skip
    assert run["pipeline_version_reference"] == reference | {"pipeline_version_id": second["pipeline_version_id"]}
    assert "pipeline_spec" not in run
    status, answer = await ask("DELETE", path)
    assert (status, answer["code"]) == (400, 9)
    await ask.ok("DELETE", f"{path}?cascade=true")
    recorded = await ask.application.records.get_run(run["run_id"])
    assert recorded is not None
    assert (recorded.pipeline_spec, recorded.platform_spec) == (SPEC, platform["platform_spec"])


async def tasks_of_a_run(ask: Asker) -> None:
    records = ask.application.records
    await records.create_run(
        RunRow(run_id="r", namespace="team-a", experiment_id="", display_name="r", pipeline_spec=SPEC, created_at=AT)
    )
    common = {"run_id": "r", "created_at": AT}
    await records.save(
        "r",
        new=[
            TaskRow(task_id="t0", path="root", name="root", type=TaskType.ROOT, **common),
            TaskRow(task_id="t1", path="root/loop", parent_path="root", name="loop", type=TaskType.LOOP, **common),
            TaskRow(
                task_id="t2", path="root/loop/0", parent_path="root/loop", name="loop",
                type=TaskType.ITERATION, **common,
            ),
            TaskRow(
                task_id="t3", path="root/loop/0/train", parent_path="root/loop/0", name="train", pod_name="pod-3",
                attempt=1, inputs={"parameters": {"x": 1}}, **common,
            ),
        ],
    )  # fmt: skip
    model = ArtifactRow(
        artifact_id="a", namespace="team-a", name="model", type="system.Model", uri="minio://shared/model",
        metadata={"score": 0.5}, run_id="r", task_id="t3", created_at=AT,
    )  # fmt: skip
    change = TaskChange(
        task_id="t3", state=TaskState.CACHED, outputs={"parameters": {"y": [2]}}, artifacts=[model],
        cache_explanation="same image, command and inputs", fingerprint="f" * 64,
        uses=[ArtifactUse(task_id="t3", artifact_id="a", direction=Direction.OUTPUT, key="model")],
    )  # fmt: skip
    await records.save("r", changes=[change])


async def test_a_runs_tasks_in_both_shapes(ask: Asker) -> None:
    await tasks_of_a_run(ask)
    run = await ask.ok("GET", "/runs/r?view=FULL")
    old = {task["task_id"]: task for task in run["run_details"]["task_details"]}
    assert [old[key].get("parent_task_id") for key in ("t0", "t1", "t2", "t3")] == [None, "t0", "t1", "t2"]
    assert old["t1"]["child_tasks"] == [{"task_id": "t2"}]
    assert (old["t3"]["state"], old["t3"]["pod_name"]) == ("SKIPPED", "pod-3")
    assert old["t3"]["outputs"] == {"model": {"artifact_ids": ["a"]}}
    new = {task["task_id"]: task for task in run["tasks"]}
    assert run["task_count"] == 4
    assert [new[key]["type"] for key in ("t0", "t1", "t2", "t3")] == ["ROOT", "LOOP", "DAG", "RUNTIME"]
    assert new["t2"]["type_attributes"] == {"iteration_index": "0"}
    train = new["t3"]
    assert (train["state"], train["scope_path"]) == ("CACHED", "root.loop.0.train")
    assert train["inputs"]["parameters"] == [{"parameter_key": "x", "value": 1, "type": "COMPONENT_INPUT"}]
    assert train["outputs"]["parameters"] == [{"parameter_key": "y", "value": [2], "type": "OUTPUT"}]
    assert train["outputs"]["artifacts"][0]["artifacts"][0]["metadata"] == {"score": 0.5}
    assert train["status_metadata"]["custom_properties"]["cache_explanation"] == "same image, command and inputs"
    assert "tasks" not in await ask.ok("GET", "/runs/r")
    assert (await ask.ok("GET", "/runs/r/tasks"))["tasks"] == run["tasks"]
    assert await ask.ok("GET", "/runs/r/tasks/t3") == train
    assert (await ask("GET", "/runs/r/tasks/t9"))[0] == 404
    assert (await ask.ok("GET", "/runs?view=FULL"))["runs"][0]["tasks"] == run["tasks"]
    assert "run_details" not in (await ask.ok("GET", "/runs"))["runs"][0]


async def test_artifacts(ask: Asker) -> None:
    await tasks_of_a_run(ask)
    store = ask.application.context.artifacts
    (listed,) = (await ask.ok("GET", "/artifacts"))["artifacts"]
    assert (listed["artifact_id"], listed["type"]) == ("a", "Model")
    assert await ask.ok("GET", "/artifacts/a") == listed
    (link,) = (await ask.ok("GET", "/artifact_tasks?artifact_ids=a"))["artifact_tasks"]
    assert (link["task_id"], link["run_id"], link["key"], link["type"]) == ("t3", "r", "model", "OUTPUT")
    assert (await ask("GET", "/artifacts/a:download"))[0] == 404
    await store.write("minio://shared/model", b"<script>")
    for node in ("t3", "pod-3", "train"):
        answer = await ask.ok("GET", f"/runs/r/nodes/{node}/artifacts/model:read")
        assert base64.b64decode(answer["data"]) == b"<script>"
    assert (await ask("GET", "/runs/r/nodes/t3/artifacts/other:read"))[0] == 404
    assert (await ask("GET", "/runs/r/nodes/loop/artifacts/model:read"))[1]["message"].startswith("2 tasks are called")
    async with ask.client.get("/apis/v2beta1/artifacts/a:download") as response:
        assert await response.read() == b"<script>"
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Content-Disposition"].startswith("attachment")
    await store.delete("minio://shared/model")
    await store.write("minio://shared/model/weights.bin", b"1")
    status, answer = await ask("GET", "/artifacts/a:download")
    assert (status, "weights.bin" in answer["message"]) == (400, True)
    async with ask.client.get("/apis/v2beta1/artifacts/a:download?path=weights.bin") as response:
        assert await response.read() == b"1"
    status, _ = await ask("GET", "/artifacts/a:download?path=../../secret")
    assert status == 400


async def test_logs(ask: Asker) -> None:
    await tasks_of_a_run(ask)
    path = "/apis/v1alpha1/runs/r/nodes/pod-3/log"
    async with ask.client.get(path) as response:
        assert response.status == 404
        assert "log" in (await response.json())["message"]
    await ask.application.context.artifacts.write("minio://mlpipeline/logs/team-a/r/loop/0/train/1.log", b"line\n" * 9)
    async with ask.client.get(f"{path}?follow=true") as response:
        assert await response.read() == b"line\n" * 9
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    async with ask.client.get(f"{path}?attempt=x") as response:
        assert response.status == 400


async def test_a_full_disk_refuses_the_write_and_nothing_else(ask: Asker) -> None:
    engine = ask.application.context.database.engine
    pages: list[int] = []

    def limited(connection: Any, _record: Any) -> None:
        pages.append(connection.execute("PRAGMA page_count").fetchone()[0])
        connection.execute(f"PRAGMA max_page_count = {pages[0]}")

    await ask.ok("POST", "/experiments", json={"display_name": "before"})
    engine.dispose()
    event.listen(engine, "connect", limited)
    body = {"display_name": "large", "description": "x" * (1 << 20)}
    status, answer = await ask("POST", "/experiments", json=body)
    assert (status, answer["code"]) == (503, 14)
    assert answer["message"] == "The disk that holds the records is full or failing: nothing was changed."
    listed = await ask.ok("GET", "/experiments")
    assert [one["display_name"] for one in listed["experiments"]] == ["before"]
    event.remove(engine, "connect", limited)
    engine.dispose()
    await ask.ok("POST", "/experiments", json=body)


async def test_what_is_not_built_says_so(ask: Asker) -> None:
    assert await ask.ok("GET", "/recurringruns") == {}
    for method, path in {("POST", "/recurringruns"), ("GET", "/recurringruns/x"), ("POST", "/recurringruns/x:enable")}:
        status, answer = await ask(method, path, json={})
        assert (status, answer["code"]) == (501, 12)
        assert "not built yet" in answer["message"]
