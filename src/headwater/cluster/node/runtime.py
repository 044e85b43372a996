"""The agent's side of the shims: starting one, finding one again, hearing from it and telling it what to do."""

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headwater.cluster.node.layout import Layout, PodDirectory, write_json
from headwater.cluster.node.shim import records
from headwater.cluster.node.shim.wire import Channel, Message
from headwater.cluster.node.zygote import spawn_zygote

log = logging.getLogger(__name__)

_FIRST_WORD_WITHIN = 20.0


class ShimError(Exception):
    """A shim that could not be started, or that went away while something was asked of it."""


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """What a shim says of one container: its latest start, and how the one before it ended."""

    attempt: int
    """0 for the first start."""
    phase: str
    """``starting``, ``running`` or ``exited``."""
    started_at: int | None = None
    """Nanoseconds since 1970; absent when the user's process never ran."""
    finished_at: int | None = None
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    crashes: int = 0
    """How many times in a row it has been started again without a long run between."""
    previous: "ContainerRecord | None" = None

    @classmethod
    def load(cls, raw: Mapping[str, Any]) -> "ContainerRecord":
        """Read a record as the shim writes it."""
        previous = raw.get("previous")
        return cls(
            attempt=int(raw["attempt"]),
            phase=str(raw["phase"]),
            started_at=raw.get("started_at"),
            finished_at=raw.get("finished_at"),
            exit_code=int(raw.get("exit_code", 0)),
            reason=str(raw.get("reason", "")),
            message=str(raw.get("message", "")),
            crashes=int(raw.get("crashes", 0)),
            previous=cls.load(previous) if previous else None,
        )


Records = dict[str, ContainerRecord]


def load_records(directory: PodDirectory) -> Records | None:
    """Read what a shim left on disk; None when it never got as far as writing anything."""
    try:
        state = records.read_json(str(directory.state))
        return {name: ContainerRecord.load(raw) for name, raw in state.get("containers", {}).items()}
    except (OSError, ValueError, KeyError, TypeError):
        return None


