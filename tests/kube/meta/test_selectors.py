import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.kube.meta.selectors import FieldSelector, LabelSelector


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a==b", {"a": "c"}, False),
        ("a=b", {}, False),
        ("a!=b", {}, True),
        ("a!=b", {"a": "b"}, False),
        ("a in (x, y)", {"a": "y"}, True),
        ("a in (x,y)", {}, False),
        ("a notin (x,y)", {}, True),
        ("a notin (x,y)", {"a": "x"}, False),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        (" ! a ", {}, True),
        ("a=", {"a": ""}, True),
        ("a=,b", {"a": "", "b": "1"}, True),
        ("a in (,x)", {"a": ""}, True),
        ("n>3", {"n": "4"}, True),
        ("n<3", {"n": "4"}, False),
        ("n>3", {"n": "x"}, False),
        ("a=b,c!=d,e in (x,y),!f,g", {"a": "b", "e": "x", "g": ""}, True),
        ("x.dev/a=b", {"x.dev/a": "b"}, True),
        ("in in (in)", {"in": "in"}, True),
    ],
)
def test_labels(text: str, labels: dict[str, str], expected: bool) -> None:
    assert LabelSelector.parse(text).matches(labels) is expected


@pytest.mark.parametrize(
    "text", ["a=b,", ",", "a in x", "a in (x", "a in", "=b", "a b", "!", "a!b", "a=b=c", "a>x", "a=b c", "a b=", "ä=b"]
)
def test_what_is_no_label_selector(text: str) -> None:
    with pytest.raises(ValueError):
        LabelSelector.parse(text)


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        (None, {"a": "b"}, False),
        ({}, {"a": "b"}, True),
        ({"matchLabels": {"a": "b"}}, {"a": "b", "c": "d"}, True),
        ({"matchLabels": None, "matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": "b"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": "b"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}, {"a": "b"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, {}, True),
    ],
)
def test_selectors_in_objects(selector, labels: dict[str, str], expected: bool) -> None:
    assert LabelSelector.from_object(selector).matches(labels) is expected


@pytest.mark.parametrize(
    "expression",
    [
        {"key": "a", "operator": "Like"},
        {"key": "a", "operator": "In"},
        {"key": "a", "operator": "Exists", "values": ["x"]},
        {"key": "", "operator": "Exists"},
    ],
)
def test_what_is_no_selector_in_an_object(expression: dict) -> None:
    with pytest.raises(ValueError):
        LabelSelector.from_object({"matchExpressions": [expression]})


def test_a_service_without_a_selector_selects_nothing() -> None:
    assert not LabelSelector.from_labels({}).matches({"a": "b"})
    assert LabelSelector.from_labels({"a": "b"}).matches({"a": "b"})


KEYS = st.sampled_from(["a", "b", "x.dev/c"])
VALUES = st.sampled_from(["", "1", "2", "z"])
TERMS = st.one_of(
    st.tuples(KEYS, st.sampled_from(["=", "!="]), VALUES).map("".join),
    st.tuples(KEYS, st.sampled_from([" in ", " notin "]), st.lists(VALUES, min_size=1, max_size=3)).map(
        lambda term: f"{term[0]}{term[1]}({','.join(term[2])})"
    ),
    KEYS,
    KEYS.map("!".__add__),
)


@given(st.lists(TERMS, max_size=4), st.dictionaries(KEYS, VALUES))
def test_a_selector_is_the_conjunction_of_its_terms_and_reads_back(terms: list[str], labels: dict[str, str]) -> None:
    selector = LabelSelector.parse(",".join(terms))
    assert selector.matches(labels) is all(LabelSelector.parse(term).matches(labels) for term in terms)
    assert LabelSelector.parse(str(selector)).matches(labels) is selector.matches(labels)


@given(st.text("ab=!,()<> in", max_size=12))
def test_any_text_parses_or_says_why(text: str) -> None:
    with contextlib.suppress(ValueError):
        selector = LabelSelector.parse(text)
        assert LabelSelector.parse(str(selector)) == selector


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("metadata.name=x", True),
        ("metadata.name==x,status.phase!=Running", True),
        ("metadata.name!=x", False),
        ("spec.nodeName=", True),
        ("spec.nodeName!=", False),
        (r"note=a\,b\=c", True),
    ],
)
def test_fields(text: str, expected: bool) -> None:
    fields = {"metadata.name": "x", "status.phase": "Pending", "note": "a,b=c"}
    selector = FieldSelector.parse(text)
    assert selector.matches(lambda name: fields.get(name, "")) is expected
    assert FieldSelector.parse(str(selector)) == selector


@pytest.mark.parametrize("text", ["a", "a,b=c", "a>b", "=x", r"a=b\n", "a=b=c"])
def test_what_is_no_field_selector(text: str) -> None:
    with pytest.raises(ValueError, match="invalid selector"):
        FieldSelector.parse(text)
