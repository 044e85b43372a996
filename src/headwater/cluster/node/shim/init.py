"""Process 1 of a container: makes the sandbox, starts the user's process, reaps, forwards signals, runs execs.

It is forked from the pod's shim and never executes anything itself, so it starts in a millisecond; it is not
dumpable and holds nothing but its own container's description. It ends when the user's process ends, or when the
shim is gone: then the kernel ends everything else in its PID namespace. On the plain tier, which has no such
namespace, it adopts every orphan of the container and ends them itself.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
import termios
import time
from typing import Any, NoReturn

from headwater.cluster.node.shim import sandbox
from headwater.cluster.node.shim import syscalls as linux
from headwater.cluster.node.shim.wire import Channel, Message

LAST_CAPABILITY = 40
_DESCENDANTS_END_WITHIN = 5.0


def main(pod: dict[str, Any], container: dict[str, Any], shim: socket.socket, output: tuple[int, int]) -> NoReturn:
    """Be a container from here to its end. ``output``: where its standard output and standard error go."""
    channel = Channel(shim)
    code = 1
    try:
        if pod["sandboxed"]:
            linux.unshare(linux.CLONE_NEWPID)
            told, telling = os.pipe()
            pid = os.fork()
            if pid:
                channel.send({"type": "init", "pid": pid})
                os._exit(0)
            # Both write to one socket: the shim has to know this process before it hears from it.
            os.close(telling)
            os.read(told, 1)
            os.close(told)
        else:
            channel.send({"type": "init", "pid": os.getpid()})
        code = _Init(pod, container, channel, output).run()
    except BaseException as error:
        with contextlib.suppress(OSError):
            channel.send({"type": "failed", "reason": "CreateContainerError", "message": _describe(error)})
    finally:
        os._exit(code)


class _Init:
    def __init__(
        self, pod: dict[str, Any], container: dict[str, Any], channel: Channel, output: tuple[int, int]
    ) -> None:
        self.pod = pod
        self.container = container
        self.channel = channel
        self.output = output
        self.main_pid = 0
        self.execs: dict[int, int] = {}
        self.wakeup, wakeup_end = os.pipe()
        for fd in (self.wakeup, wakeup_end):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wakeup_end, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> int:
        """Run the container; return the exit code of its process."""
        linux.set_name("headwater-init")
        os.umask(0o022)
        if self.pod["sandboxed"]:
            sandbox.build(self.container, self.pod.get("id_base"), self.pod.get("masks", []))
            self._take_on_user()
        else:
            sandbox.own_directories_only(self.container)
            linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
        self._start_main()
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        poll.register(self.wakeup, select.POLLIN)
        while True:
            code = self._reap()
            if code is not None:
                return self._finish(code)
            ready = {fd for fd, _ in poll.poll()}
            if self.wakeup in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.wakeup, 4096)
            if self.channel.fileno() in ready:
                messages = self.channel.receive()
                if messages is None:  # the shim is gone: so is the pod
                    return self._finish(137)
                for message in messages:
                    self._obey(message)

    def _take_on_user(self) -> None:
        """Enter a user namespace that has no right over the mounts, and become its user 0."""
        linux.unshare(linux.CLONE_NEWUSER)
        self.channel.send({"type": "map"})
        for message in self._wait():
            if message["type"] != "mapped":
                raise OSError(0, message.get("message", "the user namespace could not be set up"))
        if self.pod.get("id_base") is not None:
            os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)  # the call above would have cleared it

    def _wait(self) -> list[Message]:
        while True:
            messages = self.channel.receive()
            if messages is None:
                os._exit(137)
            if found := list(messages):
                return found

    def _start_main(self) -> None:
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        pid, error = self._spawn(self.container["argv"], self.container["env"], (null, *self.output), tty=False)
        os.close(null)
        for fd in set(self.output):
            os.close(fd)
        if error:
            self.channel.send({"type": "failed", "reason": "StartError", "message": error})
            os._exit(128)
        self.main_pid = pid
        self.channel.send({"type": "started", "at": time.time_ns()})

    def _obey(self, message: Message) -> None:
        if message["type"] == "signal":
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.main_pid, message["signal"])
        elif message["type"] == "exec":
            fds = self.channel.take_fds(message)
            environment = {**self.container["env"], **message.get("env", {})}
            streams = (fds[0], fds[1], fds[2])
            pid, error = self._spawn(message["argv"], environment, streams, tty=message.get("tty", False))
            for fd in fds:
                os.close(fd)
            if error:
                self.channel.send({"type": "exec_failed", "id": message["id"], "message": error})
            else:
                self.execs[pid] = message["id"]
        elif message["type"] == "exec_kill":
            for pid, number in self.execs.items():
                if number == message["id"]:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGKILL)
        elif message["type"] == "kill":  # the plain tier: there is no namespace whose end would do it
            for pid in descendants(os.getpid()) or {self.main_pid}:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def _spawn(
        self, argv: list[str], environment: dict[str, str], streams: tuple[int, int, int], *, tty: bool
    ) -> tuple[int, str]:
        """Fork and execute; return the process id, or 0 and what went wrong."""
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                self._become(argv, environment, streams, tty)
            except BaseException as error:
                os.write(write_end, _describe_exec(argv, error).encode()[:1024])
            finally:
                os._exit(127)
        os.close(write_end)
        problem = b""
        while piece := os.read(read_end, 1024):
            problem += piece
        os.close(read_end)
        if problem:
            os.waitpid(pid, 0)
            return 0, problem.decode(errors="replace")
        return pid, ""

    def _become(
        self, argv: list[str], environment: dict[str, str], streams: tuple[int, int, int], tty: bool
    ) -> NoReturn:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (
            signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ
        ):  # fmt: skip
            signal.signal(number, signal.SIG_DFL)
        for target, fd in enumerate(streams):
            os.dup2(fd, target, inheritable=True)
        if tty:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        if self.pod["sandboxed"]:
            self._drop_rights()
        else:
            linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        directory = self.container["cwd"]
        try:
            os.chdir(directory)
        except OSError as error:
            raise OSError(
                error.errno, f"cannot change to the working directory {directory}: {error.strerror}"
            ) from None
        os.execvpe(argv[0], argv, environment)  # noqa: S606

    def _drop_rights(self) -> None:
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        keep = set(self.container.get("capabilities", ()))
        for capability in range(LAST_CAPABILITY + 1):
            if capability not in keep:
                with contextlib.suppress(OSError):  # this kernel has fewer
                    linux.prctl(linux.PR_CAPBSET_DROP, capability)
        user, group = self.container.get("uid"), self.container.get("gid")
        if self.pod.get("id_base") is None:
            return  # a single user is mapped: there is nobody else to become
        os.setgroups(self.container.get("groups", []))
        if group is not None:
            os.setresgid(group, group, group)
        if user is not None:
            os.setresuid(user, user, user)

    def _reap(self) -> int | None:
        """Collect every process that has ended; return the exit code if the user's own is among them."""
        code = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return code
            if pid == 0:
                return code
            ended = os.waitstatus_to_exitcode(status)
            ended = 128 - ended if ended < 0 else ended
            if pid == self.main_pid:
                code = ended
            elif pid in self.execs:
                self.channel.send({"type": "exec_exited", "id": self.execs.pop(pid), "exit_code": ended})

    def _finish(self, code: int) -> int:
        if not self.pod["sandboxed"]:
            self._kill_descendants()
        with contextlib.suppress(OSError):
            self.channel.send({"type": "exited", "exit_code": code, "at": time.time_ns()})
        return code

    def _kill_descendants(self) -> None:
        """End every process of the container; those whose parent has ended are this process's own children."""
        deadline = time.monotonic() + _DESCENDANTS_END_WITHIN
        while time.monotonic() < deadline:
            children = descendants(os.getpid())
            for pid in children or {self.main_pid}:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.002)


def descendants(ancestor: int) -> set[int]:
    """Return the processes below one, as ``/proc`` shows them; empty where there is no ``/proc``."""
    parents: dict[int, int] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return set()
    for name in names:
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
                parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    found: set[int] = set()
    grown = {ancestor}
    while grown:
        grown = {pid for pid, parent in parents.items() if parent in grown} - found
        found |= grown
    return found


def _describe(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"


def _describe_exec(argv: list[str], error: BaseException) -> str:
    if isinstance(error, FileNotFoundError) and "/" not in argv[0]:
        return f'exec: "{argv[0]}": executable file not found in $PATH'
    if isinstance(error, OSError) and error.filename:
        return f'exec: "{argv[0]}": {os.strerror(error.errno or 0).lower()}'
    return f'exec: "{argv[0]}": {_describe(error)}'
