"""Between objects on the wire and dataclasses.

Reading is tolerant of what it does not know, as every Kubernetes client must be: a newer server may send more.
``null`` counts as absent. Free-form fields are handed over as they are, not copied.
"""

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from datetime import datetime
from functools import cache
from typing import Any, TypeAlias, TypeVar

from headwater.kube.meta.time import format_time, parse_time
from headwater.kube.schema.fields import fields_of, unwrap

T = TypeVar("T")
Reader: TypeAlias = Callable[[Any, str], Any]

KIND = "__headwater_kind__"
"""The class attribute in which ``typed.kind`` keeps what it was told."""


class LoadError(ValueError):
    """An object that does not have the shape of the class; the message names the field."""


def load(cls: type[T], obj: Mapping[str, Any]) -> T:
    """Make a dataclass of an object, or of a part of one. Raises ``LoadError``."""
    plain: type = cls
    loaded: T = _class_reader(plain)(obj, "")
    return loaded


def dump(value: Any) -> Any:
    """Make the wire form of a dataclass.

    ``None`` is left out, and so is an empty string, list or map in a field that has it as its default. A kind
    comes with ``apiVersion`` and ``kind``.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _dump_class(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, Mapping):
        return {key: dump(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [dump(item) for item in value]
    return value


def _dump_class(value: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = {}
    declared = getattr(value, KIND, None)
    if declared is not None:
        dumped = {"apiVersion": declared.resource.api_version, "kind": declared.resource.kind}
    cls: type = type(value)
    for field in fields_of(cls):
        item = getattr(value, field.name)
        if item is None or (not item and not isinstance(item, bool | int | float) and item == field.default):
            continue
        wire = dump(item)
        if wire == {} and field.default is not MISSING and item == field.default:
            continue
        dumped[field.wire] = wire
    return dumped


@cache
def _class_reader(cls: type) -> Reader:
    pending: list[tuple[str, str, Reader]] = []
    required = {field.wire for field in fields_of(cls) if field.required and field.default is MISSING}
    absent = {
        field.name: field.keywords["default"]
        for field in fields_of(cls)
        if field.default is MISSING and "default" in field.keywords
    }

    def read(obj: Any, path: str) -> Any:
        if not pending:
            # Built on first use, so that a class may contain itself.
            pending.extend((field.name, field.wire, _reader(field.type)) for field in fields_of(cls))
        if not isinstance(obj, Mapping):
            raise LoadError(f"{path or cls.__name__} must be an object, not {_kind_of(obj)}")
        arguments = {}
        for name, wire, reader in pending:
            item = obj.get(wire)
            if item is not None:
                arguments[name] = reader(item, f"{path}.{wire}" if path else wire)
            elif wire in required:
                raise LoadError(f"{path}.{wire} is missing" if path else f"{wire} is missing")
            elif name in absent:
                arguments[name] = absent[name]
        return cls(**arguments)

    return read


def _reader(hint: Any) -> Reader:
    hint, _ = unwrap(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or origin is typing.Literal:
        return _as_it_is
    if origin in (typing.Union, types.UnionType):
        inner = [argument for argument in arguments if argument is not type(None)]
        return _reader(inner[0]) if len(inner) == 1 else _as_it_is
    if origin in (list, tuple, Sequence):
        return _list_reader(_reader(arguments[0]) if arguments else _as_it_is, list if origin is list else tuple)
    if origin in (dict, Mapping):
        return _map_reader(_reader(arguments[1]))
    if isinstance(hint, type):
        if dataclasses.is_dataclass(hint):
            return _class_reader(hint)
        if issubclass(hint, enum.Enum):
            return _enum_reader(hint)
        if hint is datetime:
            return _time
        if hint is float:
            return _float
        if hint in (str, int, bool):
            return _scalar_reader(hint)
        if hint in (dict, list):
            return _as_it_is
    raise TypeError(f"no wire form is known for {hint!r}")


def _as_it_is(value: Any, path: str) -> Any:
    return value


def _scalar_reader(expected: type) -> Reader:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            raise LoadError(f"{path} must be {_NAMES[expected]}, not {_kind_of(value)}")
        return value

    return read


def _float(value: Any, path: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise LoadError(f"{path} must be a number, not {_kind_of(value)}")
    return float(value)


def _time(value: Any, path: str) -> datetime:
    try:
        return parse_time(value)
    except (TypeError, ValueError):
        raise LoadError(f"{path} must be an RFC 3339 time, not {value!r}") from None


def _enum_reader(hint: type[enum.Enum]) -> Reader:
    def read(value: Any, path: str) -> Any:
        try:
            return hint(value)
        except ValueError:
            known = ", ".join(str(member.value) for member in hint)
            raise LoadError(f"{path} must be one of {known}, not {value!r}") from None

    return read


def _list_reader(reader: Reader, make: Callable[[list[Any]], Any]) -> Reader:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, list | tuple):
            raise LoadError(f"{path} must be a list, not {_kind_of(value)}")
        return make([reader(item, f"{path}[{index}]") for index, item in enumerate(value)])

    return read


def _map_reader(reader: Reader) -> Reader:
    if reader is _as_it_is:
        return reader

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            raise LoadError(f"{path} must be an object, not {_kind_of(value)}")
        return {key: reader(item, f"{path}.{key}") for key, item in value.items()}

    return read


_NAMES: dict[type, str] = {str: "a string", int: "a whole number", bool: "true or false"}


def _kind_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list"
    return "an object"
