r"""Decodes the protobuf bodies that kubectl sends where no JSON would be sent: the reviews and a few small kinds.

The wire format is Protocol Buffers'; the envelope is ``k8s\0`` and a ``runtime.Unknown``; field numbers are those
of the ``generated.proto`` files of ``k8s.io/api``, written down here for the kinds of ``_KINDS`` alone. Any other
kind raises ``UnknownMessageError``. Answers are always JSON, which every client reads.
"""

import base64
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from headwater.kube.meta.objects import Object
from headwater.kube.meta.time import format_time

MAGIC = b"k8s\0"

Field = tuple[str, str]
"""A field's JSON name and its type: a scalar, a message's name, ``[]type`` or ``map:type``."""

_META = "metadata"
_REVIEWED: dict[int, Field] = {
    1: ("resourceAttributes", "ResourceAttributes"),
    2: ("nonResourceAttributes", "NonResourceAttributes"),
}
_SUBJECT: dict[int, Field] = {
    **_REVIEWED,
    3: ("user", "string"),
    4: ("groups", "[]string"),
    5: ("extra", "map:Values"),
    6: ("uid", "string"),
}
_MESSAGES: dict[str, dict[int, Field]] = {
    "Unknown": {1: ("typeMeta", "TypeMeta"), 2: ("raw", "bytes"), 3: ("encoding", "string"), 4: ("type", "string")},
    "TypeMeta": {1: ("apiVersion", "string"), 2: ("kind", "string")},
    "ObjectMeta": {
        1: ("name", "string"),
        2: ("generateName", "string"),
        3: ("namespace", "string"),
        5: ("uid", "string"),
        6: ("resourceVersion", "string"),
        7: ("generation", "int"),
        8: ("creationTimestamp", "Time"),
        9: ("deletionTimestamp", "Time"),
        10: ("deletionGracePeriodSeconds", "int"),
        11: ("labels", "map:string"),
        12: ("annotations", "map:string"),
        13: ("ownerReferences", "[]OwnerReference"),
        14: ("finalizers", "[]string"),
    },
    "OwnerReference": {
        1: ("kind", "string"),
        3: ("name", "string"),
        4: ("uid", "string"),
        5: ("apiVersion", "string"),
        6: ("controller", "bool"),
        7: ("blockOwnerDeletion", "bool"),
    },
    "ResourceAttributes": {
        1: ("namespace", "string"),
        2: ("verb", "string"),
        3: ("group", "string"),
        4: ("version", "string"),
        5: ("resource", "string"),
        6: ("subresource", "string"),
        7: ("name", "string"),
    },
    "NonResourceAttributes": {1: ("path", "string"), 2: ("verb", "string")},
    "Values": {1: ("items", "[]string")},
    "SelfSubjectAccessReview": {1: (_META, "ObjectMeta"), 2: ("spec", "SelfSubjectAccessReviewSpec")},
    "SelfSubjectAccessReviewSpec": _REVIEWED,
    "SubjectAccessReview": {1: (_META, "ObjectMeta"), 2: ("spec", "SubjectAccessReviewSpec")},
    "LocalSubjectAccessReview": {1: (_META, "ObjectMeta"), 2: ("spec", "SubjectAccessReviewSpec")},
    "SubjectAccessReviewSpec": _SUBJECT,
    "SelfSubjectRulesReview": {1: (_META, "ObjectMeta"), 2: ("spec", "SelfSubjectRulesReviewSpec")},
    "SelfSubjectRulesReviewSpec": {1: ("namespace", "string")},
    "SelfSubjectReview": {1: (_META, "ObjectMeta")},
    "TokenReview": {1: (_META, "ObjectMeta"), 2: ("spec", "TokenReviewSpec")},
    "TokenReviewSpec": {1: ("token", "string"), 2: ("audiences", "[]string")},
    "TokenRequest": {1: (_META, "ObjectMeta"), 2: ("spec", "TokenRequestSpec")},
    "TokenRequestSpec": {
        1: ("audiences", "[]string"),
        3: ("boundObjectRef", "BoundObjectReference"),
        4: ("expirationSeconds", "int"),
    },
    "BoundObjectReference": {
        1: ("kind", "string"),
        2: ("apiVersion", "string"),
        3: ("name", "string"),
        4: ("uid", "string"),
    },
    "Namespace": {1: (_META, "ObjectMeta"), 2: ("spec", "NamespaceSpec")},
    "NamespaceSpec": {1: ("finalizers", "[]string")},
    "ConfigMap": {
        1: (_META, "ObjectMeta"),
        2: ("data", "map:string"),
        3: ("binaryData", "map:bytes"),
        4: ("immutable", "bool"),
    },
    "Secret": {
        1: (_META, "ObjectMeta"),
        2: ("data", "map:bytes"),
        3: ("type", "string"),
        4: ("stringData", "map:string"),
        5: ("immutable", "bool"),
    },
    "ServiceAccount": {
        1: (_META, "ObjectMeta"),
        2: ("secrets", "[]ObjectReference"),
        3: ("imagePullSecrets", "[]LocalObjectReference"),
        4: ("automountServiceAccountToken", "bool"),
    },
    "ObjectReference": {
        1: ("kind", "string"),
        2: ("namespace", "string"),
        3: ("name", "string"),
        4: ("uid", "string"),
        5: ("apiVersion", "string"),
        6: ("resourceVersion", "string"),
        7: ("fieldPath", "string"),
    },
    "LocalObjectReference": {1: ("name", "string")},
    "Role": {1: (_META, "ObjectMeta"), 2: ("rules", "[]PolicyRule")},
    "ClusterRole": {
        1: (_META, "ObjectMeta"),
        2: ("rules", "[]PolicyRule"),
        3: ("aggregationRule", "AggregationRule"),
    },
    "AggregationRule": {1: ("clusterRoleSelectors", "[]LabelSelector")},
    "LabelSelector": {1: ("matchLabels", "map:string"), 2: ("matchExpressions", "[]LabelSelectorRequirement")},
    "LabelSelectorRequirement": {1: ("key", "string"), 2: ("operator", "string"), 3: ("values", "[]string")},
    "PolicyRule": {
        1: ("verbs", "[]string"),
        2: ("apiGroups", "[]string"),
        3: ("resources", "[]string"),
        4: ("resourceNames", "[]string"),
        5: ("nonResourceURLs", "[]string"),
    },
    "RoleBinding": {1: (_META, "ObjectMeta"), 2: ("subjects", "[]Subject"), 3: ("roleRef", "RoleRef")},
    "ClusterRoleBinding": {1: (_META, "ObjectMeta"), 2: ("subjects", "[]Subject"), 3: ("roleRef", "RoleRef")},
    "Subject": {1: ("kind", "string"), 2: ("apiGroup", "string"), 3: ("name", "string"), 4: ("namespace", "string")},
    "RoleRef": {1: ("apiGroup", "string"), 2: ("kind", "string"), 3: ("name", "string")},
    "DeleteOptions": {
        1: ("gracePeriodSeconds", "int"),
        2: ("preconditions", "Preconditions"),
        3: ("orphanDependents", "bool"),
        4: ("propagationPolicy", "string"),
        5: ("dryRun", "[]string"),
    },
    "Preconditions": {1: ("uid", "string"), 2: ("resourceVersion", "string")},
}
_KINDS = {
    **dict.fromkeys(("Namespace", "ConfigMap", "Secret", "ServiceAccount", "DeleteOptions"), "v1"),
    **dict.fromkeys(("SelfSubjectReview", "TokenReview", "TokenRequest"), "authentication.k8s.io/v1"),
    **dict.fromkeys(
        ("SelfSubjectAccessReview", "SubjectAccessReview", "LocalSubjectAccessReview", "SelfSubjectRulesReview"),
        "authorization.k8s.io/v1",
    ),
    **dict.fromkeys(("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"), "rbac.authorization.k8s.io/v1"),
}

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class UnknownMessageError(Exception):
    """The body is well-formed, but its kind is none that is read."""


