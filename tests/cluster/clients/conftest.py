"""Environments of other people's clients, each kept apart from the platform's own and built once by uv."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.cluster.apiserver.http.processes import ProcessNode
from tests.cluster.apiserver.http.serving import Serving, serving

from headwater.cluster.apiserver.local import LocalClient
from headwater.cluster.controllers import build
from headwater.kube.controller import EventRecorder, Informers, Manager
from headwater.kube.meta.time import SystemClock

HERE = Path(__file__).parent
UV = Path(sys.executable).with_name("uv")
VERSIONS = {
    "kubernetes": "37.0.2",
    "kubernetes_asyncio": "",
    "kr8s": "0.20.15",
    "lightkube": "1.0.1",
    "kopf": "1.45.2",
    "pykube-ng": "23.6.0",
}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Serving]:
    """A server with its controllers, and with no node that would start the stories' pods."""
    clock = SystemClock()
    async with serving(tmp_path, node=ProcessNode(), clock=clock) as opened:
        client = LocalClient(opened.api)
        informers = Informers(client, clock=clock)
        informers.start()
        recorder = EventRecorder(client, "controllers", clock=clock)
        kinds = [served.resource for served in opened.api.registry.all() if not served.virtual]
        ca = opened.pki.ca_certificate.decode()
        manager = Manager(client, informers, build(client, informers, clock, recorder, ca, kinds=lambda: kinds), clock)
        await manager.start()
        yield opened
        await manager.stop()
        await recorder.close()
        await informers.stop()


@pytest.fixture(scope="session")
def interpreter_with() -> Callable[[str], Path]:
    """Returns the interpreter of an environment that has a client, which is made at the first call."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headwater-tests" / "clients"

    def find(package: str) -> Path:
        version = VERSIONS[package]
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        home = cache / f"{package}-{version or 'any'}-py{python}"
        interpreter = home / "bin" / "python"
        if not (home / "complete").exists():
            wanted = f"{package}=={version}" if version else package
            for command in (
                [UV, "venv", "--quiet", "--clear", "--python", sys.executable, home],
                [UV, "pip", "install", "--quiet", "--python", interpreter, wanted, "pyyaml"],
            ):
                done = subprocess.run(command, capture_output=True, text=True, timeout=300)
                if done.returncode:
                    pytest.skip(f"{package} cannot be installed here: {done.stderr.strip()[-300:]}")
            (home / "complete").touch()
        return interpreter

    return find


@pytest.fixture
def tell(running: Serving, interpreter_with: Callable[[str], Path]) -> Callable[..., object]:
    """Runs a story, a program of its own, with a client's interpreter as the cluster's administrator."""

    async def run(package: str, story: str, *arguments: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(running.home),
            "KUBECONFIG": str(running.kubeconfig),
            "PYTHONUNBUFFERED": "1",
        }
        # Off the loop: the first call installs the client, while the server of this test runs in it.
        interpreter = await asyncio.to_thread(interpreter_with, package)
        process = await asyncio.create_subprocess_exec(
            interpreter,
            HERE / story,
            *arguments,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(90):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            output, _ = await process.communicate()
            pytest.fail(f"{story} hangs:\n{output.decode()[-4000:]}")
        assert process.returncode == 0, output.decode()[-6000:]
        return output.decode()

    return run
