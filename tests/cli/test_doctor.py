"""What the doctor finds, and that each thing that is amiss comes with what to do about it."""

import os
import socket
from pathlib import Path

import pytest

from headwater.cli.doctor import Finding, Verdict, examine, judge_isolation, judge_space, judge_sqlite
from headwater.cli.home import Home, Ports
from headwater.cluster.node import Tier


def found(home: Home, subject: str) -> list[Finding]:
    return [finding for finding in examine(home) if finding.subject == subject]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_a_fresh_machine_and_nothing_is_written(home):
    subjects = {finding.subject for finding in examine(home)}
    assert {"Python", "SQLite", "Data", "Disk", "Isolation", "uv", "kubectl"} <= subjects
    assert not home.path.exists()
    [data] = found(home, "Data")
    assert (data.verdict, data.text) == (Verdict.OK, f"{home.path} (will be created)")


def test_whatever_is_amiss_has_a_remedy(home, monkeypatch):
    monkeypatch.setenv("PATH", "")
    for finding in examine(home):
        assert finding.verdict is Verdict.OK or finding.remedy, finding
    [kubectl] = found(home, "kubectl")
    assert kubectl.verdict is Verdict.WARN


def test_a_home_that_others_can_read(home):
    home.create()
    assert found(home, "Data") == [Finding("Data", Verdict.OK, str(home.path))]
    home.path.chmod(0o755)
    assert found(home, "Data") == [
        Finding("Data", Verdict.WARN, f"{home.path} is open to other users", f"chmod 700 {home.path}")
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_that_cannot_be_made(tmp_path):
    tmp_path.chmod(0o500)
    [data] = found(Home(tmp_path / "home"), "Data")
    assert data.is_fatal
    assert "--home" in data.remedy


def test_a_taken_port_says_with_which_option_to_choose_another(home):
    home.create()
    with socket.socket() as taken, socket.socket() as free:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free.bind(("127.0.0.1", 0))
        gateway, api = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        home.write_ports(Ports(gateway, api))
        findings = found(home, "Port")
    assert [finding.verdict for finding in findings] == [Verdict.WARN, Verdict.OK]
    assert str(gateway) in findings[0].text
    assert findings[0].remedy == "Start with `headwater up --gateway-port PORT`."


def test_the_ports_of_a_running_platform_are_its_own(home):
    home.create()
    held = home.lock()
    assert held is not None
    assert found(home, "Ports") == [Finding("Ports", Verdict.OK, "in use by the running platform")]
    assert found(home, "Port") == []
    os.close(held)


@pytest.mark.parametrize(
    ("free", "verdict"),
    [
        (0, Verdict.FAIL),
        (200 * 2**20 - 1, Verdict.FAIL),
        (200 * 2**20, Verdict.WARN),
        (5 * 2**30 - 1, Verdict.WARN),
        (5 * 2**30, Verdict.OK),
    ],
)
def test_space(free, verdict):
    finding = judge_space(free)
    assert finding.verdict is verdict
    assert bool(finding.remedy) is (verdict is not Verdict.OK)


@pytest.mark.parametrize(
    ("version", "fatal"), [((3, 34, 9), True), ((3, 35, 0), False), ((3, 46, 1), False), ((4, 0, 0), False)]
)
def test_sqlite(version, fatal):
    assert judge_sqlite(version).is_fatal is fatal


def test_isolation():
    assert judge_isolation(Tier("sandboxed")).verdict is Verdict.OK
    plain = judge_isolation(Tier("plain", "user namespaces are forbidden here"))
    assert plain.verdict is Verdict.WARN
    assert "user namespaces are forbidden here" in plain.text
    assert "sysctl" in plain.remedy
