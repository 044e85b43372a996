r"""Decodes the protobuf bodies that kubectl sends where no JSON would be sent: the reviews and a few small kinds.

The wire format is Protocol Buffers'; the envelope is ``k8s\0`` and a ``runtime.Unknown``; field numbers are those
of the ``generated.proto`` files of ``k8s.io/api``, written down in ``messages`` for some kinds. Any other kind, and
any other field of these, raises ``UnknownMessageError``: nothing that was sent is dropped in silence. Answers are
always JSON, which every client reads.
"""

import base64
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from headwater.cluster.apiserver.http.messages import KINDS, MESSAGES, SKIPPED
from headwater.kube.meta.objects import Object
from headwater.kube.meta.time import format_time

MAGIC = b"k8s\0"

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class UnknownMessageError(Exception):
    """The body is well-formed, but its kind, or a field of it, is none that is read."""


def decode(body: bytes) -> Object:
    """Decode an object in its envelope. Raises ``ValueError`` for a damaged one, ``UnknownMessageError``."""
    if not body.startswith(MAGIC):
        raise ValueError("it does not begin with the prefix k8s\\0")
    envelope = _message("Unknown", body[len(MAGIC) :])
    identity = envelope.get("typeMeta", {})
    api_version, kind = identity.get("apiVersion", ""), identity.get("kind", "")
    known = KINDS.get(kind)
    # Every group sends DeleteOptions under its own version.
    if known is None or (known != api_version and kind != "DeleteOptions"):
        raise UnknownMessageError(f"the kind {kind} of {api_version}")
    obj = {"apiVersion": api_version, "kind": kind, **_message(kind, base64.b64decode(envelope.get("raw", "")))}
    if not obj.get("metadata", {"name": ""}).get("creationTimestamp", "x"):
        del obj["metadata"]["creationTimestamp"]
    return obj


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


def _message(name: str, data: bytes) -> Object:
    fields = MESSAGES[name]
    result: Object = {}
    for number, raw in _fields(data):
        if number not in fields:
            # proto2 writes every field of a Go struct that is no pointer, also an empty one.
            if raw in (0, b""):
                continue
            raise UnknownMessageError(f"field {number} of {name}")
        field, kind = fields[number]
        if kind == SKIPPED:
            continue
        if kind.startswith("[]"):
            result.setdefault(field, []).append(_value(kind[2:], raw))
        elif kind.startswith("map:"):
            key, value = _entry(kind[4:], raw)
            result.setdefault(field, {})[key] = value
        else:
            value = _value(kind, raw)
            if value not in ("", None):
                result[field] = value
    return result


def _entry(kind: str, raw: int | bytes) -> tuple[str, Any]:
    key, value = "", _value(kind, b"")
    for number, part in _fields(_bytes(raw)):
        if number == 1:
            key = _bytes(part).decode()
        elif number == 2:
            value = _value(kind, part)
    return key, value


def _value(kind: str, raw: int | bytes) -> Any:
    match kind:
        case "string":
            return _bytes(raw).decode()
        case "bytes":
            return base64.b64encode(_bytes(raw)).decode()
        case "bool":
            return bool(raw)
        case "flag":
            return bool(raw) or None
        case "int":
            return _signed(raw)
        case "count":
            return _signed(raw) or None
        case "Time":
            seconds = dict(_fields(_bytes(raw))).get(1, 0)
            return format_time(datetime.fromtimestamp(seconds, UTC)) if isinstance(seconds, int) and seconds else None
        case "Values":
            return _message("Values", _bytes(raw)).get("items", [])
        case "Quantity":
            return _message("Quantity", _bytes(raw)).get("string", "0")
        case "IntOrString":
            parts = _message("IntOrString", _bytes(raw))
            return parts.get("text", "") if parts.get("kind") else parts.get("number", 0)
        case _:
            return _message(kind, _bytes(raw))


def _signed(raw: int | bytes) -> int:
    if isinstance(raw, bytes):
        raise ValueError("a number is expected where there is a message")
    value: int = struct.unpack("<q", struct.pack("<Q", raw & 0xFFFFFFFFFFFFFFFF))[0]
    return value


def _bytes(raw: int | bytes) -> bytes:
    if isinstance(raw, int):
        raise ValueError("a message is expected where there is a number")
    return raw
