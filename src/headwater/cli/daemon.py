"""Starting, finding and stopping the platform's process.

``start`` runs ``headwater.cli.serve`` as a process of its own and waits on a pipe until that says it is ready,
or says in one sentence why it cannot be. Secrets of the first start come through that pipe and nowhere else.
"""

import contextlib
import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from headwater.cli.home import Home, Ports
from headwater.cli.tail import tail

START_TIMEOUT = 60.0
STOP_TIMEOUT = 45.0
_LINES_SHOWN = 8


class DaemonError(Exception):
    """The platform could not be started or stopped; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class FirstLogin:
    """The administrator's generated login, known only at the very first start."""

    user: str
    password: str


def port_problem(port: int) -> OSError | None:
    """Return what keeps this user from listening on the port; None when nothing does."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error
    return None


def check_port(port: int, option: str) -> None:
    """Raise ``DaemonError`` when something listens on the port, or when this user may not."""
    problem = port_problem(port)
    if problem is None:
        return
    if problem.errno == errno.EADDRINUSE:
        raise DaemonError(f"Port {port} is taken by another program; choose a free one with {option}.")
    raise DaemonError(f"Port {port} cannot be used ({problem.strerror}); choose another with {option}.")


def start(home: Home, ports: Ports) -> FirstLogin | None:
    """Start the platform in the background and return when it is ready. Raises ``DaemonError``."""
    read_end, write_end = os.pipe()
    with home.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "headwater.cli.serve", *serve_arguments(home, ports, ready_fd=write_end)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(write_end,),
        )
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        return read_ready(pipe.fileno(), process, home)


def serve_arguments(home: Home, ports: Ports, *, ready_fd: int) -> list[str]:
    """Return the arguments of ``headwater.cli.serve``."""
    return [str(home.path), str(ports.gateway), str(ports.api), str(ready_fd)]


def read_ready(descriptor: int, process: "subprocess.Popen[bytes]", home: Home) -> FirstLogin | None:
    """Wait for the line that a starting platform writes; return the first login if it has one."""
    deadline = time.monotonic() + START_TIMEOUT
    received = b""
    while not received.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            process.terminate()
            raise DaemonError(f"Headwater was not ready after {START_TIMEOUT:.0f} s; its log is {home.log}.")
        chunk = os.read(descriptor, 4096)
        if not chunk:
            raise DaemonError(f"Headwater ended while it started; its log, {home.log}, ends:\n{_end_of(home.log)}")
        received += chunk
    message = json.loads(received)
    if "error" in message:
        process.wait()
        raise DaemonError(message["error"])
    login = message.get("login")
    return FirstLogin(login["user"], login["password"]) if login else None


def stop(home: Home) -> bool:
    """Stop the platform and everything it runs; tell whether it was running. Raises ``DaemonError``."""
    pid = home.owner()
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while home.owner() == pid:
        if time.monotonic() > deadline:
            raise DaemonError(f"Headwater (pid {pid}) did not stop within {STOP_TIMEOUT:.0f} s; its log is {home.log}.")
        time.sleep(0.02)
    return True


def resident_bytes(pid: int) -> int | None:
    """Return the resident memory of a process in bytes; None where it cannot be read."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        pass
    try:
        answer = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
        return int(answer.stdout) * 1024
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None


def _end_of(log: Path) -> str:
    with contextlib.suppress(OSError):
        return "".join(tail(log, _LINES_SHOWN, follow=False)).rstrip("\n")
    return ""
