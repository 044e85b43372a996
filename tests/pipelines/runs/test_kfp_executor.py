"""The commands of pods run by the real ``kfp`` executor: what it reads and writes is what the reconciler means."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.pipelines.cluster import Cluster, cluster

from headwater.kube.meta.objects import Object, name_of
from headwater.pipelines.records.models import Direction, RunRow, RunState

pytestmark = pytest.mark.slow


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Pods without mounts of their own, as on the plain tier."""
    async with cluster(tmp_path) as made:
        await made.stop_controllers()
        object.__setattr__(made.context, "mounts_volumes", False)
        await made.start_controllers()
        yield made


def no_pip(home: Path) -> Path:
    """Everything that a step asks pip for is in the environment already."""
    tools = home / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "pip.py").touch()
    (tools / "pip").write_text("#!/bin/sh\n")
    (tools / "pip").chmod(0o755)
    return tools


async def run_pod(platform: Cluster, pod: Object, python: Path, home: Path) -> None:
    """Run a pod's command on this machine; ``$$`` is one dollar, as Kubernetes expands it."""
    container = pod["spec"]["containers"][0]
    command = [part.replace("$$", "$") for part in [*container["command"], *container["args"]]]
    tools = no_pip(home)
    environment = {"PATH": f"{tools}:{python.parent}:/usr/bin:/bin", "HOME": str(home), "PYTHONPATH": str(tools)}
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    await platform.end(pod, process.returncode or 0, output.decode()[-2000:])


async def work(platform: Cluster, run_id: str, python: Path, home: Path) -> RunRow:
    running: dict[str, asyncio.Task[None]] = {}

    async def step() -> RunRow | None:
        for pod in await platform.pods():
            if name_of(pod) not in running:
                running[name_of(pod)] = asyncio.create_task(run_pod(platform, pod, python, home))
        row = await platform.records.get_run(run_id, with_spec=False)
        return row if row is not None and row.state.finished else None

    ended: RunRow = await platform.until(step, "the run's end", 100)
    return ended


async def test_lightweight_components(platform: Cluster, sdk: Path, tmp_path: Path) -> None:
    run_id = await platform.submit("champion")
    row = await work(platform, run_id, sdk, tmp_path)
    assert row.state is RunState.SUCCEEDED, row.error
    best = await platform.task(run_id, "pick-best")
    assert best is not None
    assert best.outputs["parameters"] == {"algorithm": "logistic", "score": 8.0}
    linked = await platform.records.load_artifacts(run_id)
    made = {use.key: one for use, one in linked if use.direction is Direction.OUTPUT}
    assert made["best"].metadata == {"framework": "none", "algorithm": "logistic"}
    assert made["best"].uri.startswith("minio://mlpipeline/v2/artifacts/champion/run-0/pick-best/")
    assert await platform.context.artifacts.read(made["best"].uri) == b"logistic"
    assert set(made["curve"].metadata) == {"confusionMatrix", "confidenceMetrics"}
    assert set(made["metrics"].metadata) == {"score"}


async def test_container_components(platform: Cluster, sdk: Path, tmp_path: Path) -> None:
    run_id = await platform.submit("container")
    assert (await work(platform, run_id, sdk, tmp_path)).state is RunState.SUCCEEDED
    second = await platform.task(run_id, "shell-2")
    assert second is not None
    assert second.outputs["parameters"] == {"out": "say-say-hi\n\n"}


async def test_failures_and_exit_handlers(platform: Cluster, sdk: Path, tmp_path: Path) -> None:
    run_id = await platform.submit("exit_handler")
    row = await work(platform, run_id, sdk, tmp_path)
    assert row.error == "task 'exit-handler-1/fail' failed: exit code 1: RuntimeError: on purpose"
    last = await platform.task(run_id, "final")
    assert last is not None
    assert last.state == "SUCCEEDED"
