"""The same reconciler inside the API server's process and in one of its own, over HTTP by kubeconfig."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.cluster.apiserver.http.serving import Serving, serving
from tests.cluster.controllers.conftest import until

from headwater.cluster.apiserver.local import LocalClient
from headwater.cluster.controllers.job.reconciler import job_controller
from headwater.kube.controller import EventRecorder, Informers, Manager
from headwater.kube.meta.conditions import condition_is
from headwater.kube.meta.objects import Object, name_of
from headwater.kube.meta.resources import JOBS, LEASES, NAMESPACES, PODS, SERVICE_ACCOUNTS
from headwater.kube.meta.time import SystemClock

OUTSIDE = Path(__file__).with_name("outside.py")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(tmp_path) as running:
        client = LocalClient(running.api)
        await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}})
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await client.create(SERVICE_ACCOUNTS, account, "ns")
        yield running


@asynccontextmanager
async def inside(server: Serving) -> AsyncIterator[None]:
    client, clock = LocalClient(server.api), SystemClock()
    recorder = EventRecorder(client, "jobs")
    async with Informers(client) as informers:
        async with Manager(client, informers, [job_controller(client, informers, recorder, clock)], clock):
            yield
        await recorder.close()


async def start_outside(server: Serving, identity: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, OUTSIDE, server.kubeconfig, identity, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"running\n"
    return process


@asynccontextmanager
async def outside(server: Serving) -> AsyncIterator[None]:
    process = await start_outside(server, "first")
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def submit(client: LocalClient, completions: int) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}}
    spec = {"parallelism": 2, "completions": completions, "template": template}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "pi"}, "spec": spec}
    await client.create(JOBS, job, "ns")


async def end_pods(client: LocalClient, most: int, ended: set[str]) -> None:
    """Play the node: let pods succeed, up to a number."""
    for pod in (await client.list(PODS, "ns")).items:
        if pod["status"]["phase"] == "Pending" and len(ended) < most:
            pod["status"]["phase"] = "Succeeded"
            await client.update(PODS, pod, subresource="status")
            ended.add(name_of(pod))


async def run_to_end(client: LocalClient, ended: set[str]) -> Object:
    async def complete() -> Object | None:
        await end_pods(client, 100, ended)
        job = await client.get(JOBS, "pi", "ns")
        return job if condition_is(job, "Complete") else None

    return await until(complete)


@pytest.mark.parametrize("way", [inside, outside])
async def test_runs_a_job(server, way):
    client = LocalClient(server.api)
    async with way(server):
        await submit(client, 5)
        ended: set[str] = set()
        job = await run_to_end(client, ended)
    assert job["status"]["succeeded"] == len(ended) == 5
    pods = (await client.list(PODS, "ns")).items
    assert len(pods) == 5
    assert not any("finalizers" in pod["metadata"] for pod in pods)


async def test_a_killed_process_is_followed_by_the_one_that_waits(server):
    client = LocalClient(server.api)
    first = await start_outside(server, "first")
    await until(lambda: _holder(client, "first"))
    second = await start_outside(server, "second")
    ended: set[str] = set()
    try:
        await submit(client, 6)

        async def two_ended() -> bool:
            await end_pods(client, 2, ended)
            return len(ended) == 2

        await until(two_ended)
        first.send_signal(signal.SIGKILL)
        job = await run_to_end(client, ended)
        assert await _holder(client, "second")
    finally:
        for process in (first, second):
            if process.returncode is None:
                process.kill()
            await process.wait()
    assert job["status"]["succeeded"] == len(ended) == 6


async def _holder(client: LocalClient, identity: str) -> bool:
    leases = (await client.list(LEASES, "kube-system")).items
    return any(lease["spec"].get("holderIdentity") == identity for lease in leases)
