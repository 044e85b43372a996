"""What a pod's shim remembers on disk: the state of every container, whole or not at all."""

import fcntl
import json
import os
from typing import Any

STATE = "state.json"
SPEC = "spec.json"
SOCKET = "shim.sock"
VERSION = 1


def lock() -> int:
    """Be the only shim of the current directory for as long as this process lives. Raises ``BlockingIOError``."""
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def write_state(state: dict[str, Any], *, durable: bool) -> None:
    """Replace the state file in the current directory; with ``durable`` it is on disk on return.

    Raises ``OSError``; the former state is then still there.
    """
    temporary = f"{STATE}.tmp"
    fd = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, json.dumps(state, separators=(",", ":")).encode())
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, STATE)
    if durable:
        directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def read_json(path: str) -> dict[str, Any]:
    """Read one of the files above. Raises ``OSError`` and ``ValueError``."""
    with open(path, "rb") as file:
        value = json.loads(file.read())
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no object")
    return value
