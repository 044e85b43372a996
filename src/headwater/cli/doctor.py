"""What this machine offers to the platform, and what to do about what it does not.

Looking is apart from judging: each ``judge_…`` turns a plain fact into a finding.
"""

import os
import shutil
import sqlite3
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from headwater.cli.daemon import port_problem
from headwater.cli.home import Home

if TYPE_CHECKING:
    from headwater.cluster.node import Tier

_SPACE_WARN = 5 * 2**30
_SPACE_FAIL = 200 * 2**20


class Verdict(Enum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    verdict: Verdict
    text: str
    remedy: str = ""

    @property
    def is_fatal(self) -> bool:
        """Whether the platform cannot work."""
        return self.verdict is Verdict.FAIL


def examine(home: Home) -> list[Finding]:
    """Look at everything that the platform depends on. Changes nothing."""
    from headwater.cluster.node import probe

    there = _nearest_existing(home.path)
    return [
        Finding("Python", Verdict.OK, f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}"),
        judge_sqlite(sqlite3.sqlite_version_info),
        _home(home.path, there),
        judge_space(shutil.disk_usage(there).free),
        *_ports(home),
        judge_isolation(probe()),
        _uv(),
        _kubectl(),
    ]


def _nearest_existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def judge_sqlite(version: tuple[int, ...]) -> Finding:
    """Judge the SQLite that this Python was built with."""
    text = ".".join(map(str, version))
    if version < (3, 35):
        remedy = "Use a Python built with SQLite 3.35 or newer."
        return Finding("SQLite", Verdict.FAIL, f"{text} is too old", remedy)
    return Finding("SQLite", Verdict.OK, text)


def _home(path: Path, there: Path) -> Finding:
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding("Data", Verdict.FAIL, f"{there} is not writable", "Choose another directory with --home.")
    if path.exists() and path.stat().st_mode & 0o077:
        return Finding("Data", Verdict.WARN, f"{path} is open to other users", f"chmod 700 {path}")
    return Finding("Data", Verdict.OK, f"{path}{'' if path.exists() else ' (will be created)'}")


def judge_space(free: int) -> Finding:
    """Judge the bytes that are left on the data directory's disk."""
    text = f"{free / 2**30:.1f} GiB free"
    if free < _SPACE_FAIL:
        return Finding("Disk", Verdict.FAIL, text, "Free some space, or choose another directory with --home.")
    if free < _SPACE_WARN:
        return Finding("Disk", Verdict.WARN, text, "Environments with large frameworks take several GiB.")
    return Finding("Disk", Verdict.OK, text)


def _ports(home: Home) -> list[Finding]:
    if home.owner() is not None:
        return [Finding("Ports", Verdict.OK, "in use by the running platform")]
    last = home.ports()
    findings = []
    for port, option in ((last.gateway, "--gateway-port"), (last.api, "--api-port")):
        problem = port_problem(port)
        if problem is None:
            findings.append(Finding("Port", Verdict.OK, f"{port} is free"))
        else:
            remedy = f"Start with `headwater up {option} PORT`."
            findings.append(Finding("Port", Verdict.WARN, f"{port}: {problem.strerror}", remedy))
    return findings


def judge_isolation(tier: "Tier") -> Finding:
    """Judge how far pods can be kept apart."""
    if tier.name == "sandboxed":
        return Finding("Isolation", Verdict.OK, "sandboxed: pods have their own files, processes and host name")
    remedy = (
        "Pods run as plain processes of this user and can read one another's files: fine for one person. "
        "To isolate them, allow user namespaces (on Ubuntu 24.04 or newer: "
        "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`; in Docker: `--security-opt seccomp=unconfined`)."
    )
    return Finding("Isolation", Verdict.WARN, f"plain: {tier.reason}", remedy)


def _uv() -> Finding:
    from uv import find_uv_bin

    try:
        return Finding("uv", Verdict.OK, find_uv_bin())
    except FileNotFoundError:
        return Finding("uv", Verdict.FAIL, "not found", "Reinstall Headwater: pip install --force-reinstall uv.")


def _kubectl() -> Finding:
    found = shutil.which("kubectl")
    if found:
        return Finding("kubectl", Verdict.OK, found)
    return Finding("kubectl", Verdict.WARN, "not found", "Only needed to look at objects from the command line.")
