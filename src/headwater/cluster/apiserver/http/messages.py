"""The protobuf messages that are read: each kind's fields by number.

The numbers stand in ``messages.json``, which ``tools/protobuf_fields.py`` writes from the tags of Kubernetes' Go
types. The file is read at the first protobuf body, since many servers never see one.
"""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import headwater.cluster.apiserver.http as here

EMBEDDED = ""
"""The name of a field whose message is part of its parent in JSON."""


class Field(NamedTuple):
    """One field of a message."""

    name: str
    """In JSON; ``EMBEDDED`` when its own fields stand in its parent's place."""
    kind: str
    """A scalar, or the name of a message."""
    repeated: bool
    mapped: bool
    kept: bool
    """Whether its zero means something: a pointer in Go, or a field that is always written."""


@cache
def _tables() -> dict[str, dict[str, dict[str, tuple[str, str]] | str]]:
    assert here.__file__ is not None
    tables: dict[str, dict[str, dict[str, tuple[str, str]] | str]] = json.loads(
        Path(here.__file__).with_name("messages.json").read_bytes()
    )
    return tables


def message_of(api_version: str, kind: str) -> str | None:
    """Return the name of the message of a kind, or ``None`` when it is not read."""
    # Every group sends DeleteOptions under its own version.
    key = "v1 DeleteOptions" if kind == "DeleteOptions" else f"{api_version} {kind}"
    found = _tables()["kinds"].get(key)
    return found if isinstance(found, str) else None


@cache
def fields_of(message: str) -> dict[int, Field] | None:
    """Return a message's fields by number, or ``None`` for a scalar's name."""
    found = _tables()["messages"].get(message)
    if not isinstance(found, dict):
        return None
    return {int(number): _field(name, kind) for number, (name, kind) in found.items()}


def _field(name: str, kind: str) -> Field:
    bare = kind.removeprefix("*").removeprefix("[]").removeprefix("map:")
    return Field(name, bare, kind.startswith("[]"), kind.startswith("map:"), kind.startswith("*"))
