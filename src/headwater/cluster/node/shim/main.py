"""The shim of one pod: owns its processes, its logs and its exit records, and outlives the control plane.

It decides nothing. The node agent tells it which container to start, to signal or to run a command in; it tells the
agent what has become of them. A container's end is on disk (written, synced, renamed, synced) before anyone is told.
While nobody is connected it carries on alone; a new agent finds it by the socket in the pod's directory. When it is
killed its containers die with it, and the state file still says that they ran: the agent then knows what happened.
"""

import contextlib
import os
import select
import signal
import socket
import time
from typing import Any, NoReturn

from headwater.cluster.node.shim import init, namespaces, output, records
from headwater.cluster.node.shim import syscalls as linux
from headwater.cluster.node.shim.wire import Channel, Message

_DRAIN_WITHIN = 2.0
"""Seconds that a stream may stay open after its container has ended (a process that left the sandbox holds it)."""
_LOOK_EVERY = 30.0
"""Seconds between two looks, while nobody is connected, whether the pod's directory is still there."""


class _Container:
    """One start of one container."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.pid = 0
        self.launcher = 0
        """The process between the shim and the container's init, which ends as soon as that is born."""
        self.streams: dict[int, output.Stream] = {}
        self.channel: Channel | None = None
        self.log: output.Log | None = None
        self.outcome: Message | None = None
        self.init_ended = False
        self.ended_at: float | None = None
        self.kill_at: float | None = None
        self.reaped = False


