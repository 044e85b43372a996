import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.kube.schema.builtin import builtin
from headwater.kube.schema.validate import Verdict, apply_defaults, check

POD = builtin().schema_of("", "v1", "Pod")
DEPLOYMENT = builtin().schema_of("apps", "v1", "Deployment")


def pod(**spec) -> dict:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [], **spec}}


def said(verdict: Verdict) -> list[str]:
    return [f"{cause.field}: {cause.message}" for cause in verdict.causes]


def custom(**properties) -> dict:
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


def of(schema: dict, **spec) -> Verdict:
    return check(schema, {"apiVersion": "x.dev/v1", "kind": "X", "metadata": {"name": "x"}, "spec": spec})


def test_a_good_object_comes_back_itself() -> None:
    obj = pod(containers=[{"name": "a", "image": "b", "resources": {"limits": {"cpu": "1"}}}])
    verdict = check(POD, obj)
    assert verdict.pruned is obj
    assert not verdict.causes
    assert not verdict.unknown


def test_types_are_named_with_their_path() -> None:
    verdict = check(DEPLOYMENT, {"spec": {"replicas": "3", "selector": {}, "template": {}}})
    assert said(verdict) == [
        'spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"'
    ]
    assert verdict.causes[0].reason == "FieldValueTypeInvalid"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": "x"}, 'must be of type array: "string"'),
        ({"containers": [1]}, "spec.containers[0]"),
        ({"containers": [{"name": 1}]}, "spec.containers[0].name in body must be of type string"),
        ({"nodeSelector": {"a": 1}}, "spec.nodeSelector.a in body must be of type string"),
        ({"hostNetwork": "yes"}, 'must be of type boolean: "string"'),
        ({"priority": 1.5}, 'must be of type integer: "number"'),
        ({"priority": True}, 'must be of type integer: "boolean"'),
        ({"priority": 2**31}, "must be of type int32"),
        ({"securityContext": []}, 'must be of type object: "array"'),
        ({"containers": [{"name": "a", "resources": {"limits": {"cpu": "1x"}}}]}, "quantities must match"),
        ({"containers": [{"name": "a", "resources": {"limits": {"cpu": []}}}]}, "must be of type string"),
        ({"containers": [{"name": "a", "ports": [{"containerPort": "80"}]}]}, "ports[0].containerPort"),
        ({"containers": [{"name": "a", "livenessProbe": {"httpGet": {"port": 1.5}}}]}, "type integer,string"),
        ({"containers": [{}]}, "spec.containers[0].name: Required value"),
        ({"containers": None}, None),
        ({"volumes": [{"name": "v", "hostPath": {"path": None}}]}, "hostPath.path: Required value"),
    ],
)
def test_what_a_pod_may_not_be(spec: dict, expected: str | None) -> None:
    found = said(check(POD, pod(**spec)))
    assert found == [] if expected is None else expected in found[0]


def test_times_and_bytes_have_formats() -> None:
    secret = builtin().schema_of("", "v1", "Secret")
    wrong = check(secret, {"metadata": {"creationTimestamp": "yesterday"}, "data": {"a": "!!"}})
    assert [cause.field for cause in wrong.causes] == ["metadata.creationTimestamp", "data.a"]
    assert "!!" not in wrong.causes[1].message
    right = check(secret, {"metadata": {"creationTimestamp": "2026-01-02T03:04:05Z"}, "data": {"a": "eA=="}})
    assert not right.causes


def test_unknown_fields_are_listed_and_pruned() -> None:
    obj = pod(containers=[{"name": "a", "imagee": "x"}], replicas=1)
    obj["metadata"]["colour"] = "red"
    before = copy.deepcopy(obj)
    verdict = check(POD, obj)
    assert verdict.unknown == ["metadata.colour", "spec.containers[0].imagee", "spec.replicas"]
    assert verdict.strict_message.startswith('strict decoding error: unknown field "metadata.colour"')
    assert verdict.pruned == pod(containers=[{"name": "a"}])
    assert obj == before


def test_null_is_absence_in_a_built_in_kind() -> None:
    obj = pod(nodeName=None, tolerations=None)
    obj["metadata"]["creationTimestamp"] = None
    assert check(POD, obj).pruned == pod()
    roles = builtin().schema_of("", "v1", "ConfigMap")
    assert check(roles, {"data": {"a": None}}).pruned == {"data": {"a": ""}}


