"""Reading a protobuf message in its JSON form, with every field that is of the wrong type or unknown reported.

Both spellings of a name are read, as protobuf's JSON mapping demands: ``parameterType`` and ``parameter_type``.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_DURATION = re.compile(r"(\d+(?:\.\d+)?)s")


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), name)


class Message:
    """One message. Ask for each field that it may have, then call ``done``, which reports the others."""

    def __init__(self, value: Any, where: str, problems: list[str]) -> None:
        self.where = where
        self.problems = problems
        self._asked: set[str] = set()
        self._value: Mapping[str, Any] = {}
        if isinstance(value, Mapping):
            self._value = value
        elif value is not None:
            self.wrong(f"expected a mapping, found a {type(value).__name__}")

    def __bool__(self) -> bool:
        return bool(self._value)

    def wrong(self, text: str) -> None:
        """Report something wrong with this message."""
        self.problems.append(f"{self.where}: {text}" if self.where else text)

    def raw(self, name: str) -> Any:
        """Return a field's value as it stands, or None."""
        other = _snake(name)
        self._asked.update((name, other))
        value = self._value.get(name)
        return self._value.get(other) if value is None else value

    def has(self, name: str) -> bool:
        """Tell whether the field is there, also as null."""
        return name in self._value or _snake(name) in self._value

    def _typed(self, name: str, kinds: tuple[type, ...], said: str) -> Any:
        value = self.raw(name)
        if value is None or (isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds)):
            return value
        self.wrong(f"{name} must be {said}, found a {type(value).__name__}")
        return None

    def text(self, name: str) -> str:
        """Return a string field; empty when absent."""
        return self._typed(name, (str,), "a string") or ""

    def flag(self, name: str) -> bool:
        """Return a boolean field; False when absent."""
        return bool(self._typed(name, (bool,), "true or false"))

    def number(self, name: str) -> float:
        """Return a numeric field; 0 when absent. Protobuf writes 64-bit integers as strings."""
        value = self._typed(name, (int, float, str), "a number") or 0
        try:
            return float(value)
        except ValueError:
            self.wrong(f"{name} must be a number, found {value!r}")
            return 0.0

    def seconds(self, name: str, default: float) -> float:
        """Return a duration field (``"30s"``) in seconds."""
        value = self._typed(name, (str,), 'a duration such as "30s"')
        if value is None:
            return default
        found = _DURATION.fullmatch(value)
        if found is None:
            self.wrong(f'{name} must be a duration such as "30s", found {value!r}')
            return default
        return float(found[1])

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a repeated string field."""
        value = self._typed(name, (list, tuple), "a list of strings") or ()
        if not all(isinstance(item, str) for item in value):
            self.wrong(f"{name} must be a list of strings")
            return ()
        return tuple(value)

    def items(self, name: str) -> tuple[Any, ...]:
        """Return a repeated field as it stands."""
        return tuple(self._typed(name, (list, tuple), "a list") or ())

    def mapping(self, name: str) -> Mapping[str, Any]:
        """Return a field that holds any mapping."""
        return self._typed(name, (Mapping,), "a mapping") or {}

    def message(self, name: str) -> "Message":
        """Return a field that is a message itself; an empty one when absent."""
        return Message(self.mapping(name), f"{self.where}: {name}" if self.where else name, self.problems)

    def messages(self, name: str, what: str) -> Iterator[tuple[str, "Message"]]:
        """Yield the entries of a map of messages; ``what`` names one of them in error messages."""
        for key, value in self.mapping(name).items():
            yield (
                str(key),
                Message(value, f"{self.where}: {what} {key!r}" if self.where else f"{what} {key!r}", self.problems),
            )

    def done(self) -> None:
        """Report the fields that nobody asked for."""
        for name in self._value:
            if name not in self._asked:
                self.wrong(f"unknown field {str(name)!r}")
