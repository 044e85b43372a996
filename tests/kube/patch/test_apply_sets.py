"""The algebra of field sets, against Python's own sets of paths."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.kube.patch.apply_sets import (
    Fields,
    difference,
    intersection,
    members,
    path_text,
    read_fields,
    union,
)
from headwater.kube.patch.errors import PatchError

STEPS = ["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"']
paths = st.sets(st.lists(st.sampled_from(STEPS), min_size=1, max_size=3).map(tuple), max_size=6)


def tree(model: set[tuple[str, ...]]) -> Fields:
    """Build a set of fields path by path, as clients write it."""
    root: dict[str, Any] = {}
    for path in sorted(model):
        node = root
        for step in path:
            node = node.setdefault(step, {})
        node["."] = {}
    return read_fields(root)


@given(paths, paths)
def test_sets_of_fields_are_sets(left: set[tuple[str, ...]], right: set[tuple[str, ...]]) -> None:
    one, two = tree(left), tree(right)
    assert set(members(one)) == left
    assert union(one, two) == tree(left | right)
    assert intersection(one, two) == tree(left & right)
    assert difference(one, two) == tree(left - right)
    assert (one, two) == (tree(left), tree(right))


def test_paths_are_written_as_kubectl_shows_them() -> None:
    path = ("f:spec", "f:ports", 'k:{"containerPort":80,"protocol":"TCP"}', "f:name")
    assert path_text(path) == '.spec.ports[containerPort=80,protocol="TCP"].name'
    assert path_text(("f:metadata", "f:finalizers", 'v:"x/y"')) == '.metadata.finalizers[="x/y"]'


@pytest.mark.parametrize("value", [[], {"a": {}}, {"f:a": 1}, {"k:": {}}, {"k:[]": {}}, {"v:{": {}}, {"x:a": {}}])
def test_what_is_no_set_of_fields_is_refused(value: Any) -> None:
    with pytest.raises(PatchError):
        read_fields(value)


def test_a_set_is_read_in_its_canonical_form() -> None:
    sent = {"f:spec": {'k:{"b": 1, "a": 2}': {".": {}, "f:x": {".": {}}}}}
    assert read_fields(sent) == {"f:spec": {'k:{"a":2,"b":1}': {".": {}, "f:x": {}}}}
