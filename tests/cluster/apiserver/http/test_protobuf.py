"""The protobuf decoder, against messages that are written here by the format's own rules."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.cluster.apiserver.http.messages import Field, fields_of, message_of
from headwater.cluster.apiserver.http.protobuf import MAGIC, UnknownMessageError, decode


def varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def part(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def encode(message: str, obj: dict[str, Any]) -> bytes:
    """Write an object as Go would, from the same tables."""
    fields = fields_of(message)
    assert fields is not None
    out = b""
    for number, field in fields.items():
        if field.name == "":
            inner = encode(field.kind, obj)
            out += part(number, inner) if inner else b""
        elif field.name in obj:
            value = obj[field.name]
            if field.mapped:
                out += b"".join(
                    part(number, part(1, key.encode()) + part(2, scalar(field, item))) for key, item in value.items()
                )
            elif field.repeated:
                out += b"".join(part(number, scalar(field, item)) for item in value)
            else:
                out += part(number, scalar(field, value))
    return out


def scalar(field: Field, value: Any) -> int | bytes:
    match field.kind:
        case "string":
            return str(value).encode()
        case "bool" | "int":
            return int(value)
        case "quantity":
            return part(1, value.encode())
        case "intstr":
            return part(1, 0) + part(2, value) if isinstance(value, int) else part(1, 1) + part(3, value.encode())
        case "raw":
            return part(1, json.dumps(value).encode())
        case _:
            return encode(field.kind, value)


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return MAGIC + part(1, part(1, api_version.encode()) + part(2, kind.encode())) + part(2, raw)


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "labels": {"a": "b"}, "deletionGracePeriodSeconds": 0},
    "spec": {
        "volumes": [{"name": "v", "configMap": {"name": "c", "optional": False}}, {"name": "e", "emptyDir": {}}],
        "containers": [
            {
                "name": "main",
                "image": "busybox",
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "resources": {"limits": {"cpu": "1"}},
                "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": True}],
                "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 3},
                "securityContext": {"runAsUser": 0, "runAsNonRoot": False},
            }
        ],
        "terminationGracePeriodSeconds": 0,
        "tolerations": [{"key": "x", "operator": "Exists", "tolerationSeconds": -1}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]}]
                }
            }
        },
    },
}


def test_a_pod_with_everything_in_it() -> None:
    assert decode(envelope("v1", "Pod", encode("core/v1.Pod", POD))) == POD


def test_what_go_writes_for_nothing_is_nothing() -> None:
    spec = part(9, b"") + part(11, 0) + part(4, 0)
    pod = decode(envelope("v1", "Pod", part(1, part(8, b"")) + part(2, spec)))
    assert pod == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {},
        "spec": {"terminationGracePeriodSeconds": 0},
    }


def test_an_index_may_be_a_number_or_a_text() -> None:
    ports = [{"port": 80, "targetPort": 8080}, {"port": 81, "targetPort": "web"}]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": ports}}
    assert decode(envelope("v1", "Service", encode("core/v1.Service", service))) == service


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [("v1", "Pod"), ("apps/v1", "StatefulSet"), ("coordination.k8s.io/v1", "Lease"), ("autoscaling/v1", "Scale"),
     ("policy/v1", "Eviction"), ("discovery.k8s.io/v1", "EndpointSlice"), ("apps/v1", "DeleteOptions")],
)  # fmt: skip
def test_the_kinds_that_go_clients_send_are_read(api_version: str, kind: str) -> None:
    assert message_of(api_version, kind) is not None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200), st.sampled_from(["Pod", "Service", "ConfigMap", "Event"]))
def test_damaged_messages_are_refused(raw: bytes, kind: str) -> None:
    for body in (envelope("v1", kind, raw), MAGIC + raw):
        with suppress(ValueError, UnknownMessageError):
            assert isinstance(decode(body), dict)
