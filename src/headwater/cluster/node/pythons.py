"""Which Python interpreters this machine has."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

Version = tuple[int, int]

_NAME = re.compile(r"python(3)\.(\d+)")
OLDEST: Version = (3, 8)
"""The oldest version that uv makes environments for."""


def find_pythons(search: str | None = None) -> dict[Version, Path]:
    """Return one interpreter for each minor version: the platform's own first, then ``PATH``, pyenv, uv, system."""
    directories = [Path(sys.base_prefix) / "bin"]
    directories += [
        Path(entry) for entry in (os.environ.get("PATH", "") if search is None else search).split(":") if entry
    ]
    home = Path.home()
    directories += sorted((home / ".pyenv/versions").glob("*/bin"), key=_by_number, reverse=True)
    directories += sorted((home / ".local/share/uv/python").glob("*/bin"), key=_by_number, reverse=True)
    directories += [Path("/usr/local/bin"), Path("/usr/bin")]
    found: dict[Version, Path] = {}
    for directory in dict.fromkeys(directories):
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        for name in names:
            match = _NAME.fullmatch(name)
            if match is None:
                continue
            version = (int(match[1]), int(match[2]))
            if version >= OLDEST and version not in found and (real := _real(directory / name)):
                found[version] = real
    return found


def nearest(wanted: Version, available: Mapping[Version, Path]) -> Version | None:
    """Return the version to use instead of one that is not there: the next newer one, else the next older."""
    same = [version for version in available if version[0] == wanted[0]]
    newer = [version for version in same if version >= wanted]
    if newer:
        return min(newer)
    return max(same) if same else None


def prefix_of(interpreter: Path) -> Path:
    """Return the directory that holds an interpreter and its standard library."""
    return interpreter.parent.parent


def _real(path: Path) -> Path | None:
    """Return the program behind the name, unless it is a script (pyenv's shims) or inside somebody's environment."""
    try:
        real = path.resolve(strict=True)
        with real.open("rb") as file:
            if file.read(2) == b"#!":
                return None
    except OSError:
        return None
    return real if os.access(real, os.X_OK) else None


def _by_number(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", path.parent.name))
