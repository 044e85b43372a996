"""How well pods can be isolated on this machine, found out by really isolating one."""

import os
import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from headwater.cluster.node.shim.wire import Channel


@dataclass(frozen=True, slots=True)
class Tier:
    """The level of isolation in force."""

    name: Literal["sandboxed", "plain"]
    """``sandboxed``: own mounts, processes, host name and IPC, no rights over the host. ``plain``: ordinary
    processes of the user who runs the platform."""
    reason: str = ""
    """Why it is no better; empty for the best."""

    @property
    def sandboxed(self) -> bool:
        """Tell whether pods have namespaces of their own."""
        return self.name == "sandboxed"


PLAIN = "HEADWATER_ISOLATION"
"""Set this variable to ``plain`` to do without sandboxes."""

_WITHIN = 10.0


def probe(wanted: str | None = None) -> Tier:
    """Run one process in a sandbox and look around in it; say what is possible and, if it is not, why.

    Takes about 50 ms. ``wanted`` is ``"plain"`` to do without, ``None`` to ask the environment variable above.
    """
    wanted = os.environ.get(PLAIN, "") if wanted is None else wanted
    if wanted == "plain":
        return Tier("plain", "asked for")
    if not sys.platform.startswith("linux"):
        return Tier("plain", f"{sys.platform} has no namespaces")
    directory = tempfile.mkdtemp(prefix="headwater-probe-")
    try:
        problem = _try(Path(directory))
    except OSError as error:
        problem = str(error)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return Tier("plain", in_words(problem, chrooted=_is_chrooted())) if problem else Tier("sandboxed")


def in_words(problem: str, *, chrooted: bool) -> str:
    """Say what the kernel's refusal means where that is known; unshare(2) lists the errors."""
    if chrooted:
        return f"this is a chroot, where the kernel makes no sandbox ({problem})"
    if "unshare: No space left on device" in problem:
        return "no more user namespaces are allowed here (see user.max_user_namespaces)"
    if "unshare: Operation not permitted" in problem:
        return "this system does not let this user make namespaces"
    return problem


def _is_chrooted() -> bool:
    """Tell whether nothing is mounted at the root directory, as in most chroots."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return False
    return not any(line.split()[4] == "/" for line in mounts)


def _try(directory: Path) -> str:
    """Run the base interpreter in a sandbox; return what went wrong, or nothing."""
    import json

    from headwater.cluster.node.layout import ID_BASE, has_id_ranges
    from headwater.cluster.node.zygote import spawn_zygote

    base = Path(sys.base_prefix)
    container = {
        "name": "probe",
        "attempt": 0,
        "argv": [str(Path(sys.executable).resolve()), "-I", "-S", "-c", "import os; os._exit(7)"],
        "env": {"PATH": os.defpath},
        "cwd": "/",
        "root": str(directory / "root"),
        "mounts": [{"source": str(base), "target": str(base), "read_only": True}],
        "log": str(directory / "log"),
        "termination_message": {"policy": "FallbackToLogsOnError"},
    }
    pod = {
        "uid": "probe",
        "hostname": "probe",
        "sandboxed": True,
        "id_base": ID_BASE if has_id_ranges() else None,
        "start": [container],
    }
    (directory / "spec.json").write_text(json.dumps(pod))
    ours, theirs = socket.socketpair()
    process, zygote = spawn_zygote(directory / "zygote.log")
    try:
        zygote.send({"directory": str(directory)}, [theirs.fileno()])
        theirs.close()
        ours.settimeout(_WITHIN)
        return _outcome(Channel(ours), directory)
    finally:
        ours.close()
        zygote.close()
        process.wait(_WITHIN)


def _outcome(shim: Channel, directory: Path) -> str:
    while True:
        messages = shim.receive()
        if messages is None:
            return _last_line(directory / "shim.log") or "the probe ended without an answer"
        for message in messages:
            state = message.get("containers", {}).get("probe", {})
            if state.get("phase") == "exited":
                shim.send({"type": "quit"})
                return "" if state.get("exit_code") == 7 else _why(state)


def _why(state: dict[str, object]) -> str:
    message = str(state.get("message") or f"a probe in a sandbox ended with exit code {state.get('exit_code')}")
    return " ".join(message.split())


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
