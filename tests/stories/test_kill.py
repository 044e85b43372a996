"""Nothing is lost: the control plane is killed again and again in the middle of the demo's pipeline.

While it dies and comes back, a pipeline runs, and a client creates objects and remembers which of them the API
acknowledged. At the end the run has succeeded, every step ran exactly once to completion (told by what the steps
themselves left on disk, not by what the platform says), every acknowledged object is there, and no process is left.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from headwater.kube.client.http import HttpClient
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.resources import CONFIG_MAPS

KILLS = 20
STEPS = {"load": 1, "split": 1, "train-model": 3, "evaluate": 3, "pick-best": 1}

SUBMIT = """
import os, sys, warnings
warnings.filterwarnings("ignore")
sys.path.insert(0, sys.argv[1])
import pipeline
from kfp import Client
client = Client(host=os.environ["KF_PIPELINES_ENDPOINT"], existing_token=os.environ["HEADWATER_TOKEN"])
run = client.create_run_from_pipeline_func(pipeline.breast_cancer, arguments={"seed": int(sys.argv[2])})
print("run", run.run_id)
"""


def submit(platform, sdk: Path, seed: int) -> str:
    import headwater.cli.demo as demo

    command = [sdk, "-c", SUBMIT, str(Path(demo.__file__).parent), str(seed)]
    said = subprocess.run(command, env=platform.sdk_environment(), capture_output=True, text=True, check=True).stdout
    return next(line.split()[1] for line in said.splitlines() if line.startswith("run "))


def get_run(platform, token: str, run_id: str) -> dict:
    request = urllib.request.Request(
        f"{platform.gateway_url}/apis/v2beta1/runs/{run_id}", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def kill(platform) -> None:
    pid = platform.status()["pid"]
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        time.sleep(0.01)


async def create_until(stop: asyncio.Event, platform, acknowledged: list[str]) -> None:
    """Create objects one after the other; what the API answered for is acknowledged, nothing else is."""
    number = 0
    while not stop.is_set():
        client = HttpClient.from_kubeconfig(platform.home / "kubeconfig")
        try:
            while not stop.is_set():
                number += 1
                name = f"written-{number}"
                await client.create(
                    CONFIG_MAPS,
                    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": str(number)}},
                    "default",
                )
                acknowledged.append(name)
                await asyncio.sleep(0.005)
        except (StatusError, aiohttp.ClientError, OSError, TimeoutError):
            await asyncio.sleep(0.05)
        finally:
            await client.close()


async def list_names(platform) -> set[str]:
    client = HttpClient.from_kubeconfig(platform.home / "kubeconfig")
    try:
        return {item["metadata"]["name"] for item in (await client.list(CONFIG_MAPS, "default")).items}
    finally:
        await client.close()


def completions(platform, run_id: str) -> Counter[str]:
    """Count, on disk, how often each step of the run wrote its output file."""
    outputs = [path for path in (platform.home / "artifacts").rglob("executor_output.json") if run_id in path.parts]
    return Counter(path.parts[path.parts.index(run_id) + 1].rsplit("/", 1)[0] for path in outputs)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_kills_lose_nothing(stopped, sdk: Path):
    asyncio.run(_twenty_kills(stopped, sdk))


async def _twenty_kills(platform, sdk: Path) -> None:
    seed = random.randrange(10_000)
    moments = random.Random(seed)
    print(f"seed {seed}")
    platform.up()
    token = platform.token()
    acknowledged: list[str] = []
    stop = asyncio.Event()
    writer = asyncio.create_task(create_until(stop, platform, acknowledged))
    run_id = await asyncio.to_thread(submit, platform, sdk, seed)

    for _ in range(KILLS):
        await asyncio.sleep(moments.uniform(0.02, 1.5))
        await asyncio.to_thread(kill, platform)
        await asyncio.to_thread(platform.up)

    deadline = time.monotonic() + 240
    while (run := await asyncio.to_thread(get_run, platform, token, run_id))["state"] not in ("SUCCEEDED", "FAILED"):
        assert time.monotonic() < deadline, f"the run is still {run['state']}"
        await asyncio.sleep(0.2)
    stop.set()
    await writer

    assert run["state"] == "SUCCEEDED", run.get("error")
    assert completions(platform, run_id) == STEPS
    assert len(acknowledged) > KILLS
    assert set(acknowledged) - await list_names(platform) == set()

    await asyncio.to_thread(platform.run, "down")
    assert platform.processes() == []
    mounts = Path("/proc/self/mountinfo")
    if sys.platform == "linux" and mounts.exists():
        assert str(platform.home) not in mounts.read_text()


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on this machine")
def test_a_running_pod_is_adopted_not_restarted(stopped):
    stopped.up()
    script = "echo begun; sleep 2; echo still the same; sleep 600"
    stopped.kubectl("run", "survivor", "--image=busybox", "--restart=Never", "--command", "--", "sh", "-c", script)
    stopped.kubectl("wait", "--for=condition=Ready", "pod/survivor", "--timeout=20s")
    kill(stopped)
    stopped.up()
    deadline = time.monotonic() + 20
    while (said := stopped.kubectl("logs", "survivor").stdout) != "begun\nstill the same\n":
        assert time.monotonic() < deadline, said
        time.sleep(0.1)
    stopped.run("down")
    assert stopped.processes() == []
