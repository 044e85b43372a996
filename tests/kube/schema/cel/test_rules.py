"""Rules of custom resources: which are refused, which objects they refuse, and what they say."""

from typing import Any

import pytest

from headwater.kube.schema.cel.rules import Rules, check_rules


def schema(*rules: dict[str, Any], **properties: Any) -> dict[str, Any]:
    spec = {"type": "object", "properties": properties, "x-kubernetes-validations": list(rules)}
    return {"type": "object", "properties": {"spec": spec}}


X = {"x": {"type": "integer"}, "y": {"type": "integer"}}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"rule": "self.z == 1"}, "undefined field 'z'"),
        ({"rule": "self = 1"}, "compilation failed"),
        ({"rule": "self.x"}, "must evaluate to bool"),
        ({"rule": ""}, "Required value"),
        ({"rule": "self.x == 1", "reason": "Nonsense"}, "Unsupported value"),
        ({"rule": "self.x == 1", "fieldPath": ".nope"}, "fieldPath"),
        ({"rule": "self.x == 1", "messageExpression": "self.nope"}, "messageExpression compilation failed"),
        ({"rule": "self.x == 1", "messageExpression": "self.x"}, "must evaluate to string"),
        ({"rule": "self.x == 1", "optionalOldSelf": True}, "oldSelf is not used"),
        ({"rule": "self.x == 1 &&\ntrue"}, "must be specified if rule contains line breaks"),
    ],
)
def test_bad_rules_are_refused_with_their_path(rule: dict[str, Any], message: str) -> None:
    (cause,) = check_rules(schema(rule, **X), "s")
    assert cause.field.startswith("s.properties[spec].x-kubernetes-validations[0]")
    assert message in cause.message


def test_a_rule_that_may_cost_too_much_is_refused() -> None:
    texts = {"type": "array", "items": {"type": "string"}}
    (cause,) = check_rules(schema({"rule": "self.l.all(s, s.contains('a'))"}, l=texts), "s")
    assert "estimated rule cost exceeds budget by factor of more than 100x" in cause.message
    bounded = {"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 100}}
    assert check_rules(schema({"rule": "self.l.all(s, s.contains('a'))"}, l=bounded), "s") == []


def said(of: dict[str, Any], obj: Any, old: Any = None) -> list[tuple[str, str, str]]:
    wrap = {"spec": obj}
    return [(c.field, c.message, c.reason) for c in Rules(of).check(wrap, {"spec": old} if old is not None else None)]


def test_what_a_refusal_says() -> None:
    rules = (
        {"rule": "self.x > 0"},
        {"rule": "self.x < 5", "message": "x is too large"},
        {"rule": "self.x < 5", "messageExpression": "'x is ' + string(self.x)", "fieldPath": ".x"},
        {"rule": "self.x < 5", "reason": "FieldValueForbidden", "message": "no"},
    )
    assert said(schema(*rules, **X), {"x": 1}) == []
    assert said(schema(*rules, **X), {"x": 7}) == [
        ("spec", 'Invalid value: "object": x is too large', "FieldValueInvalid"),
        ("spec.x", 'Invalid value: "object": x is 7', "FieldValueInvalid"),
        ("spec", "Forbidden: no", "FieldValueForbidden"),
    ]
    assert said(schema(*rules, **X), {"x": 0}) == [
        ("spec", 'Invalid value: "object": failed rule: self.x > 0', "FieldValueInvalid")
    ]


def test_a_rule_without_a_value_refuses() -> None:
    ((field, message, _),) = said(schema({"rule": "self.y > 0"}, **X), {"x": 1})
    assert (field, "no such key: y" in message) == ("spec", True)


def test_transition_rules_are_asked_on_updates() -> None:
    of = schema({"rule": "self.x >= oldSelf.x", "message": "x may not shrink"}, **X)
    assert said(of, {"x": 1}) == []
    assert said(of, {"x": 2}, {"x": 1}) == []
    assert [message for _, message, _ in said(of, {"x": 1}, {"x": 2})] == ['Invalid value: "object": x may not shrink']


def test_an_optional_old_self_is_asked_on_creation_too() -> None:
    rule = {"rule": "oldSelf.hasValue() || self.x == 0", "optionalOldSelf": True}
    of = schema(rule, **X)
    assert len(said(of, {"x": 1})) == 1
    assert said(of, {"x": 0}) == []
    assert said(of, {"x": 1}, {"x": 0}) == []


def test_items_are_followed_by_their_keys() -> None:
    items = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.size >= oldSelf.size"}],
    }
    disks = {
        "type": "array",
        "items": items,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    }
    of = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"disks": disks}}}}
    old = {"disks": [{"name": "a", "size": 1}, {"name": "b", "size": 5}]}
    assert said(of, {"disks": [{"name": "b", "size": 5}, {"name": "c", "size": 1}]}, old) == []
    ((field, _, _),) = said(of, {"disks": [{"name": "b", "size": 4}]}, old)
    assert field == "spec.disks[0]"


def test_what_did_not_change_is_not_judged_anew() -> None:
    of = schema({"rule": "self.x > 0"}, **X)
    assert said(of, {"x": 0}, {"x": 0}) == []
    assert len(said(of, {"x": -1}, {"x": 0})) == 1


def test_numbers_and_times_have_their_types() -> None:
    of = schema(
        {"rule": "self.n / 2.0 == 1.5 && self.t.getFullYear() == 2020 && self.d > duration('1m')"},
        n={"type": "number"},
        t={"type": "string", "format": "date-time"},
        d={"type": "string", "format": "duration"},
    )
    assert said(of, {"n": 3, "t": "2020-01-01T00:00:00Z", "d": "1h"}) == []
