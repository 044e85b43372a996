"""The functions of the language: CEL's standard library, cel-go's extensions, and how Kubernetes names its own.

Each stands here once, as a function and as a method alike (``f(x, a)`` is ``x.f(a)``); the implementation looks at
its arguments. The result's type is what static checking knows of it.
"""

import base64
import binascii
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from headwater.kube.schema.cel import kubernetes
from headwater.kube.schema.cel.texts import (
    char_at,
    find_all,
    format_text,
    index_of,
    join_texts,
    last_index_of,
    lowered,
    needs_text,
    pattern_of,
    quote,
    raised,
    replace_text,
    reversed_of,
    split_text,
    substring,
    text_of,
)
from headwater.kube.schema.cel.values import (
    NONE,
    CelError,
    Optional,
    TypeName,
    UInt,
    arithmetic,
    compare,
    contains,
    integer,
    is_number,
    no_overload,
    type_of,
)


@dataclass(frozen=True, slots=True)
class Function:
    """An implementation, the type of its result, and how many arguments (with the target) it takes."""

    run: Callable[..., Any]
    result: str = "dyn"
    arity: tuple[int, int] = (1, 9)


TYPE_NAMES = {
    name: TypeName(wire)
    for name, wire in {
        **{name: name for name in ("bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type")},
        "type": "type",
    }.items()
}


def _size(value: Any) -> int:
    if isinstance(value, str | bytes | list | dict):
        return len(value)
    raise no_overload("size", value)


