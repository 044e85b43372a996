"""Logs and exec over the wire, against real processes."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from tests.cluster.apiserver.http.conftest import Caller, Callers

PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
async def pod(admin: Caller) -> str:
    containers = [{"name": name, "image": "busybox"} for name in ("main", "side")]
    obj = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "annotations": {"kubectl.kubernetes.io/default-container": "main"}},
        "spec": {"containers": containers},
    }
    code, answer = await admin.ask("POST", PODS, json=obj)
    assert code == 201, answer
    return f"{PODS}/p"


async def test_a_log(callers: Callers, pod: str) -> None:
    callers.node.say("one")
    callers.node.say("two")
    code, text = await callers.admin.ask(
        "GET", f"{pod}/log?tailLines=5&timestamps=true&sinceTime=2026-01-01T00:00:00Z&limitBytes=9"
    )
    assert (code, text) == (200, "one\ntwo\n")
    assert callers.node.asked is not None
    assert (callers.node.asked.tail_lines, callers.node.asked.timestamps, callers.node.asked.limit_bytes) == (
        5,
        True,
        9,
    )


async def test_an_empty_log(admin: Caller, pod: str) -> None:
    assert await admin.ask("GET", f"{pod}/log") == (200, "")


async def test_following_a_log(callers: Callers, pod: str) -> None:
    callers.node.say("one")
    async with callers.admin.session.get(f"{pod}/log?follow=true") as response:
        assert await response.content.readline() == b"one\n"
        callers.node.say("two")
        assert await response.content.readline() == b"two\n"
        callers.node.say("three", end=True)
        assert await response.read() == b"three\n"


async def test_who_stops_following_is_not_served_any_more(callers: Callers, pod: str) -> None:
    callers.node.say("one")
    response = await callers.admin.session.get(f"{pod}/log?follow=true")
    await response.content.readline()
    assert callers.node.readers == 1
    response.close()
    async with asyncio.timeout(5):
        while callers.node.readers:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("container=none", 400, "container none is not valid for pod p, which has: main, side"),
        ("previous=true", 400, 'previous terminated container "main" in pod "p" not found'),
        ("tailLines=-1", 400, "tailLines"),
        ("sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z", 400, "at most one of"),
    ],
)
async def test_logs_that_cannot_be_had(admin: Caller, pod: str, query: str, code: int, message: str) -> None:
    got, answer = await admin.ask("GET", f"{pod}/log?{query}")
    assert got == code
    assert message in answer["message"]


async def test_the_log_of_no_pod(admin: Caller) -> None:
    code, answer = await admin.ask("GET", f"{PODS}/none/log")
    assert (code, answer["message"]) == (404, 'pods "none" not found')


async def test_several_containers_and_none_named(callers: Callers, pod: str) -> None:
    patch = {"metadata": {"annotations": None}}
    headers = {"Content-Type": "application/merge-patch+json"}
    await callers.admin.ask("PATCH", pod, json=patch, headers=headers)
    _, answer = await callers.admin.ask("GET", f"{pod}/log")
    assert answer["message"] == "a container name must be specified for pod p, choose one of: [main side]"


class Process:
    """The client's side of an exec."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, channel: int, data: bytes) -> None:
        await self.socket.send_bytes(bytes([channel]) + data)

    async def result(self) -> tuple[bytes, bytes, Any]:
        """Return all output, all errors and the status."""
        streams: dict[int, bytes] = {1: b"", 2: b"", 3: b""}
        async for message in self.socket:
            streams[message.data[0]] += message.data[1:]
        return streams[1], streams[2], json.loads(streams[3])


