"""Port-forward: connections of the caller carried to a pod's ports over one WebSocket.

kubectl speaks SPDY inside the WebSocket (``SPDY/3.1+portforward.k8s.io``): for each connection a stream for errors
and one for data, with the same request id. The Python clients speak ``v4.channel.k8s.io``: the query names the
ports, and port number i has channel 2i for data and 2i+1 for errors, each beginning with the port in two bytes.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import WSMsgType, web

from headwater.cluster.apiserver.http.lasting import Streams
from headwater.cluster.apiserver.http.spdy import Data, Goodbye, Opened, Ping, Reader, Reset, Writer
from headwater.kube.meta.errors import StatusError, bad_request

TUNNEL = "SPDY/3.1+portforward.k8s.io"
CHANNELS = "v4.channel.k8s.io"
PROTOCOLS = (TUNNEL, CHANNELS)

_PIECE = 32 * 1024
_LARGEST_MESSAGE = 16 * 1024 * 1024
_WAITING = 64
_MOST_STREAMS = 1000

Connect = Callable[[int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Reaches a port of the pod. Raises ``StatusError`` or ``OSError``."""
Send = Callable[[bytes, bool], Awaitable[None]]
"""Sends bytes to the caller; the last ones when the flag is set."""


async def forward(request: web.BaseRequest, connect: Connect, lasting: Streams) -> web.WebSocketResponse:
    """Carry connections until the caller leaves. Raises ``StatusError`` 400 for ports that are none."""
    ports = asked_ports(request.query.getall("ports", []))
    socket = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=_LARGEST_MESSAGE, heartbeat=30.0, timeout=5.0)
    await socket.prepare(request)
    with lasting.open():
        if socket.ws_protocol == TUNNEL:
            await _Tunnel(socket, connect).run()
        else:
            await _Channels(socket, connect, ports).run()
    if not socket.closed:
        with suppress(ConnectionError, RuntimeError):
            await socket.close()
    return socket


def asked_ports(values: list[str]) -> list[int]:
    """Read the parameter ``ports``. Raises ``StatusError`` 400."""
    ports = []
    for text in (part for value in values for part in value.split(",")):
        if not text.isdecimal() or not 0 < int(text) < 65536:
            raise bad_request(f"the parameter ports={text!r} is not a port between 1 and 65535")
        ports.append(int(text))
    return ports


class _Connection:
    """One connection to the pod: what the caller sends waits here in a bounded queue."""

    def __init__(self) -> None:
        self._input: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)

    async def put(self, content: bytes | None) -> None:
        """Take what the caller sends; ``None`` is its end."""
        await self._input.put(content)

    async def run(self, connect: Connect, port: int, send: Send, fail: Send) -> None:
        """Connect and carry both ways until both have ended. An error goes to ``fail``, in one sentence."""
        try:
            reader, writer = await connect(port)
        except (StatusError, OSError) as error:
            why = error.message if isinstance(error, StatusError) else error.strerror or str(error)
            await fail(f"error forwarding port {port}: {why}".encode(), True)
            await send(b"", True)
            return
        feeding = asyncio.ensure_future(self._feed(writer))
        try:
            with suppress(ConnectionError):
                while content := await reader.read(_PIECE):
                    await send(content, False)
            await send(b"", True)
            await fail(b"", True)
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            writer.close()

    async def _feed(self, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while (content := await self._input.get()) is not None:
                writer.write(content)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            return
        while await self._input.get() is not None:
            pass  # the pod hung up; the caller's bytes have nowhere to go


class _Tunnel:
    """The streams of one SPDY session."""

    def __init__(self, socket: web.WebSocketResponse, connect: Connect) -> None:
        self._socket = socket
        self._connect = connect
        self._reader, self._writer = Reader(), Writer()
        self._errors: dict[str, int] = {}
        """Streams for errors that wait for the data stream of their request."""
        self._connections: dict[int, _Connection] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Serve the session until it ends."""
        try:
            async for message in self._socket:
                if message.type is not WSMsgType.BINARY:
                    continue
                for event in self._reader.feed(message.data):
                    await self._take(event)
        except ValueError:
            pass  # no SPDY: the session ends
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _take(self, event: Opened | Data | Reset | Ping | Goodbye) -> None:
        match event:
            case Opened():
                await self._open(event)
            case Data():
                connection = self._connections.get(event.stream)
                if connection is not None:
                    if event.content:
                        await connection.put(event.content)
                    if event.ended:
                        await connection.put(None)
            case Reset():
                task = self._tasks.get(event.stream)
                if task is not None:
                    task.cancel()
            case Ping():
                await self._socket.send_bytes(event.frame)

    async def _open(self, event: Opened) -> None:
        headers = event.headers
        request, port = headers.get("requestid", ""), headers.get("port", "")
        kind = headers.get("streamtype")
        known = kind in ("error", "data") and port.isdecimal() and 0 < int(port) < 65536
        if not known or len(self._tasks) + len(self._errors) >= _MOST_STREAMS:
            await self._socket.send_bytes(self._writer.refuse(event.stream))
            return
        await self._socket.send_bytes(self._writer.reply(event.stream))
        if kind == "error":
            self._errors[request] = event.stream
            return
        connection = self._connections[event.stream] = _Connection()
        if event.ended:
            await connection.put(None)
        errors = self._errors.pop(request, None)
        send, fail = self._sender(event.stream), self._sender(errors)
        task = asyncio.ensure_future(connection.run(self._connect, int(port), send, fail))
        self._tasks[event.stream] = task
        task.add_done_callback(lambda done: self._forget(event.stream, done))

    def _forget(self, stream: int, task: asyncio.Task[None]) -> None:
        self._connections.pop(stream, None)
        self._tasks.pop(stream, None)
        if not task.cancelled():
            task.exception()  # the caller has left in the middle; there is nobody to tell

    def _sender(self, stream: int | None) -> Send:
        async def send(content: bytes, end: bool) -> None:
            if stream is not None:
                await self._socket.send_bytes(self._writer.data(stream, content, end=end))

        return send


class _Channels:
    """The ports of one WebSocket in version 4."""

    def __init__(self, socket: web.WebSocketResponse, connect: Connect, ports: list[int]) -> None:
        self._socket = socket
        self._connect = connect
        self._ports = ports
        self._connections = [_Connection() for _ in ports]

    async def run(self) -> None:
        """Serve until every port's connection has ended, or the caller leaves."""
        for index, port in enumerate(self._ports):
            for channel in (2 * index, 2 * index + 1):
                await self._socket.send_bytes(bytes([channel]) + struct.pack("<H", port))
        carrying = asyncio.gather(
            *(
                connection.run(self._connect, port, self._sender(2 * index), self._sender(2 * index + 1))
                for index, (port, connection) in enumerate(zip(self._ports, self._connections, strict=True))
            ),
            return_exceptions=True,
        )
        reading = asyncio.ensure_future(self._read())
        try:
            await asyncio.wait((carrying, reading), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (carrying, reading):
                task.cancel()
            await asyncio.gather(carrying, reading, return_exceptions=True)

    async def _read(self) -> None:
        async for message in self._socket:
            content = message.data.encode() if message.type is WSMsgType.TEXT else message.data
            if not content or message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                continue
            index, errors = divmod(content[0], 2)
            if not errors and index < len(self._connections) and len(content) > 1:
                await self._connections[index].put(content[1:])

    def _sender(self, channel: int) -> Send:
        async def send(content: bytes, end: bool) -> None:
            if content:
                await self._socket.send_bytes(bytes([channel]) + content)

        return send
