"""One column of a table, the way ages are written, and the JSON paths that custom resources name columns by.

Ages are those of ``k8s.io/apimachinery/pkg/util/duration.HumanDuration``; the JSON paths are the part of kubectl's
language that printer columns may use: fields, quoted fields, indexes, ``[*]`` and filters ``[?(@.a=="b")]``.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from headwater.cluster.apiserver.registry import Column as CustomColumn
from headwater.kube.meta.objects import Object, name_of
from headwater.kube.meta.time import parse_time

Cell = str | int | float | bool | None

NONE = "<none>"
UNKNOWN = "<unknown>"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its definition as clients see it, and what an object shows in it at a time."""

    name: str
    cell: Callable[[Object, datetime], Cell]
    description: str = ""
    type: str = "string"
    format: str = ""
    priority: int = 0
    """0 is shown always, 1 with ``-o wide``."""

    @property
    def definition(self) -> Object:
        """The column as ``TableColumnDefinition``."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


def plain(cell: Callable[[Object], Cell]) -> Callable[[Object, datetime], Cell]:
    """Make a cell of a function that needs no time."""
    return lambda obj, now: cell(obj)


def age(text: str | None, now: datetime) -> str:
    """Write how long ago a time is, ``<unknown>`` when there is none."""
    if not text:
        return UNKNOWN
    try:
        return human_duration((now - parse_time(text)).total_seconds())
    except ValueError:
        return UNKNOWN


def human_duration(seconds: float) -> str:
    """Write a duration with the precision that matters at its size: ``45s``, ``3m12s``, ``5h``, ``12d``, ``2y30d``."""
    if seconds < -1:
        return "<invalid>"
    total = max(int(seconds), 0)
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return f"{minutes}m{total % 60}s" if total % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 365 * 2:
        return f"{days}d"
    if days < 365 * 8:
        return f"{days // 365}y{days % 365}d" if days % 365 else f"{days // 365}y"
    return f"{days // 365}y"


NAME = Column("Name", plain(name_of), "Name must be unique within a namespace.", format="name")
AGE = Column(
    "Age",
    lambda obj, now: age(obj.get("metadata", {}).get("creationTimestamp"), now),
    "The time since the object was created.",
)
CREATED_AT = Column(
    "Created At",
    plain(lambda obj: obj.get("metadata", {}).get("creationTimestamp") or ""),
    "When the object was created.",
)


def custom_columns(columns: tuple[CustomColumn, ...]) -> tuple[Column, ...]:
    """Return the columns of a custom resource: its printer columns, or its age when it names none."""
    if not columns:
        return (NAME, AGE)
    return (NAME, *(_custom(column) for column in columns))


def _custom(column: CustomColumn) -> Column:
    steps = parse_path(column.json_path)

    def cell(obj: Object, now: datetime) -> Cell:
        found = list(_walk(obj, steps))
        if not found:
            return None
        value = found[0]
        if column.type == "date":
            return age(value if isinstance(value, str) else None, now)
        if column.type == "string" and len(found) > 1:
            return ",".join(_text(item) for item in found)
        if isinstance(value, dict | list):
            return _text(value)
        shown: Cell = value
        return shown

    kind = "string" if column.type == "date" else column.type
    return Column(column.name, cell, column.description, kind, column.format, column.priority)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    import orjson

    return orjson.dumps(value).decode()


Step = tuple[str, str, str]
"""``field``, ``index``, ``all`` or ``filter``, with a name, and a value for a filter."""

_STEP = re.compile(
    r"""\.?\[\s*\?\(\s*@\.(?P<key>[\w.\\/-]+)\s*==\s*(?P<quote>['"])(?P<value>.*?)(?P=quote)\s*\)\s*\]"""
    r"""|\.?\[\s*(?P<mark>['"])(?P<quoted>.*?)(?P=mark)\s*\]"""
    r"""|\.?\[\s*(?P<index>-?\d+)\s*\]"""
    r"""|(?P<all>\.?\[\s*\*\s*\]|\.\*)"""
    r"""|\.?(?P<field>(?:\\.|[^.\[\]\\])+)"""
)


@lru_cache(maxsize=1024)
def parse_path(text: str) -> tuple[Step, ...]:
    """Read a JSON path. One that cannot be read selects nothing."""
    text = text.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    steps: list[Step] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            return (("index", "none", ""),)
        position = match.end()
        if match["key"] is not None:
            steps.append(("filter", match["key"], match["value"]))
        elif match["quoted"] is not None:
            steps.append(("field", match["quoted"], ""))
        elif match["index"] is not None:
            steps.append(("index", match["index"], ""))
        elif match["all"] is not None:
            steps.append(("all", "", ""))
        else:
            steps.append(("field", re.sub(r"\\(.)", r"\1", match["field"]), ""))
    return tuple(steps)


def _walk(value: Any, steps: tuple[Step, ...]) -> Iterator[Any]:
    if not steps:
        if value is not None:
            yield value
        return
    (kind, name, wanted), rest = steps[0], steps[1:]
    if kind == "field" and isinstance(value, dict):
        if name in value:
            yield from _walk(value[name], rest)
    elif kind == "index" and isinstance(value, list):
        try:
            item = value[int(name)]
        except (IndexError, ValueError):
            return
        yield from _walk(item, rest)
    elif kind == "all" and isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _walk(item, rest)
    elif kind == "filter" and isinstance(value, list):
        inner = parse_path("." + name)
        for item in value:
            if any(_text(found) == wanted for found in _walk(item, inner)):
                yield from _walk(item, rest)
