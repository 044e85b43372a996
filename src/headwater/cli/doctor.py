"""What this machine offers to the platform, and what to do about what it does not."""

import shutil
import socket
import sqlite3
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from headwater.cli.home import Home

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
    return [_python(), _sqlite(), _home(home.path), _space(home.path), *_ports(home), _isolation(), _uv(), _kubectl()]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", Verdict.OK, f"{version} at {sys.executable}")


def _sqlite() -> Finding:
    if sqlite3.sqlite_version_info < (3, 35):
        return Finding(
            "SQLite",
            Verdict.FAIL,
            f"{sqlite3.sqlite_version} is too old",
            "Use a Python built with SQLite 3.35 or newer.",
        )
    return Finding("SQLite", Verdict.OK, sqlite3.sqlite_version)


def _home(path: Path) -> Finding:
    existing = path
    while not existing.exists():
        existing = existing.parent
    import os

    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding("Data", Verdict.FAIL, f"{existing} is not writable", "Choose another directory with --home.")
    if path.exists() and path.stat().st_mode & 0o077:
        return Finding("Data", Verdict.WARN, f"{path} is open to other users", f"chmod 700 {path}")
    return Finding("Data", Verdict.OK, f"{path}{'' if path.exists() else ' (will be created)'}")


def _space(path: Path) -> Finding:
    existing = path
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
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
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                findings.append(Finding("Port", Verdict.OK, f"{port} is free"))
            except OSError as error:
                remedy = f"Start with `headwater up {option} PORT`."
                findings.append(Finding("Port", Verdict.WARN, f"{port}: {error.strerror}", remedy))
    return findings


def _isolation() -> Finding:
    from headwater.cluster.node import probe

    tier = probe()
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