class Shim:
    """The event loop of one pod."""

    def __init__(self, first: socket.socket | None) -> None:
        self.lock = records.lock()
        self.pod = records.read_json(records.SPEC)
        self.state: dict[str, Any] = {
            "version": records.VERSION,
            "uid": self.pod["uid"],
            "pid": os.getpid(),
            "containers": {},
        }
        self.unsaved = False
        self.unsaved_durable = False
        self.retry_at: float | None = None
        self.look_at = time.monotonic() + _LOOK_EVERY
        self.containers: dict[str, _Container] = {}
        self.clients: dict[int, Channel] = {}
        self.execs: dict[int, tuple[str, Channel]] = {}
        self.next_exec = 0
        self.quitting = False
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.poll = select.poll()
        self.wakeup, self.wakeup_end = os.pipe()
        for fd in (self.wakeup, self.wakeup_end):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self.wakeup_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._stop(None, 10.0))
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
        records.write_state(self.state, durable=False)  # from here on this pod counts as started
        self.poll.register(self.wakeup, select.POLLIN)
        if first is not None:
            self._welcome(first)

    def run(self) -> None:
        """Serve until told to quit."""
        if self.pod["sandboxed"]:
            namespaces.enter(self.pod)
        for container in self.pod.get("start", ()):
            self._start(container)
        self._listen()
        while not (self.quitting and not self.containers):
            for fd, events in self.poll.poll(self._timeout()):
                self._ready(fd, events)
            self._reap()
            self._keep_time()
            if self.unsaved:
                self._save()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(records.SOCKET)

    def _listen(self) -> None:
        """Take connections of later agents."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(records.SOCKET)
        self.listener.bind(records.SOCKET)
        self.listener.listen(16)
        self.listener.setblocking(False)
        self.poll.register(self.listener, select.POLLIN)

    def _timeout(self) -> float | None:
        times = [self.retry_at]
        if not self.clients:
            times.append(self.look_at)
        for container in self.containers.values():
            times += [container.kill_at, container.ended_at and container.ended_at + _DRAIN_WITHIN]
        due = [at for at in times if at is not None]
        return max(0.0, (min(due) - time.monotonic()) * 1000) + 1 if due else None

    def _ready(self, fd: int, events: int) -> None:
        if fd == self.listener.fileno():
            with contextlib.suppress(OSError):
                self._welcome(self.listener.accept()[0])
        elif fd == self.wakeup:
            with contextlib.suppress(BlockingIOError):
                os.read(fd, 4096)
        elif fd in self.clients:
            self._client_ready(fd, events)
        else:
            for container in self.containers.values():
                if fd in container.streams:
                    if not container.streams[fd].pump():
                        self.poll.unregister(fd)
                        del container.streams[fd]
                    return
                if container.channel is not None and container.channel.fileno() == fd:
                    self._init_ready(container)
                    return

    # --- the agent's side ---

    def _welcome(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        channel = Channel(sock)
        self.clients[sock.fileno()] = channel
        self.poll.register(sock, select.POLLIN)
        self._tell(channel, {"type": "state", **self.state})

    def _client_ready(self, fd: int, events: int) -> None:
        channel = self.clients[fd]
        try:
            if events & select.POLLOUT and channel.flush():
                self.poll.modify(fd, select.POLLIN)
            if not events & ~select.POLLOUT:
                return
            messages = channel.receive()
            if messages is None:
                self._part(channel)
                return
            for message in messages:
                self._obey(channel, message)
        except (OSError, ValueError, KeyError, TypeError) as error:
            _note(f"a client was dropped: {type(error).__name__}: {error}")
            self._part(channel)

    def _part(self, channel: Channel) -> None:
        if self.clients.pop(channel.fileno(), None) is None:
            return
        self.poll.unregister(channel)
        for number, (name, caller) in list(self.execs.items()):
            if caller is channel:  # nobody waits for the command any more
                del self.execs[number]
                self._instruct(name, {"type": "exec_kill", "id": number})
        channel.close()

    def _tell(self, channel: Channel, message: Message) -> None:
        try:
            channel.send(message)
            self.poll.modify(channel, select.POLLIN if channel.flush() else select.POLLIN | select.POLLOUT)
        except OSError:
            self._part(channel)

    def _obey(self, channel: Channel, message: Message) -> None:
        kind = message["type"]
        if kind == "start":
            self._start(message["container"])
        elif kind == "stop":
            self._stop(message.get("containers"), float(message["grace"]))
        elif kind == "exec":
            self._exec(channel, message)
        elif kind == "quit":
            self.quitting = True
        elif kind == "ping":
            self._tell(channel, {"type": "pong", "id": message.get("id")})

    def _exec(self, channel: Channel, message: Message) -> None:
        fds = channel.take_fds(message)
        container = self.containers.get(message["container"])
        if container is None or container.outcome is not None or container.channel is None:
            self._tell(channel, {"type": "exec_failed", "message": "the container is not running"})
        else:
            self.next_exec += 1
            self.execs[self.next_exec] = (container.name, channel)
            container.channel.send({**message, "id": self.next_exec}, fds)
        for fd in fds:
            os.close(fd)

    def _instruct(self, name: str, message: Message) -> None:
        container = self.containers.get(name)
        if container is not None and container.channel is not None:
            with contextlib.suppress(OSError):
                container.channel.send(message)

    # --- the containers' side ---

    def _start(self, spec: dict[str, Any]) -> None:
        name, attempt = spec["name"], spec["attempt"]
        former = self.state["containers"].get(name)
        if name in self.containers or (former is not None and former["attempt"] >= attempt):
            return  # told twice
        container = _Container(spec)
        self.containers[name] = container
        self.state["containers"][name] = {"attempt": attempt, "phase": "starting", "crashes": spec.get("crashes", 0)}
        if former is not None:
            self.state["containers"][name]["previous"] = {k: v for k, v in former.items() if k != "previous"}
        try:
            container.log = output.Log(spec["log"])
            self._fork(container)
        except OSError as error:
            message = f"cannot start the container: {error}"
            container.outcome = {"type": "failed", "reason": "CreateContainerError", "message": message}
            container.init_ended = container.reaped = True
            container.ended_at = time.monotonic()
        self._changed(durable=False)

    def _fork(self, container: _Container) -> None:
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            _close_all_but({theirs.fileno(), out_write, err_write})
            init.main(self.pod, container.spec, theirs, (out_write, err_write))
        theirs.close()
        os.close(out_write)
        os.close(err_write)
        container.pid = container.launcher = pid
        container.channel = Channel(ours)
        self.poll.register(ours, select.POLLIN)
        assert container.log is not None
        for fd, stream in ((out_read, b"stdout"), (err_read, b"stderr")):
            container.streams[fd] = output.Stream(fd, stream, container.log)
            self.poll.register(fd, select.POLLIN)

    def _init_ready(self, container: _Container) -> None:
        channel = container.channel
        assert channel is not None
        messages = channel.receive()
        if messages is None:
            self.poll.unregister(channel)
            channel.close()
            container.channel = None
            container.init_ended = True
            container.ended_at = time.monotonic()
            for number, (name, caller) in list(self.execs.items()):
                if name == container.name:
                    del self.execs[number]
                    self._tell(caller, {"type": "exec_exited", "exit_code": 137})
            return
        for message in messages:
            self._heard(container, channel, message)

    def _heard(self, container: _Container, channel: Channel, message: Message) -> None:
        kind = message["type"]
        record = self.state["containers"][container.name]
        if kind == "init":
            container.pid = message["pid"]
            record["pid"] = container.pid
            if container.kill_at is not None and container.kill_at <= time.monotonic():
                self._kill(container)
        elif kind == "map":
            # The init is about to ask for SIGKILL at its parent's end: that must be this process by then.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(container.launcher, 0)
            try:
                namespaces.map_users(container.pid, self.pod.get("id_base"))
                channel.send({"type": "mapped"})
            except OSError as error:
                channel.send({"type": "refused", "message": f"the user namespace could not be set up: {error}"})
        elif kind == "started":
            record.update(phase="running", started_at=message["at"])
            self._changed(durable=False)
        elif kind in ("failed", "exited"):
            container.outcome = message
        elif kind in ("exec_exited", "exec_failed"):
            caller = self.execs.pop(message.pop("id"), None)
            if caller is not None:
                self._tell(caller[1], message)

    def _reap(self) -> None:
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pid = 0
                for container in self.containers.values():
                    container.reaped = True
            if pid == 0:
                break
            for container in self.containers.values():
                container.reaped |= pid == container.pid and (pid != container.launcher or not self.pod["sandboxed"])
        now = time.monotonic()
        for container in list(self.containers.values()):
            late = container.ended_at is not None and now >= container.ended_at + _DRAIN_WITHIN
            if container.init_ended and ((container.reaped and not container.streams) or late):
                self._ended(container)

    def _ended(self, container: _Container) -> None:
        del self.containers[container.name]
        for fd, stream in container.streams.items():
            self.poll.unregister(fd)
            stream.close()
        if container.log is not None:
            container.log.close()
        outcome = container.outcome or {"type": "exited", "exit_code": 137, "at": time.time_ns()}
        record = self.state["containers"][container.name]
        record.pop("pid", None)
        record.update(phase="exited", finished_at=outcome.get("at") or time.time_ns())
        if outcome["type"] == "failed":
            record.update(exit_code=128, reason=outcome["reason"], message=outcome["message"])
        else:
            code = outcome["exit_code"]
            record.update(exit_code=code, reason="Error" if code else "Completed")
            if message := output.last_words(container.spec, code):
                record["message"] = message
        self._changed(durable=True)

    def _stop(self, names: list[str] | None, grace: float) -> None:
        for container in self.containers.values():
            if names is not None and container.name not in names:
                continue
            kill_at = time.monotonic() + grace
            if container.kill_at is None and grace > 0:
                self._instruct(container.name, {"type": "signal", "signal": int(signal.SIGTERM)})
            if container.kill_at is None or kill_at < container.kill_at:
                container.kill_at = kill_at

    def _keep_time(self) -> None:
        now = time.monotonic()
        for container in self.containers.values():
            if container.kill_at is not None and container.kill_at <= now and not container.init_ended:
                container.kill_at = now + 1.0
                self._kill(container)
        if self.look_at <= now:
            self.look_at = now + _LOOK_EVERY
            if not os.path.exists(
                records.SPEC
            ):  # somebody removed the platform's home: no agent can ever find this pod
                self._stop(None, 0.0)
                self.quitting = True
        if self.retry_at is not None and self.retry_at <= now:
            self.retry_at = None
            self.unsaved = True

    def _kill(self, container: _Container) -> None:
        if not self.pod["sandboxed"]:
            self._instruct(container.name, {"type": "kill"})
        elif container.pid and not container.reaped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(container.pid, signal.SIGKILL)

    # --- what is remembered ---

    def _changed(self, *, durable: bool) -> None:
        self.unsaved = True
        self.unsaved_durable |= durable

    def _save(self) -> None:
        """Write the state, then tell; while the disk refuses an end, nobody hears of it."""
        self.unsaved = False
        try:
            records.write_state(self.state, durable=self.unsaved_durable)
        except OSError as error:
            _note(f"the state could not be written, trying again: {error}")
            self.retry_at = time.monotonic() + 0.5
            if self.unsaved_durable:
                return
        else:
            self.unsaved_durable = False
        for channel in list(self.clients.values()):
            self._tell(channel, {"type": "state", **self.state})


def _note(text: str) -> None:
    """Write to the shim's own log, which a full disk may refuse."""
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())


def _close_all_but(keep: set[int]) -> None:
    last = 2
    for fd in sorted(keep):
        os.closerange(last + 1, fd)
        last = fd
    os.closerange(last + 1, os.sysconf("SC_OPEN_MAX"))


def main(pod_directory: str, first: socket.socket | None) -> NoReturn:
    """Be the shim of the pod in this directory; ``first`` is already connected to the agent."""
    code = 1
    try:
        os.setsid()
        os.chdir(pod_directory)
        _redirect_standard_streams()
        linux.set_name("headwater-shim")
        Shim(first).run()
        code = 0
    except BaseException:
        import traceback

        _note(traceback.format_exc())
    finally:
        os._exit(code)


def _redirect_standard_streams() -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    log = os.open("shim.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(null)
    os.close(log)
