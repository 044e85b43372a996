"""Files made of an API object's data, replaced as a whole: the layout of the kubelet's atomic writer.

Below a volume's directory the files stand in a time-stamped directory; ``..data`` links to it and each visible name
links through ``..data``. New content is a new directory and one rename of the link, so that a program that reads
several files never sees half of a change.
"""

import base64
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from headwater.kube.meta.objects import Object

DATA = "..data"


@dataclass(frozen=True, slots=True)
class File:
    """One projected file."""

    content: bytes
    mode: int = 0o644


Files = dict[str, File]


class ProjectionError(Exception):
    """A volume that cannot be filled: a key or an object that does not exist, a path that leads out of it."""


def object_files(
    data: Mapping[str, bytes], items: Sequence[Mapping[str, Any]] | None, mode: int, *, what: str, optional: bool
) -> Files:
    """Return the files for a config map's or a secret's data; ``items`` selects keys and names their paths."""
    if not items:
        return {_checked(key): File(value, mode) for key, value in data.items()}
    files: Files = {}
    for item in items:
        if item["key"] in data:
            files[_checked(item["path"])] = File(data[item["key"]], item.get("mode") or mode)
        elif not optional:
            raise ProjectionError(f"{what} has no key {item['key']!r}")
    return files


def data_of(obj: Object) -> dict[str, bytes]:
    """Return the decoded data of a ConfigMap or a Secret."""
    if obj.get("kind") == "Secret":
        return {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}
    found = {key: value.encode() for key, value in (obj.get("data") or {}).items()}
    return found | {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}


def write_files(directory: Path, files: Files, owner: int | None) -> bool:
    """Make the volume hold exactly these files; return whether anything changed.

    Raises ``OSError``, and ``ProjectionError`` for a file that would lie outside the volume: whoever writes a pod may
    name a path in many places, and this process may write anywhere.
    """
    for name in files:
        _checked(name)
    link = directory / DATA
    if link.is_symlink() and _same(link, files):
        return False
    number = 0
    while (fresh := directory / f"..{number}").exists():
        number += 1
    fresh.mkdir(mode=0o755)
    for name, file in files.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode)
    if owner is not None:
        _give(fresh, owner)
    former = link.readlink() if link.is_symlink() else None
    temporary = directory / "..data_tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(fresh.name)
    temporary.rename(link)
    tops = {PurePosixPath(name).parts[0] for name in files}
    for top in tops:
        if not (directory / top).is_symlink():
            (directory / top).symlink_to(f"{DATA}/{top}")
    for entry in directory.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()
    if former is not None and former.name != fresh.name:
        shutil.rmtree(directory / former, ignore_errors=True)
    return True


def _checked(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
        raise ProjectionError(f"invalid path {path!r}: it must be relative and stay inside the volume")
    return path


def _same(directory: Path, files: Files) -> bool:
    found = {str((Path(root) / name).relative_to(directory)) for root, _, names in os.walk(directory) for name in names}
    if found != set(files):
        return False
    return all((directory / name).read_bytes() == file.content for name, file in files.items())


def _give(directory: Path, owner: int) -> None:
    os.chown(directory, owner, owner)
    for root, directories, names in os.walk(directory):
        for name in (*directories, *names):
            os.chown(os.path.join(root, name), owner, owner)
