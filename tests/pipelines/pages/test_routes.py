"""The room's pages over HTTP, on records that the real planner made."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.gateway.conftest import browser, sign_in
from tests.gateway.frontdoor import ANN, BOB, VIC, FrontDoor, front_door
from tests.pipelines.seeded import move_on, seed_demo

from headwater.kube.meta.time import SystemClock
from headwater.pipelines.pages.routes import columns
from headwater.pipelines.records.models import StorageState

RUNS = "/ns/team-a/runs"


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[FrontDoor]:
    async with front_door(tmp_path) as opened:
        yield opened


@pytest.fixture
async def ids(door: FrontDoor) -> dict[str, str]:
    return await seed_demo(door.records, door.catalog, door.artifacts, SystemClock(), "team-a")


@pytest.fixture
async def ann(door: FrontDoor, ids: dict[str, str]) -> AsyncIterator[aiohttp.ClientSession]:
    async with browser(door) as session:
        await sign_in(session, ANN)
        yield session


async def text(session: aiohttp.ClientSession, path: str, status: int = 200) -> str:
    async with session.get(path) as answer:
        found = await answer.text()
        assert answer.status == status, f"{path}: {answer.status}\n{found[:2000]}"
        return found.replace("&#39;", "'").replace("&#34;", '"')


async def test_every_page_of_a_run_answers(ann: aiohttp.ClientSession, ids: dict[str, str]) -> None:
    queries = [
        *("", "?tab=results", "?tab=events", "?tab=yaml", "?tab=code", "?tab=made-up"),
        *("?at=root/for-loop-2", "?at=nowhere", "?step=nowhere", "?step=root/for-loop-2", "?step=root/pick-best"),
        *("?step=root/load", "?step=root/load&panel=logs", "?step=root/load&panel=events"),
    ]
    for run in ids.values():
        for query in queries:
            assert "Headwater" in await text(ann, f"{RUNS}/{run}{query}")


async def test_the_list_has_parameters_and_metrics_as_columns(ann: aiohttp.ClientSession) -> None:
    page = await text(ann, RUNS)
    for name in ("accuracy", "f1", "roc_auc", "test_fraction", "seed"):
        assert f">{name}</th>" in page
    assert "0.958 – 0.986" in page
    assert page.count("<tr data-href") == 4
    assert page.index("seed 11") < page.index("quarter-seed"), "newest first"


async def test_the_list_is_filtered_sorted_and_explains_mistakes(ann: aiohttp.ClientSession) -> None:
    assert (await text(ann, f"{RUNS}?q=quarter")).count("<tr data-href") == 1
    assert (await text(ann, f"{RUNS}?q=state+%3D+failed+and+name+~+breast")).count("<tr data-href") == 1
    assert (await text(ann, f"{RUNS}?state=active")).count("<tr data-href") == 1
    assert "No run matches" in await text(ann, f"{RUNS}?q=nothing+of+the+sort")
    assert "There is no field “stat”" in await text(ann, f"{RUNS}?q=stat+%3D+failed")
    assert "is not a time" in await text(ann, f"{RUNS}?q=created+%3E+yesterday")
    page = await text(ann, f"{RUNS}?sort=name")
    assert page.index(">breast-cancer</a>") < page.index("breast-cancer, again")
    assert "unknown field" in await text(ann, f"{RUNS}?sort=nothing")
    assert "page_token" in await text(ann, f"{RUNS}?page=made-up")


async def test_archived_runs_are_apart(ann: aiohttp.ClientSession, ids: dict[str, str], door: FrontDoor) -> None:
    await door.records.set_run_storage(ids["failed"], StorageState.ARCHIVED)
    assert "quarter-seed" not in await text(ann, RUNS)
    assert "quarter-seed" in await text(ann, f"{RUNS}?archived=1")


async def test_a_failed_run_says_why_at_the_top_and_in_the_step(
    ann: aiohttp.ClientSession, ids: dict[str, str]
) -> None:
    why = "exit code 1: ValueError: test_size=-0.1 should be between 0 and 1"
    page = await text(ann, f"{RUNS}/{ids['failed']}")
    assert "<b>split</b></a> failed: " + why in page
    step = await text(ann, f"{RUNS}/{ids['failed']}?step=root/split")
    assert "Why it failed" in step
    skipped = await text(ann, f"{RUNS}/{ids['failed']}?step=root/pick-best")
    assert "not run, because task 'for-loop-2' was skipped" in skipped


async def test_a_step_shows_what_it_read_made_and_measured(ann: aiohttp.ClientSession, ids: dict[str, str]) -> None:
    page = await text(ann, f"{RUNS}/{ids['finished']}?step=root/for-loop-2/0/evaluate")
    assert "models #0 logistic-regression › evaluate" in page
    specs = [json.loads(part.split("</script>")[0]) for part in page.split('<script type="application/json">')[1:]]
    assert [spec["description"][:9] for spec in specs] == ["Confusion", "ROC curve"]
    assert '<dt>accuracy</dt><dd class="num">0.986</dd>' in page
    assert "python:3." in page, "the image"


async def test_a_cached_step_says_why(ann: aiohttp.ClientSession, ids: dict[str, str]) -> None:
    page = await text(ann, f"{RUNS}/{ids['cached']}?step=root/load")
    assert "Taken from the run breast-cancer" in page
    assert 'data-state="CACHED"' in page


async def test_a_waiting_step_says_for_what(ann: aiohttp.ClientSession, ids: dict[str, str]) -> None:
    top = await text(ann, f"{RUNS}/{ids['running']}")
    assert "<b>models #2 nearest-neighbours › train-model</b></a> cannot begin: Unschedulable: 0/1 nodes" in top
    page = await text(ann, f"{RUNS}/{ids['running']}?step=root/for-loop-2/2/train-model")
    assert 'Pending</tspan><tspan class="quiet"> · Unschedulable</tspan>' in page
    assert "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu." in page
    assert "Waits for models." in await text(ann, f"{RUNS}/{ids['running']}?step=root/pick-best")


async def test_results_are_side_by_side(ann: aiohttp.ClientSession, ids: dict[str, str]) -> None:
    page = await text(ann, f"{RUNS}/{ids['cached']}?tab=results")
    assert '<b title="the highest">0.986</b>' in page
    assert "#1 random-forest" in page
    assert page.count("data-vega") == 1 + 3 + 1
    assert "has put out metrics" in await text(ann, f"{RUNS}/{ids['failed']}?tab=results")


async def test_bare_ids_lead_into_the_namespace(
    ann: aiohttp.ClientSession, ids: dict[str, str], door: FrontDoor
) -> None:
    async def led(path: str) -> str:
        async with ann.get(path, allow_redirects=False) as answer:
            assert answer.status == 302, path
            return answer.headers["Location"]

    assert await led(f"/runs/{ids['finished']}") == f"{RUNS}/{ids['finished']}"
    run = await door.records.get_run(ids["finished"])
    assert run is not None
    assert await led(f"/pipelines/{run.pipeline_id}?version=v1") == f"/ns/team-a/pipelines/{run.pipeline_id}?version=v1"
    assert await led(f"/experiments/{run.experiment_id}") == f"/ns/team-a/experiments/{run.experiment_id}"
    (_, artifact), *_ = await door.records.load_artifacts(run.run_id)
    assert await led(f"/artifacts/{artifact.artifact_id}") == f"/ns/team-a/artifacts/{artifact.artifact_id}"
    for path in ("/runs/none", "/pipelines/none", "/experiments/none", "/artifacts/none"):
        assert "There is no" in await text(ann, path, 404)


async def test_nothing_is_reached_through_another_namespace(door: FrontDoor, ids: dict[str, str]) -> None:
    run = await door.records.get_run(ids["finished"])
    assert run is not None
    (_, artifact), *_ = await door.records.load_artifacts(run.run_id)
    things = [f"runs/{run.run_id}", f"pipelines/{run.pipeline_id}", f"experiments/{run.experiment_id}",
              f"artifacts/{artifact.artifact_id}"]  # fmt: skip
    more = [f"runs/{run.run_id}/log?step=root/load", f"runs/{run.run_id}/changes",
            f"artifacts/{artifact.artifact_id}/content", f"artifacts/{artifact.artifact_id}/preview"]  # fmt: skip
    async with browser(door) as session:
        await sign_in(session, BOB)
        for thing in (*things, *more):
            await text(session, f"/ns/team-b/{thing}", 404)
            await text(session, f"/ns/team-a/{thing}", 403)
        for thing in things:
            await text(session, f"/{thing}", 403)
        for thing in ("runs", "runs-changes", "pipelines", "experiments", "artifacts", "home/pipelines"):
            await text(session, f"/ns/team-a/{thing}", 403)


async def test_a_viewer_sees_everything_and_may_not_terminate(door: FrontDoor, ids: dict[str, str]) -> None:
    async with browser(door) as session:
        await sign_in(session, VIC)
        assert "Terminate" not in await text(session, f"{RUNS}/{ids['running']}")
        assert "Archive</button>" not in await text(session, f"{RUNS}/{ids['finished']}")
        token = next(cookie.value for cookie in session.cookie_jar if cookie.key == "XSRF-TOKEN")
        answer = await session.post(f"/apis/v2beta1/runs/{ids['running']}:terminate", headers={"X-XSRF-TOKEN": token})
        assert answer.status == 403


async def test_pipelines_experiments_and_home(ann: aiohttp.ClientSession, ids: dict[str, str], door: FrontDoor) -> None:
    run = await door.records.get_run(ids["finished"])
    assert run is not None
    assert "breast-cancer" in await text(ann, "/ns/team-a/pipelines")
    page = await text(ann, f"/ns/team-a/pipelines/{run.pipeline_id}")
    assert 'data-path="root/for-loop-2"' in page
    assert "test_fraction" in page
    assert 'data-path="root/for-loop-2/evaluate"' in await text(
        ann, f"/ns/team-a/pipelines/{run.pipeline_id}?at=root/for-loop-2"
    )
    for tab, holds in (("yaml", "pipelineInfo:"), ("code", run.pipeline_version_id)):
        assert holds in await text(ann, f"/ns/team-a/pipelines/{run.pipeline_id}?tab={tab}")
    assert "none of such" not in await text(ann, f"/ns/team-a/pipelines/{run.pipeline_id}?version=none", 404)
    assert "Demo" in await text(ann, "/ns/team-a/experiments")
    assert (await text(ann, f"/ns/team-a/experiments/{run.experiment_id}")).count("<tr data-href") == 4
    assert "No pipeline has this in its name" in await text(ann, "/ns/team-a/pipelines?q=zzz")
    home = await text(ann, "/ns/team-a/home/pipelines")
    assert "failed since yesterday" in home
    assert "test_size=-0.1" in home
    assert "/ns/team-a/home/pipelines" in await text(ann, "/ns/team-a/")


async def test_an_empty_namespace_teaches(door: FrontDoor) -> None:
    async with browser(door) as session:
        await sign_in(session, BOB)
        home = await text(session, "/ns/team-b/home/pipelines")
        assert "Three ways to begin" in home
        for page in (home, await text(session, "/ns/team-b/runs")):
            snippet = page.split("<code>from kfp import")[1].split("</code>")[0]
            compile("from kfp import" + snippet.replace("&gt;", ">"), "snippet", "exec")
        for thing in ("pipelines", "experiments", "artifacts"):
            await text(session, f"/ns/team-b/{thing}")


async def test_an_artifact_shows_its_content_and_its_lineage(
    ann: aiohttp.ClientSession, ids: dict[str, str], door: FrontDoor
) -> None:
    links = await door.records.load_artifacts(ids["finished"])
    data = next(artifact for _, artifact in links if artifact.name == "data")
    here = f"/ns/team-a/artifacts/{data.artifact_id}"
    page = await text(ann, here)
    made, used = page.split("Used by")
    assert "<b>load</b>" in made
    assert "<b>split</b>" in used
    assert "breast-cancer, again" in used, "the cached run used it too"
    assert '<th scope="col">mean radius</th>' in page
    async with ann.get(f"{here}/content") as answer:
        assert answer.headers["Content-Security-Policy"].startswith("sandbox")
        assert answer.content_type == "text/plain"
    async with ann.get(f"{here}/content?download=1") as answer:
        assert answer.headers["Content-Disposition"] == 'attachment; filename="data"'
        assert answer.content_type == "application/octet-stream"
        assert (await answer.read()).startswith(b"mean radius,")
    assert "mean radius" in await text(ann, f"{here}/preview")
    model = next(artifact for _, artifact in links if artifact.name == "model")
    async with ann.get(f"/ns/team-a/artifacts/{model.artifact_id}/content") as answer:
        assert answer.content_type == "application/octet-stream"


async def test_a_kept_log_is_sent_and_can_be_continued(ann: aiohttp.ClientSession, ids: dict[str, str]) -> None:
    here = f"{RUNS}/{ids['finished']}/log"
    async with ann.get(here, params={"step": "root/load", "follow": "1"}) as answer:
        whole = await answer.read()
        assert (answer.content_type, answer.headers["X-Log-State"]) == ("text/plain", "final")
    assert whole.startswith(b"starting load\n")
    async with ann.get(here, params={"step": "root/load", "skip": "9"}) as answer:
        assert await answer.read() == whole[9:]
    async with ann.get(here, params={"step": "root/load", "skip": str(len(whole) + 5)}) as answer:
        assert await answer.read() == b""
    async with ann.get(here, params={"step": "root/none"}) as answer:
        assert answer.status == 404
    async with ann.get(f"{RUNS}/{ids['running']}/log", params={"step": "root/for-loop-2/2/train-model"}) as answer:
        assert (await answer.read(), answer.headers["X-Log-State"]) == (b"", "open")


class Events:
    """Reads server-sent events."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def next(self) -> tuple[str, Any]:
        name = ""
        async with asyncio.timeout(20):
            while True:
                line = (await self._answer.content.readline()).decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    return name, json.loads(line.removeprefix("data: "))


