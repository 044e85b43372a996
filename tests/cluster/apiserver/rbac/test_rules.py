"""What a rule covers, by table and by property."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.cluster.apiserver.rbac.rules import Attributes, Rule, uncovered


def rule(verbs: str, groups: str = "", resources: str = "", names: str = "", urls: str = "") -> Rule:
    def texts(text: str) -> list[str]:
        return [part if part != "core" else "" for part in text.split()]

    return Rule.compile(
        {
            "verbs": texts(verbs),
            "apiGroups": texts(groups),
            "resources": texts(resources),
            "resourceNames": texts(names),
            "nonResourceURLs": texts(urls),
        }
    )


@pytest.mark.parametrize(
    ("held", "asked", "allowed"),
    [
        (rule("get", "core", "pods"), Attributes("get", "", "pods"), True),
        (rule("get", "core", "pods"), Attributes("list", "", "pods"), False),
        (rule("get", "apps", "pods"), Attributes("get", "", "pods"), False),
        (rule("*", "*", "*"), Attributes("patch", "batch", "jobs", "status", "team", "x"), True),
        (rule("get", "core", "pods"), Attributes("get", "", "pods", "log"), False),
        (rule("get", "core", "pods/log"), Attributes("get", "", "pods", "log"), True),
        (rule("get", "core", "pods/log"), Attributes("get", "", "pods"), False),
        (rule("update", "apps", "*/scale"), Attributes("update", "apps", "deployments", "scale"), True),
        (rule("update", "apps", "*/scale"), Attributes("update", "apps", "deployments"), False),
        (rule("get", "core", "secrets", "a b"), Attributes("get", "", "secrets", name="a"), True),
        (rule("get", "core", "secrets", "a b"), Attributes("get", "", "secrets", name="c"), False),
        (rule("list", "core", "secrets", "a"), Attributes("list", "", "secrets"), False),
        (rule("get", urls="/healthz"), Attributes("get", path="/healthz"), True),
        (rule("get", urls="/healthz"), Attributes("get", path="/healthz/etcd"), False),
        (rule("get", urls="/healthz/*"), Attributes("get", path="/healthz/etcd"), True),
        (rule("get", urls="*"), Attributes("get", path="/anything"), True),
        (rule("*", "*", "*"), Attributes("get", path="/metrics"), False),
        (rule("*", urls="*"), Attributes("get", "", "pods"), False),
        (rule("get", "core", "*"), Attributes("*", "", "pods"), False),
    ],
)
def test_what_a_rule_allows(held: Rule, asked: Attributes, allowed: bool) -> None:
    assert held.allows(asked) is allowed


def test_a_denial_reads_as_in_kubernetes() -> None:
    assert Attributes("list", "", "pods", "", "team").denial("ann") == (
        'User "ann" cannot list resource "pods" in API group "" in the namespace "team"'
    )
    assert Attributes("get", "", "pods", "log", "", "x").denial("ann") == (
        'User "ann" cannot get resource "pods/log" in API group "" at the cluster scope'
    )
    assert Attributes("get", path="/metrics").denial("ann") == 'User "ann" cannot get path "/metrics"'


WORDS = st.sets(st.sampled_from(["get", "list", "*", "pods", "pods/log", "*/scale", "jobs/scale", ""]), max_size=3)


@st.composite
def rules(draw: Any) -> Rule:
    if draw(st.booleans()):
        return Rule(
            frozenset(draw(st.sets(st.sampled_from(["get", "list", "*"]), min_size=1))),
            urls=frozenset(draw(st.sets(st.sampled_from(["/a", "/a/*", "*", "/b"]), min_size=1))),
        )
    return Rule(
        frozenset(draw(st.sets(st.sampled_from(["get", "list", "*"]), min_size=1))),
        frozenset(draw(st.sets(st.sampled_from(["", "apps", "*"]), min_size=1))),
        frozenset(draw(st.sets(st.sampled_from(["pods", "pods/log", "*/scale", "jobs/scale", "*"]), min_size=1))),
        frozenset(draw(st.sets(st.sampled_from(["x", "y"])))),
    )


QUESTIONS = [
    Attributes(verb, group, resource, subresource, "", name)
    for verb in ("get", "list", "delete")
    for group in ("", "apps", "batch")
    for resource, subresource in (("pods", ""), ("pods", "log"), ("jobs", "scale"), ("other", "scale"), ("other", ""))
    for name in ("", "x", "y", "z")
] + [Attributes(verb, path=path) for verb in ("get", "list") for path in ("/a", "/a/b", "/b", "/c")]


@given(st.lists(rules(), max_size=4), st.lists(rules(), max_size=2))
def test_what_is_covered_allows_nothing_new(held: list[Rule], wanted: list[Rule]) -> None:
    if uncovered(held, wanted):
        return
    for question in QUESTIONS:
        if any(rule.allows(question) for rule in wanted):
            assert any(rule.allows(question) for rule in held), question


@given(rules())
def test_a_rule_covers_itself(one: Rule) -> None:
    assert uncovered([one], [one]) == []
