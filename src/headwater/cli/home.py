"""The data directory: what lies where, and which running platform it belongs to.

Everything that Headwater keeps is below one directory, readable by its owner only, so that a backup is a copy
and a reset is a removal. The process that runs the platform holds a lock on ``run/lock`` for as long as it
lives; the kernel lets go of it whatever way that process ends, so a stale pid file cannot mislead anybody.
"""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

DEFAULT_GATEWAY_PORT = 8080
DEFAULT_API_PORT = 6443
_LOCK_ATTEMPTS = 10
_LOCK_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Running:
    """What a running platform says of itself, written when it is ready."""

    pid: int
    version: str
    gateway_url: str
    api_url: str
    kubeconfig: str
    isolation: str
    """``sandboxed`` or ``plain``."""
    isolation_reason: str
    started_at: str
    """RFC 3339."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the two servers listen."""

    gateway: int
    api: int


@dataclass(frozen=True, slots=True)
class Home:
    """The layout of the data directory."""

    path: Path

    @classmethod
    def of(cls, directory: Path | None) -> "Home":
        """Return the home that was named, or the one of ``HEADWATER_HOME``, or ``~/.headwater``."""
        chosen = directory or Path(os.environ.get("HEADWATER_HOME") or Path.home() / ".headwater")
        return cls(chosen.expanduser().absolute())

    @property
    def store(self) -> Path:
        """The embedded cluster's objects."""
        return self.path / "cluster" / "store.db"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.path / "cluster" / "pki"

    @property
    def database(self) -> Path:
        """The rooms' records."""
        return self.path / "headwater.db"

    @property
    def artifacts(self) -> Path:
        """The object store's root."""
        return self.path / "artifacts"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.path / "kubeconfig"

    @property
    def log(self) -> Path:
        """The platform's own log."""
        return self.path / "logs" / "headwater.log"

    @property
    def demo(self) -> Path:
        """The environment that the demo's SDK lives in."""
        return self.path / "demo"

    @property
    def _run(self) -> Path:
        return self.path / "run"

    @property
    def _state(self) -> Path:
        return self._run / "platform.json"

    @property
    def _ports(self) -> Path:
        return self.path / "ports.json"

    def create(self) -> None:
        """Make the directory and its fixed parts, closed to everybody else. Raises ``OSError``."""
        for directory in (self.path, self._run, self.log.parent, self.store.parent, self.artifacts):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def lock(self) -> int | None:
        """Take the lock of the running platform for this process; None when another process holds it.

        Returns a file descriptor that must stay open.
        """
        descriptor = os.open(self._run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for attempt in range(_LOCK_ATTEMPTS):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # Somebody who only looks (``owner``) holds it for an instant; a platform keeps it.
                if attempt == _LOCK_ATTEMPTS - 1:
                    os.close(descriptor)
                    return None
                time.sleep(_LOCK_PAUSE)
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        return descriptor

    def owner(self) -> int | None:
        """Return the pid of the process that holds the lock, ready or not; None when nobody does."""
        path = self._run / "lock"
        if not path.exists():
            return None
        for _ in range(_LOCK_ATTEMPTS):
            with path.open("r+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    if pid := file.read():
                        return int(pid)
                else:
                    return None
            time.sleep(_LOCK_PAUSE)  # it has the lock and has not said yet who it is
        raise BlockingIOError(f"{path} is held by a process that does not say which it is")

    def running(self) -> Running | None:
        """Return what the running platform wrote of itself; None when it is not running or not yet ready."""
        pid = self.owner()
        if pid is None:
            return None
        try:
            state = Running(**json.loads(self._state.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return state if state.pid == pid else None

    def write_running(self, state: Running) -> None:
        """Publish that the platform is ready."""
        self._replace(self._state, asdict(state))

    def ports(self) -> Ports:
        """Return the ports of the last start, so that a restart finds its clients where they are."""
        try:
            return Ports(**json.loads(self._ports.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return Ports(DEFAULT_GATEWAY_PORT, DEFAULT_API_PORT)

    def write_ports(self, ports: Ports) -> None:
        """Remember the ports for the next start."""
        self._replace(self._ports, asdict(ports))

    def _replace(self, path: Path, value: dict[str, object]) -> None:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(value))
        temporary.replace(path)
