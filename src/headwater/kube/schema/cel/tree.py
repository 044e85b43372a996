"""The tree of an expression: what the parser makes, and what is checked and built from it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Node:
    """A part of an expression, and where it stands."""

    at: int
    """Offset in the text."""


@dataclass(slots=True)
class Literal(Node):
    """A constant."""

    value: Any


@dataclass(slots=True)
class Name(Node):
    """A variable."""

    name: str


@dataclass(slots=True)
class Select(Node):
    """``operand.field``, ``has(operand.field)`` or ``operand.?field``."""

    operand: Node
    field: str
    test: bool = False
    optional: bool = False


@dataclass(slots=True)
class Index(Node):
    """``operand[index]`` or ``operand[?index]``."""

    operand: Node
    index: Node
    optional: bool = False


@dataclass(slots=True)
class Call(Node):
    """A function or an operator (``_+_``); with a target, a method."""

    function: str
    target: Node | None
    args: list[Node]


@dataclass(slots=True)
class ListOf(Node):
    """``[a, ?b]``."""

    items: list[Node]
    optional: set[int] = field(default_factory=set)


@dataclass(slots=True)
class MapOf(Node):
    """``{a: b, ?c: d}``."""

    entries: list[tuple[Node, Node]]
    optional: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Loop(Node):
    """A comprehension: ``all``, ``exists``, ``exists_one``, ``map``, ``filter``, ``transformList`` and so on."""

    kind: str
    operand: Node
    variables: list[str]
    condition: Node | None
    body: Node


@dataclass(slots=True)
class Bind(Node):
    """``cel.bind(name, value, body)``; ``optMap`` and ``optFlatMap`` when ``optional`` says so."""

    name: str
    value: Node
    body: Node
    optional: str = ""