def test_amounts_become_text() -> None:
    obj = pod(containers=[{"name": "a", "resources": {"requests": {"cpu": 0.5, "memory": 1024}}}])
    requests = check(POD, obj).pruned["spec"]["containers"][0]["resources"]["requests"]
    assert requests == {"cpu": "500m", "memory": "1024"}


def test_a_status_needs_no_required_fields() -> None:
    obj = pod()
    obj["status"] = {"containerStatuses": [{"name": "a"}], "conditions": [{"type": "Ready"}]}
    assert not check(POD, obj).causes


@pytest.mark.parametrize(
    ("rule", "value", "message"),
    [
        ({"type": "string", "enum": ["a", "b"]}, "c", 'Unsupported value: "c": supported values: "a", "b"'),
        ({"type": "string", "pattern": "^a+$"}, "b", "Invalid value: \"b\": spec.x in body should match '^a+$'"),
        ({"type": "string", "pattern": "^a$"}, "a\n", "should match"),
        ({"type": "string", "minLength": 2}, "a", "should be at least 2 chars long"),
        ({"type": "string", "maxLength": 2}, "abc", "Too long: may not be more than 2 bytes"),
        ({"type": "string", "format": "date-time"}, "x", 'must be of type date-time: "x"'),
        ({"type": "integer", "minimum": 1}, 0, "Invalid value: 0: spec.x in body should be greater than or equal to 1"),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, 1, "should be greater than 1"),
        ({"type": "integer", "maximum": 1}, 2, "should be less than or equal to 1"),
        ({"type": "number", "maximum": 1, "exclusiveMaximum": True}, 1.0, "should be less than 1"),
        ({"type": "integer", "multipleOf": 2}, 3, "should be a multiple of 2"),
        ({"type": "integer"}, 1.5, 'must be of type integer: "number"'),
        ({"type": "string"}, None, 'must be of type string: "null"'),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, [], "should have at least 1 items"),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 0}, ["a"], "Too many: 1: must have at most 0"),
        (
            {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            ["a", "a"],
            'Duplicate value: "a"',
        ),
        (
            {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["n"],
                "items": {"type": "object", "properties": {"n": {"type": "string"}, "v": {"type": "integer"}}},
            },
            [{"n": "a", "v": 1}, {"n": "a", "v": 2}],
            'Duplicate value: {"n":"a"}',
        ),
        ({"type": "object", "minProperties": 1}, {}, "should have at least 1 properties"),
        ({"type": "object", "required": ["y"], "properties": {"y": {"type": "string"}}}, {}, "Required value"),
        ({"x-kubernetes-int-or-string": True}, [], 'must be of type integer,string: "array"'),
        ({"type": "integer", "anyOf": [{"minimum": 5}, {"maximum": 1}]}, 3, "at least one schema (anyOf)"),
        ({"type": "integer", "oneOf": [{"minimum": 1}, {"minimum": 2}]}, 3, "Found 2 valid alternatives"),
        ({"type": "integer", "oneOf": [{"minimum": 5}]}, 3, "Found none valid"),
        ({"type": "integer", "not": {"enum": [3]}}, 3, "must not validate the schema (not)"),
        ({"type": "integer", "allOf": [{"maximum": 2}]}, 3, "should be less than or equal to 2"),
        (
            {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
            {"kind": "X"},
            "Required value",
        ),
    ],
)
def test_rules_of_custom_resources(rule: dict, value, message: str) -> None:
    verdict = of(custom(x=rule), x=value)
    assert message in said(verdict)[0]
    assert verdict.causes[0].field.startswith("spec.x")


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({"type": "string", "nullable": True}, None),
        ({"type": "integer"}, 2.0),
        ({"type": "number"}, 2),
        ({"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}, "25%"),
        ({"x-kubernetes-preserve-unknown-fields": True}, {"any": [{"thing": 1}]}),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1}),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}]}, {"a": "x"}),
        ({"type": "string", "pattern": r"^[a-z]+\z"}, "abc"),
    ],
)
def test_what_custom_resources_may_be(rule: dict, value) -> None:
    verdict = of(custom(x=rule), x=value)
    assert said(verdict) == []
    assert verdict.unknown == []


