"""The data directory: its place, its lock, and what a running platform leaves in it."""

import fcntl
import os
import threading
from pathlib import Path

import pytest

from headwater.cli.home import DEFAULT_API_PORT, DEFAULT_GATEWAY_PORT, Home, Ports, Running


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    return made


def running(pid: int) -> Running:
    return Running(
        pid=pid,
        version="1.2.3",
        gateway_url="http://127.0.0.1:8080",
        api_url="https://127.0.0.1:6443",
        kubeconfig="/somewhere/kubeconfig",
        isolation="plain",
        isolation_reason="no user namespaces",
        started_at="2026-05-01T12:00:00Z",
    )


def test_the_option_goes_before_the_variable_and_that_before_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("HEADWATER_HOME", raising=False)
    assert Home.of(None).path == tmp_path / ".headwater"
    monkeypatch.setenv("HEADWATER_HOME", "~/elsewhere")
    assert Home.of(None).path == tmp_path / "elsewhere"
    assert Home.of(Path("/named")).path == Path("/named")


def test_a_relative_home_is_where_the_command_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Home.of(Path("here")).path == tmp_path / "here"


def test_nobody_else_can_look_into_it(home):
    for directory in (home.path, home.log.parent, home.store.parent, home.artifacts):
        assert directory.stat().st_mode & 0o077 == 0, directory
    home.create()  # a second start finds it there


def test_only_one_process_has_the_lock(home):
    held = home.lock()
    assert held is not None
    assert home.lock() is None
    assert home.owner() == os.getpid()
    os.close(held)
    assert home.owner() is None
    again = home.lock()
    assert again is not None
    os.close(again)


def test_a_home_that_was_never_started_has_no_owner(tmp_path, home):
    assert Home(tmp_path / "nothing").owner() is None
    assert home.owner() is None


def test_a_pid_that_was_left_behind_owns_nothing(home):
    (home.path / "run" / "lock").write_text("1")
    assert home.owner() is None
    assert home.running() is None


def test_an_owner_that_has_only_just_begun_is_waited_for(home):
    lock = home.path / "run" / "lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        told = threading.Timer(0.03, lambda: lock.write_text("4711"))
        told.start()
        assert home.owner() == 4711
        told.join()


def test_a_holder_that_never_says_who_it_is_is_an_error_and_not_pid_0(home):
    with (home.path / "run" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="does not say which it is"):
            home.owner()


def test_running_is_what_the_holder_of_the_lock_wrote(home):
    home.write_running(running(os.getpid()))
    assert home.running() is None, "nobody holds the lock"
    held = home.lock()
    assert held is not None
    assert home.running() == running(os.getpid())
    home.write_running(running(os.getpid() + 1))
    assert home.running() is None, "what an earlier platform wrote"
    os.close(held)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"gateway": 1, "api": 2, "more": 3}'])
def test_damaged_notes_are_as_good_as_none(home, text):
    held = home.lock()
    assert held is not None
    (home.path / "run" / "platform.json").write_text(text)
    (home.path / "ports.json").write_text(text)
    assert home.running() is None
    assert home.ports() == Ports(DEFAULT_GATEWAY_PORT, DEFAULT_API_PORT)
    os.close(held)


def test_ports_are_remembered(home):
    assert home.ports() == Ports(DEFAULT_GATEWAY_PORT, DEFAULT_API_PORT)
    home.write_ports(Ports(18080, 16443))
    assert home.ports() == Ports(18080, 16443)
    assert not list(home.path.rglob("*.tmp"))
