"""Commands that run beside a container's process."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.cluster.node.conftest import Cluster

from headwater.cluster.apiserver.nodes import ExecStreams, TerminalSize
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.resources import PODS


class Caller:
    """The caller's side of an exec."""

    def __init__(self, stdin: Sequence[bytes] | None = None, sizes: Sequence[TerminalSize] = ()) -> None:
        self.out = b""
        self.err = b""
        self._stdin = stdin
        self._sizes = sizes
        self.hold = asyncio.Event()

    async def _input(self) -> AsyncIterator[bytes]:
        for piece in self._stdin or ():
            yield piece

    async def _resize(self) -> AsyncIterator[TerminalSize]:
        for size in self._sizes:
            yield size
        await self.hold.wait()

    async def _take_out(self, data: bytes) -> None:
        self.out += data

    async def _take_err(self, data: bytes) -> None:
        self.err += data

    def streams(self) -> ExecStreams:
        stdin = self._input() if self._stdin is not None else None
        return ExecStreams(stdin, self._take_out, self._take_err, self._resize())


async def sleeping(cluster: Cluster) -> None:
    await cluster.run(command="trap 'exit 0' TERM; while :; do sleep 0.05; done", terminationGracePeriodSeconds=1)
    await cluster.running()


async def test_output_and_exit_code(cluster: Cluster) -> None:
    await sleeping(cluster)
    caller = Caller()
    command = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    code = await cluster.agent.exec(await cluster.get(), "main", command, caller.streams(), tty=False)
    assert (code, caller.out, caller.err) == (3, b"out\n", b"err\n")


async def test_input_and_its_end(cluster: Cluster) -> None:
    await sleeping(cluster)
    big = b"x" * 300_000
    caller = Caller([b"one\n", big])
    code = await cluster.agent.exec(await cluster.get(), "", ["cat"], caller.streams(), tty=False)
    assert code == 0
    assert caller.out == b"one\n" + big


async def test_the_containers_own_surroundings(cluster: Cluster) -> None:
    await cluster.run(
        command="echo $$$$ > /tmp/pid; sleep 1000",
        container={"env": [{"name": "A", "value": "1"}]},
        terminationGracePeriodSeconds=0,
    )
    await cluster.running()
    caller = Caller()
    script = "echo $A; kill -0 2 && test -e /tmp/pid && echo here" if cluster.isolation == "sandboxed" else "echo $A"
    await cluster.agent.exec(await cluster.get(), "", ["sh", "-c", script], caller.streams(), tty=False)
    assert caller.out.startswith(b"1\n")
    if cluster.isolation == "sandboxed":
        assert caller.out == b"1\nhere\n"


async def test_a_terminal(cluster: Cluster) -> None:
    await sleeping(cluster)
    caller = Caller([b"stty size; test -t 0 && echo tty\n", b"exit 4\n"], [TerminalSize(100, 40)])
    code = await cluster.agent.exec(await cluster.get(), "", ["sh"], caller.streams(), tty=True)
    assert code == 4
    assert b"40 100" in caller.out
    assert b"tty\r\n" in caller.out


async def test_a_command_that_is_not_there(cluster: Cluster) -> None:
    await sleeping(cluster)
    with pytest.raises(StatusError, match='exec: "nothing-such": executable file not found in \\$PATH') as caught:
        await cluster.agent.exec(await cluster.get(), "", ["nothing-such"], Caller().streams(), tty=False)
    assert caught.value.code == 500


async def test_a_container_that_does_not_run(cluster: Cluster) -> None:
    await cluster.run(command="true")
    pod = await cluster.ended()
    with pytest.raises(StatusError, match='container "main" in pod "p" is not running'):
        await cluster.agent.exec(pod, "", ["true"], Caller().streams(), tty=False)
    with pytest.raises(StatusError, match='containers "none" not found'):
        await cluster.agent.exec(pod, "none", ["true"], Caller().streams(), tty=False)


async def test_a_caller_who_leaves_takes_the_command_along(cluster: Cluster) -> None:
    await sleeping(cluster)
    caller = Caller()
    command = ["sh", "-c", "echo started; exec sleep 12345"]
    pod = await cluster.get()
    running = asyncio.create_task(cluster.agent.exec(pod, "", command, caller.streams(), tty=False))
    async with asyncio.timeout(5):
        while not caller.out:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    find = ["sh", "-c", "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null; echo; done"]
    async with asyncio.timeout(5):
        while True:
            seen = Caller()
            await cluster.agent.exec(pod, "", find, seen.streams(), tty=False)
            if b"sleep 12345" not in seen.out:
                break
            await asyncio.sleep(0.02)


async def test_a_pod_that_is_deleted_ends_the_command(cluster: Cluster) -> None:
    await sleeping(cluster)
    pod = await cluster.get()
    running = asyncio.create_task(
        cluster.agent.exec(pod, "", ["sh", "-c", "sleep 1000"], Caller().streams(), tty=False)
    )
    await asyncio.sleep(0.1)
    await cluster.client.delete(PODS, "p", "default", grace_period_seconds=1)
    assert await asyncio.wait_for(running, 10) == 137
    await cluster.gone()


async def test_several_at_once(cluster: Cluster) -> None:
    await sleeping(cluster)
    pod = await cluster.get()
    callers = [Caller([b"%d" % number]) for number in range(8)]
    codes = await asyncio.gather(
        *(cluster.agent.exec(pod, "", ["sh", "-c", "cat; exit 2"], c.streams(), tty=False) for c in callers)
    )
    assert codes == [2] * 8
    assert [c.out for c in callers] == [b"%d" % number for number in range(8)]
