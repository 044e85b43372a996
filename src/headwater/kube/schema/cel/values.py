"""The values of the language and what holds among them: equality, order, arithmetic, names of types.

A CEL value is a Python value: bool, int (64 bits), ``UInt``, float, str, bytes, list, dict, ``None``, datetime,
timedelta, ``Optional``, ``TypeName``, or one of Kubernetes' types in ``kubernetes``.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

_INT = 2**63


class CelError(Exception):
    """An expression that has no value."""


class CelSyntaxError(CelError):
    """An expression that cannot be read, or that cannot be right whatever its variables are."""

    def __init__(self, text: str, at: int, message: str) -> None:
        before = text[:at]
        line, column = before.count("\n") + 1, at - (before.rfind("\n") + 1)
        shown = text.splitlines()[line - 1] if text else ""
        super().__init__(f"ERROR: <input>:{line}:{column + 1}: {message}\n | {shown}\n | {'.' * column}^")
        self.message = message


class UInt(int):
    """An unsigned 64-bit integer."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class TypeName:
    """A type as a value: what ``type(x)`` answers."""

    name: str


class Opaque:
    """Base of Kubernetes' own types. They are compared by ``==``."""

    type_name = "opaque"


@dataclass(frozen=True, slots=True)
class Optional:
    """A value that may not be there."""

    value: Any = None
    present: bool = False


NONE = Optional()


def type_of(value: Any) -> str:
    """Return the name of a value's type."""
    match value:
        case None:
            return "null_type"
        case bool():
            return "bool"
        case UInt():
            return "uint"
        case int():
            return "int"
        case float():
            return "double"
        case str():
            return "string"
        case bytes():
            return "bytes"
        case list():
            return "list"
        case dict():
            return "map"
        case datetime():
            return "google.protobuf.Timestamp"
        case timedelta():
            return "google.protobuf.Duration"
        case Optional():
            return "optional_type"
        case TypeName():
            return "type"
        case Opaque():
            return value.type_name
    return type(value).__name__


def is_number(value: Any) -> bool:
    """Tell whether a value is an int, a uint or a double."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(left: Any, right: Any) -> bool:
    """Compare as CEL does: numbers by value whatever their type, values of other types are never equal."""
    kind = type(left)
    if kind is type(right) and kind in _SIMPLE:
        return bool(left == right)
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(equal(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return len(left) == len(right) and all(key in right and equal(left[key], right[key]) for key in left)
    if isinstance(left, Optional) and isinstance(right, Optional):
        return left.present is right.present and (not left.present or equal(left.value, right.value))
    return kind is type(right) and bool(left == right)


_SIMPLE = frozenset({str, int, bool, float, bytes, type(None), datetime, timedelta})


def contains(items: Iterable[Any], wanted: Any) -> bool:
    """Tell whether one of the items equals the wanted one."""
    return any(equal(item, wanted) for item in items)


def compare(left: Any, right: Any) -> int:
    """Return a number below, at or above 0. Raises ``CelError`` for what has no order."""
    comparable = (is_number(left) and is_number(right)) or (
        type(left) is type(right) and isinstance(left, str | bytes | bool | datetime | timedelta)
    )
    if not comparable:
        raise no_overload("comparison", left, right)
    return int(left > right) - int(left < right)


def no_overload(what: str, *values: Any) -> CelError:
    """Return the error for values that a function cannot take."""
    return CelError(f"no such overload: {what}({', '.join(type_of(value) for value in values)})")


def integer(value: int, *, unsigned: bool = False) -> int:
    """Return an integer that fits its type. Raises ``CelError``."""
    if unsigned:
        if not 0 <= value < 2 * _INT:
            raise CelError("unsigned integer overflow")
        return UInt(value)
    if not -_INT <= value < _INT:
        raise CelError("integer overflow")
    return value


def arithmetic(operator: str, left: Any, right: Any) -> Any:
    """Apply ``+ - * / %``. Raises ``CelError``."""
    kind = type(left)
    if is_number(left):
        if kind is not type(right):
            raise no_overload(f"_{operator}_", left, right)
        if kind is float:
            return _floats(operator, left, right)
        return integer(_integers(operator, left, right), unsigned=kind is UInt)
    if operator == "+":
        if (kind is type(right) and kind in (str, bytes, list, timedelta)) or (
            isinstance(left, datetime) and isinstance(right, timedelta)
        ):
            return left + right
        if isinstance(left, timedelta) and isinstance(right, datetime):
            return right + left
    elif operator == "-":
        if isinstance(left, timedelta) and isinstance(right, timedelta):
            return left - right
        if isinstance(left, datetime) and isinstance(right, timedelta | datetime):
            return left - right
    raise no_overload(f"_{operator}_", left, right)


def _integers(operator: str, left: int, right: int) -> int:
    match operator:
        case "+":
            return int(left) + int(right)
        case "-":
            return int(left) - int(right)
        case "*":
            return int(left) * int(right)
    if right == 0:
        raise CelError("divide by zero" if operator == "/" else "modulus by zero")
    quotient = abs(left) // abs(right)
    quotient = quotient if (left < 0) is (right < 0) else -quotient
    return quotient if operator == "/" else left - right * quotient


def _floats(operator: str, left: float, right: float) -> float:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            if right == 0:
                return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left * right or left)
            return left / right
    raise no_overload("_%_", left, right)


def negate(value: Any) -> Any:
    """Apply the unary minus. Raises ``CelError``."""
    if isinstance(value, bool | UInt) or not isinstance(value, int | float):
        raise no_overload("-_", value)
    return integer(-value) if isinstance(value, int) else -value
