import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.kube.patch import PatchError, merge_patch


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [  # the table of RFC 7386, as far as it concerns objects
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
    ],
)
def test_the_standard(document: dict, patch: dict, expected: dict) -> None:
    assert merge_patch(document, patch) == expected


def test_only_an_object_is_a_patch() -> None:
    with pytest.raises(PatchError, match="must be a JSON object"):
        merge_patch({}, [1])


VALUES = st.recursive(
    st.none() | st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@given(OBJECTS, OBJECTS)
def test_it_is_idempotent_and_pure(document: dict, patch: dict) -> None:
    before = copy.deepcopy(document), copy.deepcopy(patch)
    once = merge_patch(document, patch)
    assert merge_patch(once, patch) == once
    assert (document, patch) == before


def test_depth_is_bounded() -> None:
    deep: dict = {}
    for _ in range(900):
        deep = {"a": deep}
    with pytest.raises(PatchError, match="levels deep"):
        merge_patch({}, deep)