def _int(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, datetime):
        return int(value.timestamp() // 1)
    if isinstance(value, float) and not -(2.0**63) < value < 2.0**63:
        raise CelError("integer overflow")
    if isinstance(value, str) and not re.fullmatch(r"[+-]?\d+", value):
        raise CelError(f"type conversion error from 'string' to 'int': {value!r}")
    return integer(int(value))


def _uint(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not 0 <= value < 2.0**64):
        raise CelError("unsigned integer overflow")
    return integer(int(value), unsigned=True)


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    return float(value)


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("1", "t", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "false", "FALSE", "False"):
        return False
    raise CelError(f"type conversion error from '{type_of(value)}' to 'bool'")


_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration(value: Any) -> timedelta:
    """Read a Go duration (``1h30m``). Raises ``CelError``."""
    if isinstance(value, timedelta):
        return value
    text = needs_text(value)
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest != "0" and not re.fullmatch(f"(?:{_DURATION.pattern})+", rest):
        raise CelError(f'invalid duration: "{text}"')
    return sign * timedelta(seconds=sum(float(amount) * _UNITS[unit] for amount, unit in _DURATION.findall(rest)))


def timestamp(value: Any) -> datetime:
    """Read an RFC 3339 time. Raises ``CelError``."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC)
    try:
        found = datetime.fromisoformat(needs_text(value))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or len(value) < 20:
        raise CelError(f'invalid timestamp: "{value}"')
    return found


def _clock_part(of_time: Callable[[datetime], int], of_duration: Callable[[timedelta], int] | None = None) -> Any:
    def part(value: Any, zone: str = "UTC") -> int:
        if isinstance(value, timedelta):
            if of_duration is None:
                raise TypeError
            return of_duration(value)
        if re.fullmatch(r"[+-]?\d\d:\d\d", zone):
            sign = -1 if zone[0] == "-" else 1
            hours, minutes = zone.lstrip("+-").split(":")
            shifted = value.astimezone(UTC) + sign * timedelta(hours=int(hours), minutes=int(minutes))
        else:
            shifted = value.astimezone(ZoneInfo(zone))
        return of_time(shifted)

    return part


def _contains(value: Any, wanted: Any) -> bool:
    if isinstance(value, str):
        return needs_text(wanted) in value
    raise TypeError


def _sum(values: list[Any]) -> Any:
    if not values:
        return 0
    total = values[0]
    for value in values[1:]:
        total = arithmetic("+", total, value)
    return total


def _extreme(sign: int) -> Callable[..., Any]:
    def pick(*values: Any) -> Any:
        items = values[0] if len(values) == 1 and isinstance(values[0], list) else list(values)
        if not items:
            raise CelError("min/max called on an empty list")
        best = items[0]
        for item in items[1:]:
            if compare(item, best) * sign > 0:
                best = item
        return best

    return pick


def _is_sorted(values: list[Any]) -> bool:
    return all(compare(before, after) <= 0 for before, after in pairwise(values))


def _sorted(values: list[Any]) -> list[Any]:
    from functools import cmp_to_key

    return sorted(values, key=cmp_to_key(compare))


def _distinct(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if not contains(found, value):
            found.append(value)
    return found


def _flatten(values: list[Any], depth: int = 1) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if isinstance(value, list) and depth > 0:
            found += _flatten(value, depth - 1)
        else:
            found.append(value)
    return found


def _slice(values: list[Any], start: int, end: int) -> list[Any]:
    if not 0 <= start <= end <= len(values):
        raise CelError(f"cannot slice({start}, {end}), list is length {len(values)}")
    return values[start:end]


def _first(values: list[Any]) -> Optional:
    return Optional(values[0], True) if values else NONE


def _last(values: list[Any]) -> Optional:
    return Optional(values[-1], True) if values else NONE


def _range(count: int) -> list[int]:
    if count > 100_000:
        raise CelError("lists.range: the list would be too long")
    return list(range(count))


def _or_value(value: Any, other: Any) -> Any:
    return value.value if value.present else other


def _value(value: Any) -> Any:
    if isinstance(value, Optional):
        if not value.present:
            raise CelError("optional.none() dereference")
        return value.value
    raise TypeError


def _of_non_zero(value: Any) -> Optional:
    zero = value is None or value is False or (is_number(value) and value == 0) or value in ("", b"", [], {})
    return NONE if zero else Optional(value, True)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise CelError("illegal base64 data") from None


def _bitwise(combine: Callable[[int, int], int]) -> Callable[[int, int], int]:
    return lambda left, right: integer(combine(left, right), unsigned=isinstance(left, UInt))


def _shift(value: int, by: int, *, left: bool) -> int:
    if by < 0:
        raise CelError("math.bitShift: negative offset")
    moved = (value << min(by, 64)) if left else (value % 2**64) >> by
    moved %= 2**64
    return UInt(moved) if isinstance(value, UInt) else moved - 2**64 if moved >= 2**63 else moved


def _rounded(value: float) -> float:
    return float(math.copysign(math.floor(abs(value) + 0.5), value)) if math.isfinite(value) else value


def _finite(convert: Callable[[float], float]) -> Callable[[float], float]:
    return lambda value: float(convert(value)) if math.isfinite(value) else value


FUNCTIONS: dict[str, Function] = {
    "size": Function(_size, "int", (1, 1)),
    "int": Function(_int, "int", (1, 1)),
    "uint": Function(_uint, "uint", (1, 1)),
    "double": Function(_double, "double", (1, 1)),
    "string": Function(text_of, "string", (1, 1)),
    "bytes": Function(lambda value: value if isinstance(value, bytes) else value.encode(), "bytes", (1, 1)),
    "bool": Function(_bool, "bool", (1, 1)),
    "duration": Function(duration, "duration", (1, 1)),
    "timestamp": Function(timestamp, "timestamp", (1, 1)),
    "dyn": Function(lambda value: value, "dyn", (1, 1)),
    "type": Function(lambda value: TypeName(type_of(value)), "type", (1, 1)),
    "startsWith": Function(lambda text, prefix: needs_text(text).startswith(needs_text(prefix)), "bool", (2, 2)),
    "endsWith": Function(lambda text, suffix: needs_text(text).endswith(needs_text(suffix)), "bool", (2, 2)),
    "matches": Function(lambda text, pattern: pattern_of(pattern).search(needs_text(text)) is not None, "bool", (2, 2)),
    "getFullYear": Function(_clock_part(lambda time: time.year), "int", (1, 2)),
    "getMonth": Function(_clock_part(lambda time: time.month - 1), "int", (1, 2)),
    "getDayOfMonth": Function(_clock_part(lambda time: time.day - 1), "int", (1, 2)),
    "getDate": Function(_clock_part(lambda time: time.day), "int", (1, 2)),
    "getDayOfWeek": Function(_clock_part(lambda time: time.isoweekday() % 7), "int", (1, 2)),
    "getDayOfYear": Function(_clock_part(lambda time: time.timetuple().tm_yday - 1), "int", (1, 2)),
    "getHours": Function(_clock_part(lambda time: time.hour, lambda span: int(span / timedelta(hours=1))), "int"),
    "getMinutes": Function(_clock_part(lambda time: time.minute, lambda span: int(span / timedelta(minutes=1))), "int"),
    "getSeconds": Function(_clock_part(lambda time: time.second, lambda span: int(span / timedelta(seconds=1))), "int"),
    "getMilliseconds": Function(
        _clock_part(lambda time: time.microsecond // 1000, lambda span: span.microseconds // 1000), "int"
    ),
    # strings
    "charAt": Function(char_at, "string", (2, 2)),
    "indexOf": Function(index_of, "int", (2, 3)),
    "lastIndexOf": Function(last_index_of, "int", (2, 3)),
    "lowerAscii": Function(lowered, "string", (1, 1)),
    "upperAscii": Function(raised, "string", (1, 1)),
    "replace": Function(replace_text, "string", (3, 4)),
    "split": Function(split_text, "list", (2, 3)),
    "substring": Function(substring, "string", (2, 3)),
    "trim": Function(lambda text: needs_text(text).strip(), "string", (1, 1)),
    "join": Function(join_texts, "string", (1, 2)),
    "reverse": Function(reversed_of, "dyn", (1, 1)),
    "format": Function(format_text, "string", (2, 2)),
    "strings.quote": Function(quote, "string", (1, 1)),
    "find": Function(lambda text, pattern: next(iter(find_all(text, pattern, 1)), ""), "string", (2, 2)),
    "findAll": Function(find_all, "list", (2, 3)),
    # lists
    "sum": Function(_sum, "dyn", (1, 1)),
    "min": Function(_extreme(-1), "dyn", (1, 1)),
    "max": Function(_extreme(1), "dyn", (1, 1)),
    "isSorted": Function(_is_sorted, "bool", (1, 1)),
    "sort": Function(_sorted, "list", (1, 1)),
    "distinct": Function(_distinct, "list", (1, 1)),
    "flatten": Function(_flatten, "list", (1, 2)),
    "slice": Function(_slice, "list", (3, 3)),
    "first": Function(_first, "dyn", (1, 1)),
    "last": Function(_last, "dyn", (1, 1)),
    "lists.range": Function(_range, "list", (1, 1)),
    # sets
    "sets.contains": Function(lambda mine, other: all(contains(mine, item) for item in other), "bool", (2, 2)),
    "sets.intersects": Function(lambda mine, other: any(contains(mine, item) for item in other), "bool", (2, 2)),
    "sets.equivalent": Function(
        lambda mine, other: all(contains(mine, one) for one in other) and all(contains(other, one) for one in mine),
        "bool",
        (2, 2),
    ),
    # math
    "math.greatest": Function(_extreme(1), "dyn"),
    "math.least": Function(_extreme(-1), "dyn"),
    "math.abs": Function(lambda value: integer(abs(value)) if isinstance(value, int) else abs(value), "dyn", (1, 1)),
    "math.sign": Function(lambda value: type(value)((value > 0) - (value < 0)), "dyn", (1, 1)),
    "math.ceil": Function(_finite(math.ceil), "double", (1, 1)),
    "math.floor": Function(_finite(math.floor), "double", (1, 1)),
    "math.round": Function(_rounded, "double", (1, 1)),
    "math.trunc": Function(_finite(math.trunc), "double", (1, 1)),
    "math.sqrt": Function(lambda value: math.sqrt(value) if value >= 0 else math.nan, "double", (1, 1)),
    "math.isNaN": Function(math.isnan, "bool", (1, 1)),
    "math.isInf": Function(math.isinf, "bool", (1, 1)),
    "math.isFinite": Function(math.isfinite, "bool", (1, 1)),
    "math.bitOr": Function(_bitwise(lambda left, right: left | right), "dyn", (2, 2)),
    "math.bitAnd": Function(_bitwise(lambda left, right: left & right), "dyn", (2, 2)),
    "math.bitXor": Function(_bitwise(lambda left, right: left ^ right), "dyn", (2, 2)),
    "math.bitNot": Function(lambda value: UInt(~value % 2**64) if isinstance(value, UInt) else ~value, "dyn", (1, 1)),
    "math.bitShiftLeft": Function(lambda value, by: _shift(value, by, left=True), "dyn", (2, 2)),
    "math.bitShiftRight": Function(lambda value, by: _shift(value, by, left=False), "dyn", (2, 2)),
    # encoders
    "base64.encode": Function(lambda value: base64.b64encode(value).decode(), "string", (1, 1)),
    "base64.decode": Function(_decode, "bytes", (1, 1)),
    # optional values
    "optional.of": Function(lambda value: Optional(value, True), "dyn", (1, 1)),
    "optional.none": Function(lambda: NONE, "dyn", (0, 0)),
    "optional.ofNonZeroValue": Function(_of_non_zero, "dyn", (1, 1)),
    "hasValue": Function(lambda value: value.present, "bool", (1, 1)),
    "orValue": Function(_or_value, "dyn", (2, 2)),
    "or": Function(lambda value, other: value if value.present else other, "dyn", (2, 2)),
    **{
        name: Function(run, result, (least, most))
        for name, (run, result, least, most) in kubernetes.functions(_contains, _value).items()
    },
}