class PodProcess:
    """A living shim, as the agent sees it. ``changed`` is called on every word from it and when it is gone."""

    def __init__(self, directory: PodDirectory, sock: socket.socket, changed: Callable[[], None]) -> None:
        self.directory = directory
        self.records: Records = {}
        self.pid = 0
        self.gone = False
        self._changed = changed
        self._heard = asyncio.Event()
        self._ended = asyncio.Event()
        sock.setblocking(False)
        self._channel = Channel(sock)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._read)

    async def first_word(self) -> bool:
        """Wait for the shim's first state; False when there is none."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._heard.wait(), _FIRST_WORD_WITHIN)
        return self.pid > 0

    async def wait_gone(self) -> None:
        """Return when the shim has ended or let go of this connection."""
        await self._ended.wait()

    def start(self, container: Mapping[str, Any]) -> None:
        """Start a container; a start that the shim has seen already is ignored by it."""
        self._send({"type": "start", "container": dict(container)})

    def stop(self, grace: float, containers: Sequence[str] | None = None) -> None:
        """Send SIGTERM to containers, all by default, and SIGKILL after ``grace`` seconds."""
        self._send({"type": "stop", "grace": grace, "containers": None if containers is None else list(containers)})

    def quit(self) -> None:
        """Let the shim end once nothing runs in it."""
        self._send({"type": "quit"})

    def close(self) -> None:
        """Leave the shim alone; it goes on."""
        if not self.gone:
            self.gone = True
            self._loop.remove_reader(self._channel.fileno())
            self._channel.close()
            self._heard.set()
            self._ended.set()

    def _send(self, message: Message) -> None:
        if self.gone:
            return
        try:
            self._channel.send(message)
            if not self._channel.flush():
                self._loop.add_writer(self._channel.fileno(), self._flush)
        except OSError:
            self._lost()

    def _flush(self) -> None:
        try:
            if self._channel.flush():
                self._loop.remove_writer(self._channel.fileno())
        except OSError:
            self._loop.remove_writer(self._channel.fileno())
            self._lost()

    def _read(self) -> None:
        messages = self._channel.receive()
        if messages is None:
            self._lost()
            return
        for message in messages:
            if message.get("type") == "state":
                self.pid = int(message["pid"])
                self.records = {name: ContainerRecord.load(raw) for name, raw in message["containers"].items()}
                self._heard.set()
        self._changed()

    def _lost(self) -> None:
        self.close()
        self._changed()


@dataclass(slots=True)
class Exec:
    """A command that runs beside a container's process."""

    channel: Channel

    async def wait(self) -> int:
        """Return the exit code. Raises ``ShimError`` when the command could not be started or its pod is gone."""
        loop = asyncio.get_running_loop()
        while True:
            readable = asyncio.Event()
            fd = self.channel.fileno()
            loop.add_reader(fd, readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(fd)
            messages = self.channel.receive()
            if messages is None:
                raise ShimError("the pod went away")
            for message in messages:
                if message["type"] == "exec_exited":
                    return int(message["exit_code"])
                if message["type"] == "exec_failed":
                    raise ShimError(str(message["message"]))

    def close(self) -> None:
        """Let go; a command that still runs is killed."""
        self.channel.close()


class Runtime:
    """Starts and finds shims."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._zygote: tuple[subprocess.Popen[bytes], Channel] | None = None

    def start(self) -> None:
        """Start the interpreter that shims are forked from. Raises ``OSError``."""
        self._zygote = spawn_zygote(self.layout.root / "zygote.log")

    async def stop(self) -> None:
        """Let that interpreter end, which it does with the last of its shims: those live on."""
        zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote[1].close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(zygote[0].wait, 0.2)

    async def launch(self, directory: PodDirectory, spec: Mapping[str, Any], changed: Callable[[], None]) -> PodProcess:
        """Start the shim of a pod, and with it the containers that ``spec["start"]`` holds.

        Never starts a second one: if one holds the directory already, that one is returned. Raises ``ShimError``
        and ``OSError``.
        """
        write_json(directory.spec, spec)
        ours, theirs = socket.socketpair()
        process = PodProcess(directory, ours, changed)
        try:
            self._fork(directory, theirs)
        finally:
            theirs.close()
        if await process.first_word():
            return process
        process.close()
        found = await self.adopt(directory, changed)
        if found is None:
            raise ShimError(f"the pod's shim ended at once: {_last_line(directory.path / 'shim.log')}")
        return found

    async def adopt(self, directory: PodDirectory, changed: Callable[[], None]) -> PodProcess | None:
        """Connect to a pod's shim; None when there is none."""
        try:
            process = PodProcess(directory, connect(directory), changed)
        except OSError:
            return None
        if await process.first_word():
            return process
        process.close()
        return None

    def exec(
        self, directory: PodDirectory, container: str, argv: Sequence[str], fds: Sequence[int], *, tty: bool
    ) -> Exec:
        """Run a command with these three descriptors as its streams. Raises ``ShimError``."""
        try:
            sock = connect(directory)
        except OSError:
            raise ShimError("the pod's processes are gone") from None
        channel = Channel(sock)
        environment = {"TERM": "xterm-256color"} if tty else {}
        message = {"type": "exec", "container": container, "argv": list(argv), "tty": tty, "env": environment}
        try:
            channel.send(message, fds)
        except OSError as error:
            channel.close()
            raise ShimError(f"the pod's shim does not answer: {error.strerror}") from None
        sock.setblocking(False)
        return Exec(channel)

    def _fork(self, directory: PodDirectory, end: socket.socket) -> None:
        for last in (False, True):
            try:
                if self._zygote is None:
                    self.start()
                assert self._zygote is not None
                self._zygote[1].send({"directory": str(directory.path)}, [end.fileno()])
                return
            except OSError:
                if last:
                    raise
                log.warning("the process that shims are forked from is gone; starting another")
                self._zygote = None


def connect(directory: PodDirectory) -> socket.socket:
    """Connect to the shim's socket, however long the path to it is. Raises ``OSError``."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path = str(directory.path / records.SOCKET)
    try:
        if len(path) < 100:
            sock.connect(path)
        else:
            fd = os.open(directory.path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                sock.connect(f"/proc/self/fd/{fd}/{records.SOCKET}")
            finally:
                os.close(fd)
    except OSError:
        sock.close()
        raise
    return sock


def _last_line(path: os.PathLike[str]) -> str:
    try:
        with open(path, errors="replace") as file:
            lines = [line.strip() for line in file if line.strip()]
    except OSError:
        return "it left no log"
    return lines[-1] if lines else "it left no log"
