"""The main job: a real pipeline on real data with the unchanged SDK, and what is left to look at afterwards."""

import asyncio
import json
import urllib.request

import pytest

from headwater.kube.client.http import HttpClient
from headwater.kube.meta.resources import PODS

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def demo(running) -> str:
    return running.run("demo").stdout


def get(running, path: str) -> dict:
    request = urllib.request.Request(
        f"{running.gateway_url}{path}", headers={"Authorization": f"Bearer {running.token()}"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def test_it_prints_each_step_and_where_to_look(demo, running):
    for step in ("load", "split", "train-model", "evaluate", "pick-best"):
        assert step in demo
    assert "9 of its 9 steps were taken from cache" in demo
    assert f"{running.gateway_url}/#/runs/details/" in demo


def test_the_run_is_on_record_with_its_metrics(demo, running):
    runs = get(running, "/apis/v2beta1/runs?sort_by=created_at%20asc")["runs"]
    first = next(run for run in runs if run["display_name"] == "breast-cancer")
    assert first["state"] == "SUCCEEDED"
    first = get(running, f"/apis/v2beta1/runs/{first['run_id']}")
    assert len([task for task in first["run_details"]["task_details"] if task.get("pod_name")]) == 9


def test_a_second_demo_is_answered_from_cache(demo, running):
    said = running.run("demo").stdout
    assert said.count("taken from cache") >= 18


def test_nothing_of_the_demo_keeps_running(demo, running):
    assert not asyncio.run(phases_of_pods(running)) & {"Pending", "Running"}


async def phases_of_pods(running) -> set[str]:
    client = HttpClient.from_kubeconfig(running.home / "kubeconfig")
    try:
        return {pod["status"]["phase"] for pod in (await client.list(PODS)).items}
    finally:
        await client.close()
