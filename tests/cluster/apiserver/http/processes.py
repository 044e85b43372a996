"""A node whose containers are plain processes of this machine: a real one, and as small as can be."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress

from headwater.cluster.apiserver.nodes import ExecStreams, LogOptions
from headwater.kube.meta.errors import StatusError, bad_request
from headwater.kube.meta.objects import Object, name_of

Write = Callable[[bytes], Awaitable[None]]


class ProcessNode:
    """Runs what exec asks for; keeps a log that tests write."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.more = asyncio.Event()
        self.ended = False
        self.running: set[asyncio.subprocess.Process] = set()
        self.sizes: list[tuple[int, int]] = []
        self.asked: LogOptions | None = None
        self.readers = 0

    def say(self, line: str, *, end: bool = False) -> None:
        self.lines.append(line.encode() + b"\n")
        self.ended = end
        self.more.set()

    async def logs(self, pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        self.asked = options
        if options.previous:
            raise bad_request(f'previous terminated container "{container}" in pod "{name_of(pod)}" not found')
        self.readers += 1
        try:
            sent = 0
            while True:
                for line in self.lines[sent:]:
                    yield line
                sent = len(self.lines)
                if self.ended or not options.follow:
                    return
                self.more.clear()
                await self.more.wait()
        finally:
            self.readers -= 1

    async def exec(self, pod: Object, container: str, command: Sequence[str], streams: ExecStreams, tty: bool) -> int:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise StatusError(500, "InternalError", f"cannot start {command[0]!r}: {error.strerror}") from error
        self.running.add(process)
        assert process.stdout
        assert process.stderr
        feeding = [asyncio.create_task(self._feed(process, streams)), asyncio.create_task(self._resize(streams))]
        try:
            await asyncio.gather(
                self._drain(process.stdout, streams.stdout), self._drain(process.stderr, streams.stderr)
            )
            return await process.wait()
        finally:
            for task in feeding:
                task.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
            self.running.discard(process)

    async def attach(self, pod: Object, container: str, streams: ExecStreams, tty: bool) -> int:
        return await self.exec(pod, container, ["cat"], streams, tty)

    async def port_forward(self, pod: Object, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", port)

    async def _feed(self, process: asyncio.subprocess.Process, streams: ExecStreams) -> None:
        assert process.stdin
        if streams.stdin is not None:
            async for data in streams.stdin:
                with suppress(ConnectionError):
                    process.stdin.write(data)
                    await process.stdin.drain()
        process.stdin.close()

    async def _resize(self, streams: ExecStreams) -> None:
        async for size in streams.resize:
            self.sizes.append(tuple(size))

    async def _drain(self, reader: asyncio.StreamReader, write: Write | None) -> None:
        while data := await reader.read(65536):
            if write is not None:
                await write(data)
