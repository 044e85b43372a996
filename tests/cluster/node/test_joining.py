"""Joining a running pod from outside: attach, and connections to its ports."""

import asyncio

import pytest
from tests.cluster.node.conftest import Cluster

from headwater.cluster.apiserver.nodes import ExecStreams, TerminalSize
from headwater.kube.meta.errors import StatusError


async def no_sizes():
    for size in ():
        yield TerminalSize(*size)


async def nothing_typed():
    for piece in ():
        yield piece


async def test_attach_follows_what_is_written_from_now_on(cluster: Cluster) -> None:
    assert cluster.agent is not None
    await cluster.run(command="echo before; sleep 1; echo after")
    pod = await cluster.running()
    heard = bytearray()

    async def hear(piece: bytes) -> None:
        heard.extend(piece)

    streams = ExecStreams(stdin=None, stdout=hear, stderr=None, resize=no_sizes())
    attached = asyncio.ensure_future(cluster.agent.attach(pod, "", streams, False))
    async with asyncio.timeout(15):
        assert await attached == 0
    assert b"after" in bytes(heard)


async def test_attach_says_that_input_cannot_be_joined(cluster: Cluster) -> None:
    assert cluster.agent is not None
    await cluster.run(command="sleep 60")
    pod = await cluster.running()
    streams = ExecStreams(stdin=nothing_typed(), stdout=None, stderr=None, resize=no_sizes())
    with pytest.raises(StatusError) as caught:
        await cluster.agent.attach(pod, "", streams, False)
    assert caught.value.code == 501
    assert "not built yet" in caught.value.message


async def test_a_connection_to_a_port(cluster: Cluster) -> None:
    assert cluster.agent is not None
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await cluster.run(command="sleep 60")
    pod = await cluster.running()
    async with server:
        reader, writer = await cluster.agent.port_forward(pod, port)
        assert await reader.read() == b""
        writer.close()
    with pytest.raises(OSError):
        await cluster.agent.port_forward(pod, port)
    await cluster.run("done", command="true")
    ended = await cluster.ended("done")
    with pytest.raises(StatusError, match='pod "done" is not running'):
        await cluster.agent.port_forward(ended, port)
