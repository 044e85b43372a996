"""The command line as a newcomer meets it."""

import json
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from headwater import __version__


def test_first_start_says_all_that_is_needed_once(stopped):
    said = stopped.up()
    assert stopped.gateway_url in said
    assert "admin" in said
    assert "Password" in said
    assert str(stopped.home / "kubeconfig") in said

    stopped.run("down")
    again = stopped.up()
    assert stopped.gateway_url in again
    assert "Password" not in again


def test_a_second_up_says_that_it_is_running(running):
    said = running.run("up").stdout
    assert "already running" in said
    assert running.gateway_url in said


def test_the_password_is_in_no_log(stopped):
    said = stopped.up()
    password = next(line.split()[1] for line in said.splitlines() if "Password" in line)
    stopped.run("down")
    for path in stopped.home.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert password.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("option", ["--gateway-port", "--api-port"])
def test_a_taken_port_is_one_sentence(stopped, option):
    ports = {"--gateway-port": stopped.gateway_port, "--api-port": stopped.api_port}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[option]))
        taken.listen()
        arguments = [text for name, port in ports.items() for text in (name, str(port))]
        done = stopped.run("up", *arguments, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"headwater: Port {ports[option]} is taken by another program; choose a free one with {option}.\n"
    )


def test_status_as_text_and_json(running):
    said = running.status()
    assert said["running"] is True
    assert said["version"] == __version__
    assert said["gatewayURL"] == running.gateway_url
    assert said["kubeconfig"] == str(running.home / "kubeconfig")
    assert said["isolation"] in ("sandboxed", "plain")
    assert said["memoryBytes"] > 0
    os.kill(said["pid"], 0)
    text = running.run("status").stdout
    assert running.gateway_url in text
    assert "MiB" in text


def test_status_of_nothing(stopped):
    done = stopped.run("status", check=False)
    assert (done.returncode, done.stdout) == (3, "Headwater is not running.\n")
    assert json.loads(stopped.run("status", "-o", "json", check=False).stdout)["running"] is False
    assert stopped.run("down").stdout == "Headwater is not running.\n"


def test_commands_before_the_first_start_say_what_to_do(stopped):
    for command in ("kubeconfig", "token", "logs"):
        done = stopped.run(command, check=False)
        assert done.returncode == 1
        assert "headwater up" in done.stderr


def test_kubeconfig_works_with_kubectl(running):
    path = Path(running.run("kubeconfig", "--path").stdout.strip())
    assert path.stat().st_mode & 0o077 == 0
    assert running.run("kubeconfig").stdout == path.read_text()
    assert "default" in running.kubectl("get", "namespaces").stdout


def test_a_token_for_an_unknown_user_is_refused(running):
    done = running.run("token", "--user", "nobody", check=False)
    assert done.returncode == 1
    assert "nobody" in done.stderr


def sign_in(gateway_url: str, password: str) -> str:
    """Sign in as the administrator, as the page's form does; return where it leads."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(f"{gateway_url}/login") as page:
        fields = dict(re.findall(r'name="(form|next)" value="([^"]*)"', page.read().decode()))
    form = urllib.parse.urlencode({**fields, "username": "admin", "password": password}).encode()
    try:
        with browser.open(f"{gateway_url}/login", form) as answer:
            return answer.url
    except urllib.error.HTTPError as error:
        return error.url


def test_a_lost_password_is_replaced(stopped):
    said = stopped.up()
    old = next(line.split()[1] for line in said.splitlines() if "Password" in line)
    assert sign_in(stopped.gateway_url, old).endswith("/ns/default/")
    assert stopped.run("user", "list").stdout == "admin\n"
    new = stopped.run("user", "passwd").stdout.strip()
    assert sign_in(stopped.gateway_url, old).endswith("/login")
    assert sign_in(stopped.gateway_url, new).endswith("/ns/default/")
    refused = stopped.run("user", "passwd", "nobody", check=False)
    assert refused.returncode == 1
    assert "nobody" in refused.stderr


def test_doctor_finds_nothing_fatal(running):
    said = running.run("doctor").stdout
    for subject in ("Python", "SQLite", "Disk", "Isolation", "uv"):
        assert subject in said
    assert "FAIL" not in said


def test_logs_follow_from_the_end(running):
    said = running.run("logs", "-n", "5").stdout
    assert 0 < len(said.splitlines()) <= 5


def test_version_takes_no_data_directory(running):
    assert running.run("version", check=False).returncode == 2


def test_reset_asks_and_then_leaves_nothing(stopped):
    stopped.up()
    refused = stopped.run("reset", input="n\n", check=False)
    assert refused.returncode == 1
    assert stopped.home.exists()
    assert str(stopped.home) in refused.stdout
    stopped.run("reset", input="y\n")
    assert not stopped.home.exists()
    assert stopped.processes() == []


def test_reset_does_not_touch_a_directory_that_is_not_its_own(stopped):
    stopped.home.mkdir()
    (stopped.home / "thesis.txt").write_text("years of work")
    done = stopped.run("reset", "--yes", check=False)
    assert done.returncode == 1
    assert (stopped.home / "thesis.txt").read_text() == "years of work"


def test_up_after_the_control_plane_was_killed(stopped):
    stopped.up()
    os.kill(stopped.status()["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while stopped.status()["running"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert stopped.gateway_url in stopped.up()
    stopped.run("down")
    assert stopped.processes() == []
