"""The functions on texts: positions, patterns, formats.

Follows cel-go's ``ext/strings`` and Kubernetes' ``regex`` library. What is built may not grow without end.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from headwater.kube.schema.cel.values import CelError, Opaque, TypeName, equal, is_number, no_overload, type_of
from headwater.kube.schema.scalars import compile_pattern

_LONGEST = 10_000_000


def needs_text(value: Any) -> str:
    """Return a value that must be a string. Raises ``TypeError``."""
    if isinstance(value, str):
        return value
    raise TypeError


def text_of(value: Any) -> str:
    """Convert to a string, as ``string()`` does. Raises ``CelError``."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float():
            return repr(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
        case int():
            return str(int(value))
        case bytes():
            return value.decode()
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case timedelta():
            seconds = value / timedelta(seconds=1)
            return f"{int(seconds) if seconds == int(seconds) else seconds}s"
        case Opaque():
            return str(value)
    raise no_overload("string", value)


def pattern_of(text: str) -> re.Pattern[str]:
    """Compile an RE2 pattern. Raises ``CelError``."""
    pattern = compile_pattern(text)
    if pattern is None:
        raise CelError(f"error parsing regexp: `{text}`")
    return pattern


def find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    """Return what a pattern matches, at most ``limit`` times."""
    found = [match[0] for match in pattern_of(pattern).finditer(text)]
    return found if limit < 0 else found[:limit]


def _position(value: int, text: str) -> int:
    if not 0 <= value <= len(text):
        raise CelError(f"index out of range: {value}")
    return value


def char_at(text: str, at: int) -> str:
    """Return the character at an offset, empty at the end."""
    return needs_text(text)[_position(at, text) :][:1]


def index_of(value: Any, wanted: Any, start: int = 0) -> int:
    """Return where a text or an item first occurs, or -1."""
    if isinstance(value, list):
        return next((at for at, item in enumerate(value) if equal(item, wanted)), -1)
    return needs_text(value).find(needs_text(wanted), _position(start, value))


def last_index_of(value: Any, wanted: Any, start: int | None = None) -> int:
    """Return where a text or an item last occurs, or -1."""
    if isinstance(value, list):
        return next((at for at in range(len(value) - 1, -1, -1) if equal(value[at], wanted)), -1)
    if start is None:
        return needs_text(value).rfind(needs_text(wanted))
    return needs_text(value).rfind(wanted, 0, _position(start, value) + len(wanted))


def substring(text: str, start: int, end: int | None = None) -> str:
    """Return part of a text. Raises ``CelError`` outside of it."""
    end = len(text) if end is None else end
    if not 0 <= start <= end <= len(text):
        raise CelError(f"index out of range: {start if start > len(text) or start < 0 else end}")
    return needs_text(text)[start:end]


def replace_text(text: str, old: str, new: str, limit: int = -1) -> str:
    """Return a text with another in place of each occurrence."""
    count = needs_text(text).count(old)
    _fits(len(text) + (min(count, limit) if limit >= 0 else count) * len(new))
    return text.replace(old, new, limit)


def join_texts(items: list[Any], separator: str = "") -> str:
    """Return texts as one."""
    _fits(sum(len(needs_text(item)) + len(needs_text(separator)) for item in items))
    return separator.join(items)


def _fits(length: int) -> None:
    if length > _LONGEST:
        raise CelError(f"the text would be longer than {_LONGEST} characters")


def split_text(text: str, separator: str, limit: int = -1) -> list[str]:
    """Return the parts between separators, at most ``limit``."""
    if limit == 0:
        return []
    if separator == "":
        letters = list(needs_text(text))
        return letters if limit < 0 or len(letters) <= limit else [*letters[: limit - 1], "".join(letters[limit - 1 :])]
    return needs_text(text).split(separator, limit - 1 if limit > 0 else -1)


def reversed_of(value: Any) -> Any:
    """Return a text or a list backwards."""
    if isinstance(value, str | list):
        return value[::-1]
    raise TypeError


def lowered(text: str) -> str:
    """Return a text with its ASCII letters in lower case."""
    return "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in text)


def raised(text: str) -> str:
    """Return a text with its ASCII letters in upper case."""
    return "".join(chr(ord(letter) - 32) if "a" <= letter <= "z" else letter for letter in text)


def quote(text: str) -> str:
    """Return a text as a literal of the language."""
    names = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f"}
    return '"' + "".join(names.get(letter, letter) for letter in text) + '"'


def format_text(text: str, values: list[Any]) -> str:
    """Return a text with ``%s`` and its kin filled in. Raises ``CelError``."""
    left = list(values)
    length = len(text)

    def one(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if not left:
            raise CelError(f"index {len(values)} out of range")
        nonlocal length
        said = _formatted(left.pop(0), match[2], match[1])
        length += len(said)
        _fits(length)
        return said

    return re.sub(r"%%|%(\.\d+)?([a-zA-Z])", one, text)


def _formatted(value: Any, verb: str, precision: str | None) -> str:
    digits = min(int(precision[1:4]), 100) if precision else 6
    match verb:
        case "s":
            return _shown(value)
        case "d" if is_number(value):
            return _shown(value)
        case "f" if is_number(value):
            return f"{value:.{digits}f}"
        case "e" if is_number(value):
            return f"{value:.{digits}e}"
        case "b" if isinstance(value, int):
            return f"{int(value):b}"
        case "o" if isinstance(value, int):
            return f"{value:o}"
        case "x" | "X":
            if isinstance(value, str):
                value = value.encode()
            shown = value.hex() if isinstance(value, bytes) else f"{value:x}"
            return shown.upper() if verb == "X" else shown
    raise CelError(f"unrecognized formatting clause: %{verb} of {type_of(value)}")


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_shown(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_shown(key)}: {_shown(item)}" for key, item in sorted(value.items())) + "}"
    return "null" if value is None else value.name if isinstance(value, TypeName) else text_of(value)
