"""Runs from submission to end, through the real API server and records: results, failures, kills and clean-up."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.pipelines.cluster import NAMESPACE, Cluster, cluster, executor_input
from tests.pipelines.simulation import DATA

from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import name_of
from headwater.kube.meta.resources import NAMESPACES, PODS
from headwater.pipelines.records.models import Direction, RunState, TaskState
from headwater.pipelines.runs.logs import archive_uri
from headwater.pipelines.spec.documents import read_documents
from headwater.pipelines.types import FINALIZER, RUNS


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as made:
        yield made


async def gone(platform: Cluster, run_id: str) -> bool:
    return run_id not in {name_of(run) for run in await platform.client_runs()}


async def test_a_whole_pipeline_with_its_artifacts_and_lineage(platform: Cluster) -> None:
    run_id = await platform.submit("champion")
    row = await platform.work(run_id)
    assert row.state is RunState.SUCCEEDED, row.error
    assert sorted(platform.ended) == sorted(set(platform.ended))
    linked = await platform.records.load_artifacts(run_id)
    task = await platform.task(run_id, "pick-best")
    assert task is not None
    inputs = [one for use, one in linked if use.task_id == task.task_id and use.direction is Direction.INPUT]
    assert [one.type for one in inputs] == ["system.Model"] * 3
    assert all(one.metadata["made by"] for one in inputs)
    made = [use.key for use, _ in linked if use.direction is Direction.OUTPUT]
    assert sorted(set(made)) == ["best", "curve", "data", "metrics", "model", "test", "train"]
    assert task.outputs["parameters"] == {"algorithm": "forest", "score": 0.75}

    async def complete() -> bool:
        status = (await platform.client.get(RUNS, run_id, NAMESPACE)).get("status", {})
        return status.get("state") == "SUCCEEDED" and status["tasks"]["succeeded"] == 15

    await platform.until(complete, "the object's status")


async def test_the_second_run_is_taken_from_the_cache_and_says_so(platform: Cluster) -> None:
    await platform.work(await platform.submit("champion"))
    platform.ended.clear()
    run_id = await platform.submit("champion")
    assert (await platform.work(run_id)).state is RunState.SUCCEEDED
    assert platform.ended == []
    task = await platform.task(run_id, "pick-best")
    assert task is not None
    assert task.state is TaskState.CACHED
    assert task.cache_explanation.startswith("Taken from the cache: task 'pick-best' of run run-0 at ")
    assert [one.name for use, one in await platform.records.load_artifacts(run_id) if use.key == "best"] == ["best"]


async def test_a_changed_input_is_a_miss_that_names_it(platform: Cluster) -> None:
    await platform.work(await platform.submit("chain", {"n": 1}))
    run_id = await platform.submit("chain", {"n": 50})
    await platform.work(run_id)
    task = await platform.task(run_id, "double")
    assert task is not None
    assert "input x differs from the last result (run run-0 at " in task.cache_explanation


async def test_a_run_with_caching_off_runs_everything(platform: Cluster) -> None:
    await platform.work(await platform.submit("chain"))
    run_id = await platform.submit("chain", cachingDisabled=True)
    await platform.work(run_id)
    assert len(platform.ended) == 6
    task = await platform.task(run_id, "double")
    assert task is not None
    assert task.cache_explanation == "Caching is off for this run."


async def test_a_failed_step_ends_the_run_with_the_reason(platform: Cluster) -> None:
    run_id = await platform.submit("exit_handler")
    row = await platform.work(run_id)
    assert row.state is RunState.FAILED
    assert row.error == "task 'exit-handler-1/fail' failed: exit code 1: RuntimeError: on purpose"
    assert platform.ended[-1] == "final"


async def test_a_step_is_retried_as_its_author_says(platform: Cluster) -> None:
    run_id = await platform.submit("retries")
    pod = await platform.pod("fail")
    assert name_of(pod).endswith("-0")
    await platform.end(pod, 3, "boom")

    async def waiting() -> bool:
        task = await platform.task(run_id, "fail")
        return task is not None and task.attempt == 1

    await platform.until(waiting, "the second attempt")
    task = await platform.task(run_id, "fail")
    assert task is not None
    assert task.state is TaskState.PENDING
    assert task.error == "attempt 1 did not succeed: exit code 3: boom"
    assert await platform.pods() == []


async def test_a_lost_pod_is_run_again_without_counting_as_a_failure(platform: Cluster) -> None:
    run_id = await platform.submit("chain")
    pod = await platform.pod("double")
    await platform.start(pod)

    async def running() -> bool:
        task = await platform.task(run_id, "double")
        return task is not None and task.state is TaskState.RUNNING

    await platform.until(running, "the task to run")
    await platform.remove(pod)
    again = await platform.pod("double")
    assert name_of(again) != name_of(pod)
    assert executor_input(again)["outputs"]["outputFile"] != executor_input(pod)["outputs"]["outputFile"]
    await platform.set_status(again, {"phase": "Failed", "reason": "NodeShutdown", "message": "the node was shut down"})

    async def third() -> bool:
        task = await platform.task(run_id, "double")
        return task is not None and task.attempt == 2 and "the node was shut down" in task.error

    await platform.until(third, "the third attempt")


async def test_a_pod_that_was_deleted_before_it_was_seen_to_run_comes_back(platform: Cluster) -> None:
    run_id = await platform.submit("chain")
    pod = await platform.pod("double")
    await asyncio.sleep(0.05)
    await platform.remove(pod)
    await platform.pod("double")
    assert (await platform.work(run_id)).state is RunState.SUCCEEDED


async def test_why_a_step_waits_is_on_the_task(platform: Cluster) -> None:
    run_id = await platform.submit("chain")
    pod = await platform.pod("double")
    message = 'the image "python:3.11" is not in the image map'
    state = {"waiting": {"reason": "ImagePullBackOff", "message": message}}
    container = {"name": "main", "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": state}
    await platform.set_status(pod, {"phase": "Pending", "containerStatuses": [container]})

    async def said() -> bool:
        task = await platform.task(run_id, "double")
        return task is not None and task.error == f"ImagePullBackOff: {message}"

    await platform.until(said, "the reason")
    await platform.start(pod)

    async def cleared() -> bool:
        task = await platform.task(run_id, "double")
        return task is not None and task.state is TaskState.RUNNING and task.error == ""

    await platform.until(cleared, "the reason to go away")


async def test_a_terminated_run_stops_its_pods_and_fails(platform: Cluster) -> None:
    run_id = await platform.submit("wide")
    await platform.pod("for-loop-2/19/double")
    await platform.records.request_termination(run_id)
    await platform.client.patch(RUNS, run_id, {"spec": {"terminate": True}}, NAMESPACE)
    row = await platform.finished(run_id)
    assert (row.state, row.error) == (RunState.FAILED, "The run was terminated by a user.")
    tasks = await platform.records.load_tasks(run_id)
    assert {task.state for task in tasks} == {TaskState.CANCELED}
    assert await platform.pods() == []


async def test_a_deleted_run_object_ends_the_run(platform: Cluster) -> None:
    run_id = await platform.submit("chain")
    await platform.pod("double")
    await platform.client.delete(RUNS, run_id, NAMESPACE)
    row = await platform.finished(run_id)
    assert row.error == "The run was stopped, because its Run object was deleted."
    await platform.until(lambda: gone(platform, run_id), "the object to go")


async def test_a_finished_run_s_object_goes_when_its_time_is_over(platform: Cluster) -> None:
    run_id = await platform.submit("chain", ttlSecondsAfterFinished=0)
    await platform.work(run_id)
    await platform.until(lambda: gone(platform, run_id), "the object to go")
    assert await platform.run_state(run_id) is RunState.SUCCEEDED


async def test_a_run_applied_with_kubectl_gets_its_record(platform: Cluster) -> None:
    spec = read_documents((DATA / "chain.yaml").read_bytes()).spec
    made = await platform.client.create(
        RUNS,
        {
            "apiVersion": RUNS.api_version,
            "kind": "Run",
            "metadata": {"name": "by-hand", "namespace": NAMESPACE},
            "spec": {"pipelineSpec": spec, "runtimeConfig": {"parameters": {"n": 4}}},
        },
    )
    await platform.pod("double")
    row = await platform.work(made["metadata"]["uid"])
    assert (row.state, row.display_name, row.pipeline_name) == (RunState.SUCCEEDED, "by-hand", "chain")
    assert FINALIZER in (await platform.client.get(RUNS, "by-hand", NAMESPACE))["metadata"]["finalizers"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"pipelineSpec": {"root": {}}}, "pipelineInfo.name is missing"),
        ({}, "spec.pipelineSpec is missing"),
        ({"runtimeConfig": {"parameters": {"m": 4}}}, "the pipeline has no parameter 'm'; it has n"),
    ],
)
async def test_a_bad_run_applied_with_kubectl_fails_and_says_why(
    platform: Cluster, spec: dict[str, object], said: str
) -> None:
    if "runtimeConfig" in spec:
        spec = {**spec, "pipelineSpec": read_documents((DATA / "chain.yaml").read_bytes()).spec}
    metadata = {"name": "bad", "namespace": NAMESPACE}
    await platform.client.create(
        RUNS, {"apiVersion": RUNS.api_version, "kind": "Run", "metadata": metadata, "spec": spec}
    )

    async def failed() -> str:
        status = (await platform.client.get(RUNS, "bad", NAMESPACE)).get("status") or {}
        return str(status.get("error", ""))

    assert said in await platform.until(failed, "the error")


@pytest.mark.parametrize("namespace", ["other", NAMESPACE])
async def test_a_run_object_cannot_take_hold_of_another_s_record(platform: Cluster, namespace: str) -> None:
    run_id = await platform.submit("chain")
    pod = await platform.pod("double")
    if namespace == "other":
        await platform.client.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        )
    name = run_id if namespace == "other" else "stranger"
    await platform.client.create(
        RUNS,
        {
            "apiVersion": RUNS.api_version,
            "kind": "Run",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"runId": run_id, "terminate": True},
        },
    )

    async def failed() -> str:
        status = (await platform.client.get(RUNS, name, namespace)).get("status") or {}
        return str(status.get("error", ""))

    assert "spec.runId names another run" in await platform.until(failed, "the error")
    await platform.client.delete(RUNS, name, namespace)
    assert [name_of(one) for one in await platform.pods()] == [name_of(pod)]
    assert (await platform.work(run_id)).state is RunState.SUCCEEDED


async def test_a_record_without_its_object_gets_it_again(platform: Cluster) -> None:
    run_id = await platform.submit("chain")
    await platform.pod("double")
    await platform.stop_controllers()
    await platform.client.patch(RUNS, run_id, {"metadata": {"finalizers": None}}, NAMESPACE)
    await platform.client.delete(RUNS, run_id, NAMESPACE)
    for pod in await platform.pods():
        await platform.remove(pod)
    from headwater.pipelines.runs import recovery

    recovery._GRACE = recovery.timedelta(0)
    await platform.start_controllers()
    assert (await platform.work(run_id)).state is RunState.SUCCEEDED


async def test_a_pod_that_the_api_refuses_fails_its_task(platform: Cluster) -> None:
    documents = read_documents((DATA / "options.yaml").read_bytes()).spec
    container = documents["deploymentSpec"]["executors"]["exec-say-2"]["container"]
    container["resources"] = {"resourceCpuLimit": "lots"}
    metadata = {"name": "refused", "namespace": NAMESPACE}
    made = await platform.client.create(
        RUNS,
        {"apiVersion": RUNS.api_version, "kind": "Run", "metadata": metadata, "spec": {"pipelineSpec": documents}},
    )
    await platform.until(platform.pods, "pods")
    row = await platform.work(made["metadata"]["uid"])
    assert row.state is RunState.FAILED
    assert "its pod was refused: " in row.error
    assert "lots" in row.error or "quantit" in row.error


async def test_controllers_that_are_killed_at_any_moment_lose_and_repeat_nothing(platform: Cluster) -> None:
    rng = random.Random(11)
    run_id = await platform.submit("champion")

    async def kill() -> None:
        for _ in range(12):
            await asyncio.sleep(rng.random() * 0.03)
            await platform.stop_controllers()
            await platform.start_controllers()

    killing = asyncio.create_task(kill())
    row = await platform.work(run_id)
    await killing
    assert row.state is RunState.SUCCEEDED, row.error
    assert len(platform.ended) == 10
    assert sorted(platform.ended) == sorted(set(platform.ended))
    assert all(task.attempt == 0 for task in await platform.records.load_tasks(run_id))


async def test_an_importer_needs_no_pod(platform: Cluster) -> None:
    run_id = await platform.submit("importing")
    await platform.work(run_id)
    linked = await platform.records.load_artifacts(run_id)
    uris = {one.uri: one.metadata for use, one in linked if use.key == "artifact"}
    assert uris == {"minio://mlpipeline/x": {"from": "here"}, "s3://bucket/data.csv": {}}
    assert len(platform.ended) == 2


async def test_logs_of_no_node_are_no_obstacle(platform: Cluster) -> None:
    run_id = await platform.submit("chain")
    await platform.work(run_id)
    assert await platform.context.artifacts.entries(archive_uri(NAMESPACE, run_id, "root/double", 0)) == []
    with pytest.raises(StatusError):
        await platform.client.get(PODS, "none", NAMESPACE)


async def test_a_root_that_leads_out_of_the_store_fails_the_run(platform: Cluster) -> None:
    documents = read_documents((DATA / "chain.yaml").read_bytes())
    spec = {"pipelineSpec": documents.spec, "runtimeConfig": {"pipelineRoot": "minio://mlpipeline/../../etc"}}
    metadata = {"name": "out", "namespace": NAMESPACE}
    await platform.client.create(
        RUNS, {"apiVersion": RUNS.api_version, "kind": "Run", "metadata": metadata, "spec": spec}
    )

    async def failed() -> str:
        status = (await platform.client.get(RUNS, "out", NAMESPACE)).get("status") or {}
        return str(status.get("error", ""))

    assert "points out of the store" in await platform.until(failed, "the error")


async def test_nobody_chooses_the_id_of_a_run(platform: Cluster) -> None:
    documents = read_documents((DATA / "chain.yaml").read_bytes())
    metadata = {"name": "chosen", "namespace": NAMESPACE}
    spec = {"runId": "chosen", "pipelineSpec": documents.spec}
    await platform.client.create(
        RUNS, {"apiVersion": RUNS.api_version, "kind": "Run", "metadata": metadata, "spec": spec}
    )

    async def failed() -> str:
        status = (await platform.client.get(RUNS, "chosen", NAMESPACE)).get("status") or {}
        return str(status.get("error", ""))

    assert "leave it out" in await platform.until(failed, "the error")
    assert await platform.records.get_run("chosen") is None
    assert await platform.pods() == []