@pytest.fixture(params=["v5.channel.k8s.io", "v4.channel.k8s.io"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def exec_in(callers: Callers, pod: str, protocol: str, *command: str, **options: str) -> Any:
    parameters = [("command", part) for part in command]
    parameters += list({"stdout": "true", "stderr": "true", **options}.items())
    return callers.admin.session.ws_connect(f"{pod}/exec", params=parameters, protocols=[protocol])


async def test_output_errors_and_exit_code(callers: Callers, pod: str, protocol: str) -> None:
    async with exec_in(callers, pod, protocol, "sh", "-c", "echo out; echo err >&2; exit 3") as socket:
        assert socket.protocol == protocol
        out, err, status = await Process(socket).result()
    assert (out, err) == (b"out\n", b"err\n")
    assert status["reason"] == "NonZeroExitCode"
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


async def test_success(callers: Callers, pod: str, protocol: str) -> None:
    async with exec_in(callers, pod, protocol, "true") as socket:
        assert (await Process(socket).result())[2] == {"metadata": {}, "status": "Success"}


async def test_input_until_it_is_closed(callers: Callers, pod: str) -> None:
    async with exec_in(callers, pod, "v5.channel.k8s.io", "cat", stdin="true") as socket:
        process = Process(socket)
        await process.send(0, b"hello ")
        await process.send(0, b"world")
        await process.send(255, b"\0")
        out, _, status = await process.result()
    assert (out, status["status"]) == (b"hello world", "Success")


async def test_much_output_arrives_whole(callers: Callers, pod: str, protocol: str) -> None:
    async with exec_in(callers, pod, protocol, "sh", "-c", "head -c 3000000 /dev/zero") as socket:
        out, _, _ = await Process(socket).result()
    assert len(out) == 3_000_000


async def test_the_terminal_s_size(callers: Callers, pod: str) -> None:
    async with exec_in(callers, pod, "v5.channel.k8s.io", "cat", stdin="true", tty="true") as socket:
        process = Process(socket)
        await process.send(4, b'{"Width":80,"Height":24}')
        await process.send(4, b"nonsense")
        await process.send(4, b'{"Width":100,"Height":30}')
        await process.send(0, b"x")
        assert (await socket.receive_bytes())[1:] == b"x"
        await process.send(255, b"\0")
        await process.result()
    assert callers.node.sizes == [(80, 24), (100, 30)]


async def test_who_leaves_takes_the_process_along(callers: Callers, pod: str) -> None:
    async with exec_in(callers, pod, "v5.channel.k8s.io", "sleep", "600", stdin="true"):
        async with asyncio.timeout(5):
            while not callers.node.running:
                await asyncio.sleep(0.01)
        (process,) = callers.node.running
    async with asyncio.timeout(5):
        assert await process.wait() != 0


async def test_a_command_that_cannot_start_is_said(callers: Callers, pod: str, protocol: str) -> None:
    async with exec_in(callers, pod, protocol, "no-such-program") as socket:
        _, _, status = await Process(socket).result()
    assert status["message"] == "cannot start 'no-such-program': No such file or directory"


@pytest.mark.parametrize(
    ("query", "headers", "code", "message"),
    [
        ("command=true&stdout=1", {}, 400, "this needs a WebSocket; SPDY is not spoken here"),
        ("command=true&stdout=1", {"Upgrade": "SPDY/3.1"}, 400, "this needs a WebSocket"),
        (
            "stdout=1",
            {"Upgrade": "websocket", "Sec-WebSocket-Protocol": "v5.channel.k8s.io"},
            400,
            "at least one command",
        ),
        (
            "command=true",
            {"Upgrade": "websocket", "Sec-WebSocket-Protocol": "v5.channel.k8s.io"},
            400,
            "at least one of",
        ),
        (
            "command=true&stdout=1",
            {"Upgrade": "websocket", "Sec-WebSocket-Protocol": "v9"},
            400,
            "none of the protocols",
        ),
    ],
)
async def test_an_exec_that_cannot_begin(
    admin: Caller, pod: str, query: str, headers: dict[str, str], code: int, message: str
) -> None:
    if headers:
        headers = {"Connection": "Upgrade", **headers}
    got, answer = await admin.ask("GET", f"{pod}/exec?{query}", headers=headers)
    assert got == code
    assert message in answer["message"]


async def test_a_long_command(callers: Callers, pod: str) -> None:
    script = "echo " + "x" * 60_000
    async with exec_in(callers, pod, "v5.channel.k8s.io", "sh", "-c", script) as socket:
        out, _, _ = await Process(socket).result()
    assert len(out) == 60_001


# --- port-forward ---------------------------------------------------------------------------------------------------


async def echo_port() -> tuple[asyncio.Server, int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data.upper())
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def test_forwarding_a_port_by_channels(callers: Callers, pod: str) -> None:
    server, port = await echo_port()
    path = f"{pod}/portforward?ports={port},1"
    async with (
        server,
        callers.admin.session.ws_connect(path, protocols=["v4.channel.k8s.io"]) as socket,
    ):
        begun = [await socket.receive_bytes() for _ in range(4)]
        assert [(piece[0], int.from_bytes(piece[1:], "little")) for piece in begun] == [
            (0, port),
            (1, port),
            (2, 1),
            (3, 1),
        ]
        await socket.send_bytes(b"\0hello")
        answers = sorted([await socket.receive_bytes(), await socket.receive_bytes()])
        assert answers[0] == b"\0HELLO"
        assert answers[1].startswith(b"\3error forwarding port 1: ")


@pytest.mark.parametrize(
    ("query", "headers", "code", "message"),
    [
        ("ports=80", {}, 400, "offers the protocol SPDY/3.1+portforward.k8s.io or v4.channel.k8s.io"),
        (
            "ports=eighty",
            {"Upgrade": "websocket", "Sec-WebSocket-Protocol": "v4.channel.k8s.io"},
            400,
            "is not a port between 1 and 65535",
        ),
    ],
)
async def test_a_port_forward_that_cannot_begin(
    admin: Caller, pod: str, query: str, headers: dict[str, str], code: int, message: str
) -> None:
    if headers:
        headers = {"Connection": "Upgrade", **headers}
    got, answer = await admin.ask("GET", f"{pod}/portforward?{query}", headers=headers)
    assert got == code
    assert message in answer["message"]
