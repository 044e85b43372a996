"""Starting and stopping: ports, the line that a starting process writes, and the end of one."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from headwater.cli import daemon
from headwater.cli.daemon import DaemonError, FirstLogin
from headwater.cli.home import Home

HOLD_LOCK = """
import sys, time
from pathlib import Path
from headwater.cli.home import Home
held = Home(Path(sys.argv[1])).lock()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    return made


def test_a_free_port_is_no_problem():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    daemon.check_port(port, "--gateway-port")
    daemon.check_port(port, "--gateway-port")  # looking does not take it


def test_a_taken_port_is_one_sentence_with_the_option():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DaemonError) as refused:
            daemon.check_port(port, "--api-port")
    assert str(refused.value) == f"Port {port} is taken by another program; choose a free one with --api-port."


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use any port")
def test_a_port_that_is_not_for_this_user():
    with pytest.raises(DaemonError, match="Port 1 cannot be used"):
        daemon.check_port(1, "--api-port")


def ready(home: Home, written: bytes, *, end: bool = True, program: str = "pass") -> FirstLogin | None:
    read_end, write_end = os.pipe()
    process = subprocess.Popen([sys.executable, "-S", "-c", program])
    try:
        os.write(write_end, written)
        if end:
            os.close(write_end)
        return daemon.read_ready(read_end, process, home)
    finally:
        os.close(read_end)
        if not end:
            os.close(write_end)
        process.wait()


def test_ready_with_and_without_a_first_login(home):
    login = {"login": {"user": "admin", "password": "secret"}}
    assert ready(home, json.dumps(login).encode() + b"\n") == FirstLogin("admin", "secret")
    assert ready(home, b'{"login": null}\n') is None


def test_a_start_that_fails_says_why(home):
    with pytest.raises(DaemonError, match=r"^The disk is full\.$"):
        ready(home, b'{"error": "The disk is full."}\n')


@pytest.mark.parametrize(("log", "shown"), [("".join(f"line {n}\n" for n in range(20)), "line 12\n"), (None, "")])
def test_a_start_that_dies_shows_the_end_of_its_log(home, log, shown):
    if log is not None:
        home.log.write_text(log)
    with pytest.raises(DaemonError) as died:
        ready(home, b"")
    text = str(died.value)
    assert f"ended while it started; its log, {home.log}, ends:\n{shown}" in text
    assert "line 11" not in text


def test_a_start_that_takes_too_long_is_ended(home, monkeypatch):
    monkeypatch.setattr(daemon, "START_TIMEOUT", 0.01)
    with pytest.raises(DaemonError, match="was not ready after"):
        ready(home, b"half a li", end=False, program="import time; time.sleep(60)")


def test_stop_of_nothing(home):
    assert daemon.stop(home) is False


def test_stop_waits_until_the_lock_is_free(home):
    holder = subprocess.Popen([sys.executable, "-c", HOLD_LOCK, home.path], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert home.owner() == holder.pid
    assert daemon.stop(home) is True
    assert home.owner() is None
    assert holder.wait() == -signal.SIGTERM
    holder.stdout.close()


def test_one_that_does_not_stop_is_named(home, monkeypatch):
    monkeypatch.setattr(daemon, "STOP_TIMEOUT", 0.05)
    program = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + HOLD_LOCK
    holder = subprocess.Popen([sys.executable, "-c", program, home.path], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        with pytest.raises(DaemonError, match=f"pid {holder.pid}"):
            daemon.stop(home)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_memory_of_a_process():
    memory = daemon.resident_bytes(os.getpid())
    assert memory is not None
    assert memory > 1 << 20
    gone = subprocess.Popen([sys.executable, "-S", "-c", "pass"])
    gone.wait()
    assert daemon.resident_bytes(gone.pid) is None
