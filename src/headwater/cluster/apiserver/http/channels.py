"""Exec and attach over a WebSocket, in the protocols ``v5.channel.k8s.io`` and ``v4.channel.k8s.io``.

Each message begins with a channel: 0 standard input, 1 standard output, 2 standard error, 3 how it ended (a
``Status``), 4 the terminal's new size as JSON; version 5 adds 255, which closes another channel. kubectl speaks
version 5, the Python clients version 4.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import orjson
from aiohttp import WSMsgType, web

from headwater.cluster.apiserver.http.lasting import Streams
from headwater.cluster.apiserver.nodes import ExecStreams, TerminalSize
from headwater.kube.meta.errors import StatusError, bad_request
from headwater.kube.meta.objects import Object

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _STATUS, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_PIECE = 32 * 1024
_LARGEST_MESSAGE = 16 * 1024 * 1024
_WAITING = 16

Run = Callable[[ExecStreams], Awaitable[int]]


def check_upgrade(request: web.BaseRequest, protocols: tuple[str, ...] = PROTOCOLS) -> None:
    """Raise ``StatusError`` 400 unless the request opens a WebSocket in one of the protocols."""
    offered = [part.strip() for part in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if "websocket" not in request.headers.get("Upgrade", "").lower():
        raise bad_request(
            "this needs a WebSocket; SPDY is not spoken here, so use kubectl 1.31 or newer, or another client that "
            f"offers the protocol {' or '.join(protocols)}"
        )
    if not set(offered) & set(protocols):
        raise bad_request(f"none of the protocols {offered} is spoken here; offer {' or '.join(protocols)}")


async def serve_channels(
    request: web.BaseRequest, run: Run, lasting: Streams, *, stdin: bool, stdout: bool, stderr: bool, tty: bool
) -> web.WebSocketResponse:
    """Open the WebSocket, ``run`` a process on its channels, and send how it ended.

    A caller that leaves cancels ``run``.
    """
    socket = web.WebSocketResponse(
        protocols=PROTOCOLS, max_msg_size=_LARGEST_MESSAGE, heartbeat=30.0, timeout=5.0, autoping=True
    )
    await socket.prepare(request)
    channels = _Channels(socket, tty=tty)
    streams = ExecStreams(
        stdin=channels.stdin() if stdin else None,
        stdout=channels.writer(_STDOUT) if stdout else None,
        stderr=channels.writer(_STDERR) if stderr and not tty else None,
        resize=channels.sizes(),
    )
    process = asyncio.ensure_future(_outcome(run, streams))
    reader = asyncio.ensure_future(channels.read())
    try:
        with lasting.open():
            await asyncio.wait((process, reader), return_when=asyncio.FIRST_COMPLETED)
        if process.done():
            with suppress(ConnectionError):
                await socket.send_bytes(bytes([_STATUS]) + orjson.dumps(process.result()))
    finally:
        for task in (process, reader):
            task.cancel()
        await asyncio.gather(process, reader, return_exceptions=True)
        if not socket.closed:
            with suppress(ConnectionError, RuntimeError):
                await socket.close()
    return socket


async def _outcome(run: Run, streams: ExecStreams) -> Object:
    """Run the process and return the ``Status`` that says how it ended."""
    try:
        code = await run(streams)
    except StatusError as error:
        return error.status
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


class _Channels:
    """The two directions of one WebSocket."""

    def __init__(self, socket: web.WebSocketResponse, *, tty: bool) -> None:
        self._socket = socket
        self._tty = tty
        # ``None`` ends the stream. Bounded: a process that does not read slows its caller down.
        self._input: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        self._sizes: asyncio.Queue[TerminalSize | None] = asyncio.Queue()
        self._input_closed = False

    async def read(self) -> None:
        """Take the caller's messages apart until he leaves."""
        async for message in self._socket:
            if message.type is WSMsgType.TEXT:
                data = message.data.encode()
            elif message.type is WSMsgType.BINARY:
                data = message.data
            else:
                continue
            if data:
                await self._take(data[0], data[1:])

    async def _take(self, channel: int, data: bytes) -> None:
        if channel == _STDIN and data and not self._input_closed:
            await self._input.put(data)
        elif channel == _CLOSE and data[:1] == bytes([_STDIN]) and not self._input_closed:
            self._input_closed = True
            await self._input.put(None)
        elif channel == _RESIZE and self._tty:
            with suppress(ValueError, TypeError, KeyError, AttributeError):
                size = orjson.loads(data)
                self._sizes.put_nowait(TerminalSize(int(size["Width"]), int(size["Height"])))

    async def stdin(self) -> AsyncIterator[bytes]:
        """Yield what the caller types, until he closes the channel."""
        while (data := await self._input.get()) is not None:
            yield data

    async def sizes(self) -> AsyncIterator[TerminalSize]:
        """Yield the sizes of the caller's terminal."""
        while (size := await self._sizes.get()) is not None:
            yield size

    def writer(self, channel: int) -> Callable[[bytes], Awaitable[None]]:
        """Return what sends to a channel, in pieces that every client takes."""
        head = bytes([channel])

        async def write(data: bytes) -> None:
            for start in range(0, len(data), _PIECE):
                await self._socket.send_bytes(head + data[start : start + _PIECE])

        return write
