"""Where the node keeps what: one directory for each pod, named by its uid, and what they share.

::

    <home>/node/pods/<uid>/              pod.json, spec.json, state.json, shim.sock, shim.log
    <home>/node/pods/<uid>/volumes/<name>/
    <home>/node/pods/<uid>/containers/<name>/<attempt>/   log, root/, termination
    <home>/node/environments/<key>/      Python environments, by content
    <home>/config/images.yaml            the image map, written by people
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ID_BASE = 0x70000000
"""The first host user id of the ranges that namespaces get when the platform is started by root. Above what
``/etc/subuid``, systemd's containers and dynamic users take."""
ID_RANGE = 65536


def has_id_ranges(owner: int | None = None, table: Path = Path("/proc/self/uid_map")) -> bool:
    """Tell whether this process may give pods user ids of their own: root may, where the ids are there to be given.

    In a container that an ordinary user started, root is that user, and only few ids exist (user_namespaces(7)).
    """
    if (os.getuid() if owner is None else owner) != 0:
        return False
    try:
        rows = [tuple(map(int, line.split())) for line in table.read_text().splitlines()]
    except OSError:
        return True
    return any(first <= ID_BASE < first + count for first, _, count in rows)


@dataclass(frozen=True, slots=True)
class PodDirectory:
    """One pod's files."""

    path: Path

    @property
    def uid(self) -> str:
        """The pod's uid."""
        return self.path.name

    @property
    def pod(self) -> Path:
        """The Pod object as it was when its containers were started."""
        return self.path / "pod.json"

    @property
    def spec(self) -> Path:
        """What the shim was told at its start."""
        return self.path / "spec.json"

    @property
    def state(self) -> Path:
        """What the shim last recorded."""
        return self.path / "state.json"

    @property
    def volumes(self) -> Path:
        """The pod's own volumes, each under its name."""
        return self.path / "volumes"

    def container(self, name: str, attempt: int) -> Path:
        """Return the directory of one start of a container."""
        return self.path / "containers" / name / str(attempt)

    def log(self, name: str, attempt: int) -> Path:
        """Return the log of one start of a container."""
        return self.container(name, attempt) / "log"

    def attempts(self, name: str) -> list[int]:
        """Return the starts of a container that left a directory, oldest first."""
        try:
            names = os.listdir(self.path / "containers" / name)
        except OSError:
            return []
        return sorted(int(entry) for entry in names if entry.isdigit())


@dataclass(frozen=True, slots=True)
class Layout:
    """The node's part of the platform's home."""

    home: Path

    @property
    def root(self) -> Path:
        """Everything of the node but its configuration."""
        return self.home / "node"

    @property
    def pods(self) -> Path:
        """The pods' directories."""
        return self.root / "pods"

    @property
    def environments(self) -> Path:
        """The Python environments."""
        return self.root / "environments"

    @property
    def image_map(self) -> Path:
        """The file in which people say what an image name stands for."""
        return self.home / "config" / "images.yaml"

    def pod(self, uid: str) -> PodDirectory:
        """Return the place of one pod's files."""
        return PodDirectory(self.pods / uid)

    def create(self) -> None:
        """Make the directories, readable by nobody else. Raises ``OSError``."""
        for directory in (self.root, self.pods, self.environments):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)


def write_json(path: Path, value: Any, mode: int = 0o600) -> None:
    """Replace a small file, whole or not at all. Raises ``OSError``."""
    temporary = path.with_name(f"{path.name}.tmp")
    fd = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "w") as file:
        json.dump(value, file, separators=(",", ":"))
    temporary.rename(path)