def test_a_branch_requires_but_does_not_prune() -> None:
    schema = custom(a={"type": "string"}, b={"type": "string"})
    schema["properties"]["spec"]["oneOf"] = [{"required": ["a"]}, {"required": ["b"]}]
    assert not of(schema, a="1").causes
    assert of(schema).causes
    assert of(schema, a="1", b="2").causes
    assert of(schema, a="1").pruned["spec"] == {"a": "1"}


def test_a_custom_resource_has_metadata_whatever_its_schema_says() -> None:
    verdict = check({"type": "object"}, {"apiVersion": "a/v1", "kind": "X", "metadata": {"name": 1, "z": 2}, "spec": 1})
    assert verdict.unknown == ["spec", "metadata.z"]
    assert "metadata.name" in said(verdict)[0]


def test_a_schema_may_restrict_the_name() -> None:
    schema = {
        "type": "object",
        "properties": {"metadata": {"properties": {"name": {"type": "string", "maxLength": 1}}}},
    }
    assert check(schema, {"metadata": {"name": "ab"}}).causes[0].field == "metadata.name"


def test_what_contains_itself_without_end_is_refused() -> None:
    schema: dict = {"type": "object", "properties": {}}
    schema["properties"]["x"] = schema
    obj: dict = {}
    for _ in range(300):
        obj = {"x": obj}
    assert "levels deep" in check(schema, obj).causes[0].message


def test_what_is_free_is_not_free_of_depth() -> None:
    deep: dict = {}
    for _ in range(900):
        deep = {"a": [deep]}
    for free in ({"x-kubernetes-preserve-unknown-fields": True}, {"type": "object", "additionalProperties": True}):
        verdict = of(custom(x=free), x=deep)
        assert "levels deep" in said(verdict)[0]
        assert not of(custom(x=free), x={"a": [{"b": [1]}]}).causes


def test_something_that_is_no_object() -> None:
    assert check(POD, [])  # type: ignore[arg-type]
    assert said(check(POD, "x")) == [': Invalid value: "string": body must be of type object: "string"']  # type: ignore[arg-type]


DEFAULTING = custom(
    a={"type": "integer", "default": 1},
    b={"type": "object", "default": {}, "properties": {"c": {"type": "string", "default": "x"}}},
    items={
        "type": "array",
        "items": {"type": "object", "properties": {"n": {"type": "integer", "default": 2}}},
    },
    map={
        "type": "object",
        "additionalProperties": {"type": "object", "properties": {"n": {"type": "integer", "default": 3}}},
    },
    maybe={"type": "string", "nullable": True, "default": "y"},
    plain={"type": "string"},
)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {"a": 1, "b": {"c": "x"}, "maybe": "y"}),
        ({"a": None, "b": {}, "maybe": None, "plain": None}, {"a": 1, "b": {"c": "x"}, "maybe": None}),
        ({"items": [{}, {"n": 5}]}, {"a": 1, "b": {"c": "x"}, "maybe": "y", "items": [{"n": 2}, {"n": 5}]}),
        ({"map": {"k": {}}}, {"a": 1, "b": {"c": "x"}, "maybe": "y", "map": {"k": {"n": 3}}}),
    ],
)
def test_defaults(spec: dict, expected: dict) -> None:
    obj = {"spec": spec}
    before = copy.deepcopy(obj)
    assert apply_defaults(DEFAULTING, obj)["spec"] == expected
    assert obj == before


def test_defaults_are_not_shared_between_objects() -> None:
    first, second = apply_defaults(DEFAULTING, {"spec": {}}), apply_defaults(DEFAULTING, {"spec": {}})
    assert first["spec"]["b"] is not second["spec"]["b"]


def test_nothing_to_fill_in_gives_the_object_itself() -> None:
    obj = {"spec": {"a": 1, "b": {"c": "z"}, "maybe": "q"}}
    assert apply_defaults(DEFAULTING, obj) is obj


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.sampled_from(["a", "1Gi", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["spec", "metadata", "name", "containers", "env", "image", "labels", "volumes", "status", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(ANYTHING.filter(lambda value: isinstance(value, dict)), st.sampled_from([POD, DEPLOYMENT, DEFAULTING]))
def test_any_json_gets_a_verdict_and_pruning_is_final(obj: dict, schema: dict) -> None:
    before = json.dumps(obj)
    verdict = check(schema, obj)
    assert json.dumps(obj) == before
    again = check(schema, verdict.pruned)
    assert again.unknown == []
    assert again.pruned == verdict.pruned
    assert json.dumps(apply_defaults(schema, obj)) is not None
