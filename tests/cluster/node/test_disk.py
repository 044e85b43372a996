"""A full disk: nothing is lost, the reason is said, and work goes on when there is space again."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.cluster.node.conftest import Cluster, running_cluster

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root: mounts a small file system")


class Disk:
    """A small file system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        with self._ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass

    def free(self) -> None:
        self._ballast.unlink()


@pytest.fixture
async def small(home: Path, isolation: str) -> AsyncIterator[tuple[Cluster, Disk]]:
    node = home / "node"
    node.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "small", str(node)], check=True)
    try:
        async with running_cluster(home, isolation, shutdown_grace=0.5) as cluster:
            yield cluster, Disk(node)
    finally:
        subprocess.run(["umount", "-l", str(node)], check=True)


async def test_a_pod_waits_for_space_and_says_so(small: tuple[Cluster, Disk]) -> None:
    cluster, disk = small
    disk.fill()
    await cluster.run(command="echo at last")
    waiting = await cluster.waiting()
    assert waiting["reason"] == "CreateContainerError"
    assert "no space left on device; free some space, the pod is then started by itself" in waiting["message"]
    assert "no space left" in await cluster.event("Failed")
    disk.free()
    assert (await cluster.ended())["status"]["phase"] == "Succeeded"
    assert await cluster.logs() == "at last\n"


async def test_an_end_is_told_when_it_can_be_kept(small: tuple[Cluster, Disk]) -> None:
    cluster, disk = small
    await cluster.run(command="trap 'echo ended; exit 3' TERM; echo up; while :; do sleep 0.02; done")
    pod = await cluster.running()
    async with asyncio.timeout(5):
        while "up" not in await cluster.logs():
            await asyncio.sleep(0.01)
    disk.fill()
    process = cluster.agent._workers[pod["metadata"]["uid"]].process
    assert process is not None
    process.stop(5)
    await asyncio.sleep(0.5)
    assert (await cluster.get())["status"]["phase"] == "Running"
    disk.free()
    pod = await cluster.ended()
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


async def test_a_log_that_fills_the_disk_does_not_stop_the_container(small: tuple[Cluster, Disk]) -> None:
    cluster, disk = small
    script = "i=0; while [ $i -lt 60 ]; do head -c 100000 /dev/zero | tr '\\0' 'x'; echo; i=$((i+1)); done; exit 0"
    await cluster.run(command=script)
    await asyncio.sleep(1)
    await cluster.until(lambda p: True)
    pod = await cluster.get()
    log = cluster.directory(pod) / "containers" / "main" / "0" / "log"
    async with asyncio.timeout(10):
        while (await cluster.get())["status"]["phase"] == "Running":
            if log.exists():
                os.truncate(log, 0)
            await asyncio.sleep(0.1)
    assert (await cluster.get())["status"]["phase"] == "Succeeded"
    assert disk.path.exists()