def decode(body: bytes) -> Object:
    """Decode an object in its envelope. Raises ``ValueError`` for a damaged one, ``UnknownMessageError``."""
    if not body.startswith(MAGIC):
        raise ValueError("it does not begin with the prefix k8s\\0")
    envelope = _message("Unknown", body[len(MAGIC) :])
    identity = envelope.get("typeMeta", {})
    api_version, kind = identity.get("apiVersion", ""), identity.get("kind", "")
    known = _KINDS.get(kind)
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
    fields = _MESSAGES[name]
    result: Object = {}
    for number, raw in _fields(data):
        if number not in fields:
            continue
        field, kind = fields[number]
        if kind.startswith("[]"):
            result.setdefault(field, []).append(_value(kind[2:], raw))
        elif kind.startswith("map:"):
            key, value = _entry(kind[4:], raw)
            result.setdefault(field, {})[key] = value
        else:
            value = _value(kind, raw)
            # proto2 writes empty strings of Go structs; JSON leaves them out.
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
    if kind == "string":
        return _bytes(raw).decode()
    if kind == "bytes":
        return base64.b64encode(_bytes(raw)).decode()
    if kind == "bool":
        return bool(raw)
    if kind == "int":
        if isinstance(raw, bytes):
            raise ValueError("a number is expected where there is a message")
        return struct.unpack("<q", struct.pack("<Q", raw & 0xFFFFFFFFFFFFFFFF))[0]
    if kind == "Time":
        seconds = dict(_fields(_bytes(raw))).get(1, 0)
        return format_time(datetime.fromtimestamp(seconds, UTC)) if isinstance(seconds, int) and seconds else None
    if kind == "Values":
        return _message("Values", _bytes(raw)).get("items", [])
    return _message(kind, _bytes(raw))


def _bytes(raw: int | bytes) -> bytes:
    if isinstance(raw, int):
        raise ValueError("a message is expected where there is a number")
    return raw
