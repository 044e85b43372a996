r"""Decodes the protobuf bodies that kubectl and typed Go clients send.

The wire format is Protocol Buffers'; the envelope is ``k8s\0`` and a ``runtime.Unknown``; the fields are those of
``messages``. Any other kind, and any other field of these, raises ``UnknownMessageError``: nothing that was sent is
dropped in silence. Answers are always JSON, which every client reads.
"""

import base64
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from headwater.cluster.apiserver.http.messages import EMBEDDED, Field, fields_of, message_of
from headwater.kube.meta.objects import Object
from headwater.kube.meta.time import format_time

MAGIC = b"k8s\0"
_DEEPEST = 100

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class UnknownMessageError(Exception):
    """The body is well-formed, but its kind, or a field of it, is none that is read."""


def decode(body: bytes) -> Object:
    """Decode an object in its envelope. Raises ``ValueError`` for a damaged one, ``UnknownMessageError``."""
    if not body.startswith(MAGIC):
        raise ValueError("it does not begin with the prefix k8s\\0")
    envelope = dict(_fields(body[len(MAGIC) :]))
    identity = dict(_fields(_bytes(envelope.get(1, b""))))
    api_version, kind = _bytes(identity.get(1, b"")).decode(), _bytes(identity.get(2, b"")).decode()
    message = message_of(api_version, kind)
    if message is None:
        raise UnknownMessageError(f"the kind {kind} of {api_version}")
    return {"apiVersion": api_version, "kind": kind, **_message(message, _bytes(envelope.get(2, b"")), 0)}


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield each field's number and raw value."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == _LENGTH:
            length, position = _varint(data, position)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"field {number} has the unknown wire type {wire}")
        if position + length > len(data):
            raise ValueError(f"field {number} is cut off")
        yield number, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        if position >= len(data):
            raise ValueError("it is cut off")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError("a number is too long")


def _message(name: str, data: bytes, depth: int) -> Object:
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
    fields = fields_of(name)
    assert fields is not None, f"{name} stands in the table that names it"
    result: Object = {}
    for number, raw in _fields(data):
        field = fields.get(number)
        if field is None:
            # proto2 writes every field of a Go struct that is no pointer, also an empty one.
            if raw in (0, b""):
                continue
            raise UnknownMessageError(f"field {number} of {name.rpartition('.')[2]}")
        if field.name == EMBEDDED:
            result.update(_message(field.kind, _bytes(raw), depth + 1))
        elif field.mapped:
            key, value = _entry(field.kind, raw, depth)
            result.setdefault(field.name, {})[key] = value
        elif field.repeated:
            result.setdefault(field.name, []).append(_value(field.kind, raw, depth))
        else:
            value = _value(field.kind, raw, depth)
            if not _is_absent(field, value):
                result[field.name] = value
    return result


def _is_absent(field: Field, value: Any) -> bool:
    """Tell whether a value is what Go writes for nothing: JSON would not have it."""
    if value is None:
        return True
    return not field.kept and not isinstance(value, dict) and field.kind != "intstr" and not value


def _entry(kind: str, raw: int | bytes, depth: int) -> tuple[str, Any]:
    key, value = "", _value(kind, b"", depth) if kind != "int" else 0
    for number, part in _fields(_bytes(raw)):
        if number == 1:
            key = _bytes(part).decode()
        elif number == 2:
            value = _value(kind, part, depth)
    return key, value


def _value(kind: str, raw: int | bytes, depth: int) -> Any:
    match kind:
        case "string":
            return _bytes(raw).decode()
        case "bytes":
            return base64.b64encode(_bytes(raw)).decode()
        case "bool":
            return bool(raw)
        case "int":
            return _signed(raw)
        case "time" | "microtime":
            return _time(_bytes(raw), fraction=kind == "microtime")
        case "duration":
            return f"{_signed(dict(_fields(_bytes(raw))).get(1, 0)) / 1e9:g}s"
        case "values":
            return [_bytes(item).decode() for number, item in _fields(_bytes(raw)) if number == 1]
        case "quantity":
            return _bytes(dict(_fields(_bytes(raw))).get(1, b"0")).decode()
        case "intstr":
            parts = dict(_fields(_bytes(raw)))
            return _bytes(parts.get(3, b"")).decode() if parts.get(1) else _signed(parts.get(2, 0))
        case "raw":
            return _json(dict(_fields(_bytes(raw))).get(1, b""))
        case _:
            return _message(kind, _bytes(raw), depth + 1)


def _json(raw: int | bytes) -> Any:
    return orjson.loads(raw) if isinstance(raw, bytes) and raw else None


def _time(raw: bytes, *, fraction: bool) -> str | None:
    parts = dict(_fields(raw))
    seconds, nanos = _signed(parts.get(1, 0)), _signed(parts.get(2, 0))
    if not seconds and not nanos:
        return None
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"the time {seconds} is out of range") from error
    if fraction:
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanos // 1000:06}Z"
    return format_time(moment)


def _signed(raw: int | bytes) -> int:
    if isinstance(raw, bytes):
        raise ValueError("a number is expected where there is a message")
    value: int = struct.unpack("<q", struct.pack("<Q", raw & 0xFFFFFFFFFFFFFFFF))[0]
    return value


def _bytes(raw: int | bytes) -> bytes:
    if isinstance(raw, int):
        raise ValueError("a message is expected where there is a number")
    return raw
