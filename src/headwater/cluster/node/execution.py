"""Running a command beside a container's process, with the caller's streams: pipes, or a terminal."""

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from headwater.cluster.apiserver.nodes import ExecStreams, TerminalSize
from headwater.cluster.node.layout import PodDirectory
from headwater.cluster.node.runtime import Exec, Runtime

_CHUNK = 64 * 1024
_DRAIN_WITHIN = 0.5
"""Seconds that output may still come after the command has ended: what it left in the background holds the pipe."""


async def execute(
    runtime: Runtime,
    directory: PodDirectory,
    container: str,
    command: Sequence[str],
    streams: ExecStreams,
    *,
    tty: bool,
) -> int:
    """Run the command and return its exit code; cancelling kills it. Raises ``ShimError`` and ``OSError``."""
    if tty:
        return await _with_terminal(runtime, directory, container, command, streams)
    return await _with_pipes(runtime, directory, container, command, streams)


async def _with_pipes(
    runtime: Runtime, directory: PodDirectory, container: str, command: Sequence[str], streams: ExecStreams
) -> int:
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    try:
        run = runtime.exec(directory, container, command, (in_read, out_write, err_write), tty=False)
    except BaseException:
        for fd in (in_write, out_read, err_read):
            os.close(fd)
        raise
    finally:
        for fd in (in_read, out_write, err_write):
            os.close(fd)
    feeding = asyncio.create_task(_feed(in_write, streams.stdin))
    draining = [
        asyncio.create_task(_drain(out_read, streams.stdout)),
        asyncio.create_task(_drain(err_read, streams.stderr)),
    ]
    return await _until_end(run, [feeding], draining)


async def _with_terminal(
    runtime: Runtime, directory: PodDirectory, container: str, command: Sequence[str], streams: ExecStreams
) -> int:
    master, slave = os.openpty()
    resizing: asyncio.Task[None] | None = None
    try:
        first = asyncio.ensure_future(anext(aiter(streams.resize), None))
        await asyncio.wait((first,), timeout=0.05)  # most callers send their size at once
        if first.done() and first.result() is not None:
            _resize(master, first.result())
        run = runtime.exec(directory, container, command, (slave, slave, slave), tty=True)
    except BaseException:
        first.cancel()
        os.close(master)
        raise
    finally:
        os.close(slave)
    resizing = asyncio.create_task(_follow_size(master, first, streams.resize))
    feeding = asyncio.create_task(_feed(os.dup(master), streams.stdin, terminal=True))
    draining = [asyncio.create_task(_drain(os.dup(master), streams.stdout))]
    try:
        return await _until_end(run, [feeding, resizing], draining)
    finally:
        os.close(master)


async def _until_end(run: Exec, sides: "list[asyncio.Task[None]]", draining: "list[asyncio.Task[None]]") -> int:
    try:
        code = await run.wait()
        await asyncio.wait(draining, timeout=_DRAIN_WITHIN)
        return code
    finally:
        run.close()
        for task in (*sides, *draining):
            task.cancel()
        await asyncio.gather(*sides, *draining, return_exceptions=True)


async def _feed(fd: int, source: AsyncIterator[bytes] | None, *, terminal: bool = False) -> None:
    """Write what the caller sends; a pipe is closed at its end, a terminal stays."""
    os.set_blocking(fd, False)
    try:
        if source is not None:
            async for data in source:
                rest = memoryview(data)
                while rest:
                    try:
                        rest = rest[os.write(fd, rest) :]
                    except BlockingIOError:
                        await _writable(fd)
        if terminal:
            with contextlib.suppress(OSError):
                os.write(fd, b"\x04")
    except OSError:
        pass  # the command does not read any more
    finally:
        os.close(fd)


async def _drain(fd: int, sink: Callable[[bytes], Awaitable[None]] | None) -> None:
    os.set_blocking(fd, False)
    try:
        while True:
            try:
                data = os.read(fd, _CHUNK)
            except BlockingIOError:
                await _readable(fd)
                continue
            except OSError:
                return  # the other side of a terminal is closed
            if not data:
                return
            if sink is not None:
                await sink(data)
    finally:
        os.close(fd)


async def _follow_size(
    master: int, first: "asyncio.Future[TerminalSize | None]", sizes: AsyncIterator[TerminalSize]
) -> None:
    size = await first
    while size is not None:
        _resize(master, size)
        size = await anext(aiter(sizes), None)


def _resize(master: int, size: TerminalSize | None) -> None:
    if size is not None:
        with contextlib.suppress(OSError):
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", size.height, size.width, 0, 0))


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)


async def _writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(fd)
