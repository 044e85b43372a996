"""What an image name means on a machine without containers: the host's tools, or a Python environment.

Names of well-known images are understood as they are; anything else is looked up in the image map, a file that
people write. What neither knows fails as an image that cannot be pulled, with the lines to add.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from headwater.cluster.node.pythons import Version

DEFAULT_PYTHON: Version = (3, 12)

_SHELL_IMAGES = frozenset(
    {"busybox", "alpine", "bash", "debian", "ubuntu", "fedora", "centos", "rockylinux", "almalinux", "buildpack-deps"}
)
_PYTHON_TAG = re.compile(r"(\d+)(?:\.(\d+))?(?:\.\d+)?(?:[a-z]+\d+)?(?:-.*)?")


class ImageError(Exception):
    """An image name that this node cannot resolve; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Image:
    """What a name stands for."""

    kind: Literal["shell", "python"]
    python: Version = DEFAULT_PYTHON
    requirements: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    """What an image calls its entry point: run when the container has no command of its own."""
    arguments: tuple[str, ...] = ("sh",)
    """What an image calls its command: used when the container has neither a command nor arguments."""
    environment: tuple[tuple[str, str], ...] = ()
    working_directory: str = ""


class ImageMap:
    """The file ``images.yaml``; read again when it changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._entries: dict[str, Any] = {}

    def resolve(self, name: str) -> Image:
        """Return what the name stands for. Raises ``ImageError``."""
        entry = self._find(name)
        if entry is not None:
            return _from_entry(name, entry, self.path)
        image = well_known(name)
        if image is None:
            raise ImageError(
                f'image "{name}" is not known on this node, which runs processes, not containers. To say what it '
                f"stands for, add to {self.path}:\n\nimages:\n  {_quoted(name)}:\n"
                f'    python: "{DEFAULT_PYTHON[0]}.{DEFAULT_PYTHON[1]}"\n    requirements: []\n\n'
                "(or `shell: true` instead of the last two lines for a program of this machine)"
            )
        return image

    def _find(self, name: str) -> Any:
        self._read()
        repository, _ = split(name)
        for key in (name, repository):
            if key in self._entries:
                return self._entries[key]
        patterns = (key for key in self._entries if any(char in key for char in "*?["))
        return next((self._entries[key] for key in patterns if fnmatchcase(name, key)), None)

    def _read(self) -> None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._stamp, self._entries = None, {}
            return
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp == self._stamp:
            return
        import yaml

        try:
            document = yaml.safe_load(self.path.read_text())
        except yaml.YAMLError as error:
            raise ImageError(f"{self.path} is not valid YAML: {' '.join(str(error).split())}") from None
        entries = (document or {}).get("images") if isinstance(document or {}, dict) else None
        if entries is None:
            entries = {}
        if not isinstance(entries, dict):
            raise ImageError(f"{self.path}: `images` must map image names to what they stand for")
        self._stamp, self._entries = stamp, {str(key): value for key, value in entries.items()}


def split(name: str) -> tuple[str, str]:
    """Return an image's repository and its tag: ``docker.io/library/python:3.11@sha256:…`` is the pair of both."""
    name = name.partition("@")[0]
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{head}{slash}{last}", tag or "latest"


def well_known(name: str) -> Image | None:
    """Return what a well-known image stands for, or None."""
    repository, tag = split(name)
    head, _, last = repository.rpartition("/")
    if last in _SHELL_IMAGES:
        return Image("shell")
    if last == "python" and (not head or head.rpartition("/")[2] == "library"):
        return Image("python", python=_version_of_tag(tag), arguments=("python3",))
    return None


def _version_of_tag(tag: str) -> Version:
    match = _PYTHON_TAG.fullmatch(tag)
    if match is None:
        return DEFAULT_PYTHON
    if match[2] is None:
        return DEFAULT_PYTHON if match[1] == "3" else (int(match[1]), 0)
    return int(match[1]), int(match[2])


def _from_entry(name: str, entry: Any, path: Path) -> Image:
    def wrong(what: str) -> ImageError:
        return ImageError(f"{path}: images.{_quoted(name)}: {what}")

    if not isinstance(entry, Mapping):
        raise wrong('must be a mapping, such as {python: "3.12", requirements: [numpy]} or {shell: true}')
    known = {"python", "requirements", "shell", "command", "args", "env", "workingDir"}
    if unknown := sorted(str(key) for key in entry if key not in known):
        raise wrong(f"unknown key {unknown[0]!r} (known: {', '.join(sorted(known))})")
    command, arguments = _texts(entry, "command", wrong), _texts(entry, "args", wrong)
    variables = entry.get("env") or {}
    if not isinstance(variables, Mapping):
        raise wrong("env must map names to values")
    environment = tuple((str(key), str(value)) for key, value in variables.items())
    directory = str(entry.get("workingDir") or "")
    if entry.get("shell"):
        return Image(
            "shell", DEFAULT_PYTHON, (), command, arguments or (() if command else ("sh",)), environment, directory
        )
    version = re.fullmatch(r"(\d+)\.(\d+)", str(entry.get("python", "{}.{}".format(*DEFAULT_PYTHON))))
    if version is None:
        raise wrong(f'python must be a version in quotes, such as "3.12", not {entry["python"]!r}')
    return Image(
        "python",
        (int(version[1]), int(version[2])),
        _texts(entry, "requirements", wrong),
        command,
        arguments or (() if command else ("python3",)),
        environment,
        directory,
    )


def _texts(entry: Mapping[str, Any], key: str, wrong: Any) -> tuple[str, ...]:
    value = entry.get(key) or ()
    if not isinstance(value, list | tuple) or not all(isinstance(item, str | int | float) for item in value):
        raise wrong(f"{key} must be a list of texts")
    return tuple(str(item) for item in value)


def _quoted(name: str) -> str:
    return f'"{name}"' if re.search(r"[:@*\[\]{}#]", name) else name
