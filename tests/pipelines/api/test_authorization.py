"""Every route of the pipelines API, asked by somebody who may, by somebody who may not, and by a stranger."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestClient
from tests.pipelines.application import ANN, BOB, VIC, Application, served

from headwater.capability.routes import Access, Route
from headwater.pipelines.records.models import (
    ArtifactRow,
    ArtifactUse,
    Direction,
    PipelineRow,
    RunRow,
    TaskChange,
    TaskRow,
    TaskState,
)

STRANGER = "nobody-in-particular"
SPEC = {
    "pipelineInfo": {"name": "say"},
    "schemaVersion": "2.1.0",
    "components": {"comp-say": {"executorLabel": "exec-say"}},
    "deploymentSpec": {"executors": {"exec-say": {"container": {"image": "busybox", "command": ["true"]}}}},
    "root": {"dag": {"tasks": {"say": {"componentRef": {"name": "comp-say"}, "taskInfo": {"name": "say"}}}}},
}
READS = {"GET"}
NOT_BUILT = {":retry", "/recurringruns"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[Application, TestClient, dict[str, str]]]:
    """The application with one of everything in the namespace team-a, and the ids of it all."""
    async with served(tmp_path) as (application, client):
        yield application, client, await stock(application, client)


async def stock(application: Application, client: TestClient) -> dict[str, str]:
    async def made(path: str, **body) -> dict:
        response = await client.post(f"/apis/v2beta1{path}", json=body, headers={"who": ANN})
        assert response.status == 200, await response.text()
        return await response.json()

    experiment = await made("/experiments", display_name="e")
    pipeline = await made("/pipelines", display_name="p")
    version = await made(f"/pipelines/{pipeline['pipeline_id']}/versions", display_name="v", pipeline_spec=SPEC)
    at = application.context.clock.now()
    await application.records.create_run(
        RunRow(
            run_id="r", namespace="team-a", experiment_id=experiment["experiment_id"], display_name="r",
            pipeline_spec=SPEC, created_at=at,
        )
    )  # fmt: skip
    await application.records.save(
        "r", new=[TaskRow(task_id="t", run_id="r", path="root/say", name="say", created_at=at)]
    )
    artifact = ArtifactRow(
        artifact_id="a", namespace="team-a", name="out", uri="minio://mlpipeline/out", run_id="r", task_id="t",
        created_at=at,
    )  # fmt: skip
    link = ArtifactUse(task_id="t", artifact_id="a", direction=Direction.OUTPUT, key="out")
    change = TaskChange(task_id="t", state=TaskState.SUCCEEDED, artifacts=[artifact], uses=[link])
    await application.records.save("r", changes=[change])
    await application.context.artifacts.write("minio://mlpipeline/out", b"content")
    await application.context.artifacts.write("minio://mlpipeline/logs/team-a/r/say/0.log", b"said\n")
    return {
        "experiment_id": experiment["experiment_id"],
        "pipeline_id": pipeline["pipeline_id"],
        "pipeline_version_id": version["pipeline_version_id"],
        "run_id": "r",
        "task_id": "t",
        "node_id": "say",
        "artifact_id": "a",
        "artifact_name": "out",
        "name": "p",
        "recurring_run_id": "none",
    }


def body_of(route: Route, ids: dict[str, str]) -> dict:
    """Return keyword arguments for a request that somebody who may would get through with."""
    if "/upload" in route.path:
        form = aiohttp.FormData()
        form.add_field("uploadfile", json.dumps(SPEC).encode(), filename="p.json")
        return {"data": form}
    if route.path.endswith("/runs"):
        return {"json": {"display_name": "new", "experiment_id": ids["experiment_id"], "pipeline_spec": SPEC}}
    if route.path.endswith("/create"):
        return {"json": {"pipeline": {"name": "new"}, "pipeline_version": {"pipeline_spec": SPEC}}}
    if route.path.endswith("/versions"):
        return {"json": {"display_name": "new", "pipeline_spec": SPEC}}
    return {"json": {"display_name": "another"}}


async def ask(client: TestClient, route: Route, ids: dict[str, str], who: str) -> int:
    path = route.path.format(**ids)
    query = {"namespace": "team-a"}
    if "upload" in path:
        query |= {"name": f"by-{who}", "pipelineid": ids["pipeline_id"]}
    if "artifact_tasks" in path:
        query |= {"run_ids": "r"}
    if route.method == "DELETE" and "/versions/" not in path:
        query["cascade"] = "true"
    options = {} if route.method in READS else body_of(route, ids)
    async with client.request(route.method, path, params=query, headers={"who": who}, **options) as response:
        await response.read()
        return response.status


async def test_every_route_is_guarded(world) -> None:
    application, client, ids = world
    told: dict[str, list[str]] = {who: [] for who in (STRANGER, BOB, VIC, ANN)}
    guarded = [route for route in application.routes if route.access is not Access.PUBLIC]
    assert len(guarded) > 40

    def turn(route: Route) -> tuple[bool, bool, bool, int]:
        """Put away before restoring, and delete last, the parts before the whole."""
        return route.method == "DELETE", ":archive" not in route.path, ":unarchive" not in route.path, -len(route.path)

    for route in sorted(guarded, key=turn):
        name = f"{route.method} {route.path}"
        for who in (STRANGER, BOB):
            status = await ask(client, route, ids, who)
            if status != 403:
                told[who].append(f"{name} -> {status}")
        status = await ask(client, route, ids, VIC)
        reads = route.method in READS
        if (reads and status in (401, 403)) or (not reads and status != 403):
            told[VIC].append(f"{name} -> {status}")
        status = await ask(client, route, ids, ANN)
        missing = any(part in route.path for part in NOT_BUILT) and name != "GET /apis/v2beta1/recurringruns"
        if status != (501 if missing else 200):
            told[ANN].append(f"{name} -> {status}")
    assert told == {who: [] for who in told}


async def test_only_health_is_public(world) -> None:
    application, _, _ = world
    public = [route.path for route in application.routes if route.access is Access.PUBLIC]
    assert public == ["/apis/v2beta1/healthz"]


async def test_an_empty_namespace_is_the_callers_own(world) -> None:
    _, client, _ = world
    for who, names in {ANN: ["e"], VIC: ["e"], BOB: []}.items():
        response = await client.get("/apis/v2beta1/experiments", headers={"who": who})
        assert [one["display_name"] for one in (await response.json()).get("experiments", [])] == names


async def test_a_version_is_not_reached_through_another_pipeline(world) -> None:
    _, client, ids = world
    mine = await client.post("/apis/v2beta1/pipelines", json={"name": "mine"}, headers={"who": BOB})
    own = (await mine.json())["pipeline_id"]
    path = f"/apis/v2beta1/pipelines/{own}/versions/{ids['pipeline_version_id']}"
    for method in ("GET", "DELETE", "PATCH"):
        response = await client.request(method, path, headers={"who": BOB}, json={})
        assert response.status == 404
    reference = {"pipeline_id": own, "pipeline_version_id": ids["pipeline_version_id"]}
    for source in ({"pipeline_version_reference": reference}, {"pipeline_version_id": ids["pipeline_version_id"]}):
        response = await client.post("/apis/v2beta1/runs", json={"display_name": "x"} | source, headers={"who": BOB})
        assert response.status in (403, 404)


async def test_a_run_goes_where_its_experiment_is(world) -> None:
    _, client, ids = world
    body = {"display_name": "x", "experiment_id": ids["experiment_id"], "pipeline_spec": SPEC}
    response = await client.post("/apis/v2beta1/runs?namespace=team-b", json=body, headers={"who": BOB})
    assert response.status == 403
    response = await client.get(
        f"/apis/v2beta1/runs?namespace=team-b&experiment_id={ids['experiment_id']}", headers={"who": BOB}
    )
    assert response.status == 403


async def test_shared_pipelines_are_read_by_all_and_changed_by_few(world) -> None:
    application, client, _ = world
    row = PipelineRow(pipeline_id="", namespace="", name="shared", display_name="shared", created_at=datetime.now(UTC))
    shared, _ = await application.catalog.create_pipeline(row)
    path = f"/apis/v2beta1/pipelines/{shared.pipeline_id}"
    for who in (ANN, BOB, VIC):
        assert (await client.get(path, headers={"who": who})).status == 200
        listed = await (await client.get("/apis/v2beta1/pipelines", headers={"who": who})).json()
        assert "shared" in [one["display_name"] for one in listed["pipelines"]]
        assert (await client.patch(path, json={"display_name": "mine"}, headers={"who": who})).status == 403
        assert (await client.delete(path, headers={"who": who})).status == 403
    assert (await client.get(path, headers={"who": STRANGER})).status == 403
