"""The commands, as far as they go without a running platform."""

import json

import pytest
from typer.testing import CliRunner

from headwater import __version__
from headwater.cli.home import Home
from headwater.cli.main import app


@pytest.fixture
def command(tmp_path):
    def invoke(name, *arguments, **options):
        return CliRunner().invoke(app, [name, "--home", str(tmp_path / "home"), *arguments], **options)

    return invoke


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def test_version():
    assert CliRunner().invoke(app, ["version"]).stdout.startswith(f"headwater {__version__} (Python ")


def test_every_command_says_what_it_does():
    said = CliRunner().invoke(app, ["--help"]).stdout
    for name in ("up", "down", "status", "doctor", "kubeconfig", "token", "logs", "reset", "version", "demo"):
        [line] = [line for line in said.splitlines() if line.split()[:1] == [name]]
        assert len(line.split()) > 3, line


def test_no_command_shows_the_commands():
    assert "Commands" in CliRunner().invoke(app, []).output


def test_status_of_nothing(command, home):
    text = command("status")
    assert (text.exit_code, text.stdout) == (3, "Headwater is not running.\n")
    answer = command("status", "-o", "json")
    assert answer.exit_code == 3
    assert json.loads(answer.stdout) == {"running": False, "starting": False, "home": str(home.path)}


def test_two_servers_cannot_share_a_port(command):
    done = command("up", "--gateway-port", "18080", "--api-port", "18080")
    assert done.exit_code == 1
    assert done.stderr == "headwater: The gateway and the Kubernetes API need two different ports.\n"


@pytest.mark.parametrize("name", ["kubeconfig", "token", "logs"])
def test_before_the_first_start_commands_say_how_to_start(command, name):
    done = command(name)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("headwater: There ")
    assert "`headwater up`" in done.stderr


def test_logs_prints_the_last_lines(command, home):
    home.create()
    home.log.write_text("one\ntwo\nthree\n")
    assert command("logs", "-n", "2").stdout == "two\nthree\n"


def test_kubeconfig_as_it_is_or_its_path(command, home):
    home.create()
    home.kubeconfig.write_text("apiVersion: v1\n")
    assert command("kubeconfig").stdout == "apiVersion: v1\n"
    assert command("kubeconfig", "--path").stdout == f"{home.kubeconfig}\n"


def test_reset_asks_and_leaves_what_is_not_its_own(command, home):
    assert "There is nothing" in command("reset").stdout
    home.path.mkdir()
    (home.path / "thesis.txt").write_text("years of work")
    assert command("reset", "--yes").exit_code == 1
    assert (home.path / "thesis.txt").exists()
    home.create()
    home.log.write_text("")
    assert command("reset", input="n\n").exit_code == 1
    assert home.path.exists()
    assert command("reset", input="y\n").exit_code == 0
    assert not home.path.exists()