async def test_changes_are_sent_as_they_happen(
    ann: aiohttp.ClientSession, ids: dict[str, str], door: FrontDoor
) -> None:
    async with ann.get(f"{RUNS}/{ids['running']}/changes") as answer:
        events = Events(answer)
        name, first = await events.next()
        assert (name, first["state"], first["finished"]) == ("changes", "RUNNING", False)
        assert len(first["tasks"]) > 6
        await move_on(door.records, door.catalog, door.artifacts, ids["running"])
        _, second = await events.next()
        assert 0 < len(second["tasks"]) < len(first["tasks"]), "only what changed"
        paths = {task["path"] for task in second["tasks"]}
        assert paths <= {task["path"] for task in first["tasks"]} | {f"root/for-loop-2/{i}/evaluate" for i in range(3)}
    async with ann.get(f"{RUNS}/{ids['finished']}/changes") as answer:
        events = Events(answer)
        assert (await events.next())[1]["finished"]
        assert (await events.next())[0] == "end"


async def test_the_list_says_that_it_changed(ann: aiohttp.ClientSession, ids: dict[str, str], door: FrontDoor) -> None:
    async with ann.get("/ns/team-a/runs-changes") as answer:
        await answer.content.readuntil(b": here\n\n")
        await door.records.request_termination(ids["running"])
        assert (await Events(answer).next())[0] == "changed"


def test_columns_are_the_commonest_names_in_their_order() -> None:
    assert columns([{"a": 1, "b": 2}, {"b": 1}, {"c": 1}]) == ["a", "b", "c"]
    many = [{f"p{i}": i for i in range(9)}, {"p8": 1}]
    assert columns(many) == ["p0", "p1", "p2", "p3", "p8"]
