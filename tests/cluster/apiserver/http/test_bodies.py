"""What bodies are read, and the sentence for those that are not."""

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.cluster.apiserver.http.bodies import read_object, read_patch, read_value
from headwater.kube.client import PatchType
from headwater.kube.meta.errors import StatusError

YAML = "application/yaml"
JSON = "application/json"


@pytest.mark.parametrize(
    ("content_type", "body", "code", "message"),
    [
        (JSON, b"", 400, "the body is empty; it must be a JSON document"),
        (JSON, b'{"a": 1,\n "b": }', 400, "expected a JSON value at line 2, column 7"),
        (JSON, b"[1]", 400, "the body must be an object, not a list"),
        (JSON, b"null", 400, "the body must be an object, not null"),
        (JSON, b"\xff\xfe", 400, "not valid JSON"),
        (YAML, b"", 400, "the body is empty; it must be a YAML document"),
        (YAML, b"# nothing\n", 400, "the body is empty; it must be a YAML document"),
        (YAML, b"a: 1\n b: 2\n", 400,
         "the body is not valid YAML: mapping values are not allowed in this context at line 2, column 3"),
        (YAML, b"a: 1\na: 2\n", 400, "the body is not valid YAML: the key 'a' comes twice at line 2, column 1"),
        (YAML, b"a: {b: 1\n", 400, "the body is not valid YAML"),
        (YAML, b"a: 1\n---\nb: 2\n", 400, "the body holds 2 YAML documents; send one request for each"),
        (YAML, b"a: !!python/object:os.system x\n", 400, "could not determine a constructor"),
        (YAML, b"spec:\n  x: .nan\n", 400, "the value at spec.x cannot be written as JSON: nan"),
        (YAML, b"spec:\n- a: !!binary aGk=\n", 400, "the value at spec[0].a cannot be written as JSON"),
        (YAML, b"a: &x [*x]\n", 400, "nested more than 200 levels deep"),
        (YAML, b"\xff", 400, "it is not UTF-8"),
        (YAML, b"a: *nothing\n", 400, "undefined alias"),
        (YAML, b"just text", 400, "the body must be an object, not a string"),
        ("text/xml", b"<a/>", 415, "the body is sent as 'text/xml'"),
        ("application/vnd.kubernetes.protobuf", b"hello", 400, "not a valid protobuf message"),
        ("application/vnd.kubernetes.protobuf", b"k8s\0\x0a\xff", 400, "not a valid protobuf message: it is cut off"),
        ("application/vnd.kubernetes.protobuf", b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Cod", 415,
         "a protobuf body with the kind Cod of v1 is not read yet; send JSON or YAML"),
        ("application/vnd.kubernetes.protobuf", b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x04\x4a\x02hi", 415,
         "a protobuf body with field 9 of ConfigMap is not read yet"),
    ],
)  # fmt: skip
def test_bad_bodies_get_one_clear_sentence(content_type: str, body: bytes, code: int, message: str) -> None:
    with pytest.raises(StatusError) as caught:
        read_object(body, content_type)
    assert caught.value.code == code
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_a_small_yaml_body_cannot_grow() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(StatusError, match="too large once its YAML aliases are expanded"):
        read_object("\n".join(lines).encode(), YAML)


def test_yaml_says_what_json_can_say() -> None:
    body = b"at: 2026-01-01\nwhen: 2026-01-01T00:00:00Z\n7: seven\ntrue: yes\n"
    body += b"base: &b {x: 1}\nmore: {<<: *b, y: 2}\nn: ~\n"
    assert read_object(body, YAML) == {
        "at": "2026-01-01",
        "when": "2026-01-01T00:00:00Z",
        "7": "seven",
        "true": True,
        "base": {"x": 1},
        "more": {"x": 1, "y": 2},
        "n": None,
    }


def test_json_is_yaml() -> None:
    assert read_object(b' {"a": [1, 2.5, "x"]}', YAML) == {"a": [1, 2.5, "x"]}
    assert read_object(b"{a: 1}", YAML) == {"a": 1}


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text("abcxyz", min_size=1), JSON_VALUES))
def test_what_yaml_writes_is_read_again(value: dict[str, Any]) -> None:
    assert read_value(yaml.safe_dump(value, allow_unicode=True).encode(), YAML) == value


@given(st.binary(max_size=60))
def test_no_protobuf_body_is_a_fault_of_the_server(data: bytes) -> None:
    with pytest.raises(StatusError) as caught:
        read_value(b"k8s\0" + data, "application/vnd.kubernetes.protobuf")
    assert caught.value.code in (400, 415)


@pytest.mark.parametrize(
    ("content_type", "body", "custom", "code"),
    [
        ("application/merge-patch+json", b"[]", False, 400),
        ("application/json-patch+json", b"{}", False, 400),
        ("application/strategic-merge-patch+json", b"{", False, 400),
        ("application/strategic-merge-patch+json", b"{}", True, 415),
        ("application/json", b"{}", False, 415),
        ("", b"{}", False, 415),
    ],
)
def test_bad_patches(content_type: str, body: bytes, custom: bool, code: int) -> None:
    with pytest.raises(StatusError) as caught:
        read_patch(body, content_type, custom=custom)
    assert caught.value.code == code


def test_patches() -> None:
    assert read_patch(b"[]", "application/json-patch+json", custom=True) == (PatchType.JSON, [])
    assert read_patch(b"{}", "application/merge-patch+json; charset=utf-8", custom=True) == (PatchType.MERGE, {})
    assert read_patch(b"a: 1", "application/apply-patch+yaml", custom=False) == (PatchType.APPLY, {"a": 1})


@pytest.mark.parametrize("text", ["[" * 300_000, "a: " + "{a: " * 300_000, "{" * 300_000])
def test_yaml_that_is_nested_without_end_is_refused(text: str) -> None:
    with pytest.raises(StatusError) as refused:
        read_value(text.encode(), "application/yaml")
    assert refused.value.code == 400


def test_a_number_beyond_64_bits_is_read_as_json_reads_it() -> None:
    body = b"a: 123456789012345678901234567890\nb: 18446744073709551615\nc: -9223372036854775808\n"
    assert read_value(body, "application/yaml") == {
        "a": 123456789012345678901234567890.0,
        "b": 2**64 - 1,
        "c": -(2**63),
    }
    with pytest.raises(StatusError, match="the value at a cannot be written as JSON: inf"):
        read_value(b"a: " + b"9" * 400, "application/yaml")
