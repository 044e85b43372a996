import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from headwater.kube.meta.nesting import is_deeper_than

VALUES = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


def depth_of(value: object) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(depth_of, children), default=0)


@given(VALUES, st.booleans())
def test_it_counts_as_the_loader_nests(value: object, flow: bool) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow)
    depth = depth_of(value)
    assert not is_deeper_than(text, depth)
    assert depth == 0 or is_deeper_than(text.encode(), depth - 1)


@pytest.mark.parametrize(
    "text",
    ["[" * 300_000, "{a: " * 300_000, "- " * 300_000 + "x", "? " * 300_000, "a: 1\n---\n" + "[" * 300_000],
    ids=["lists", "maps", "sequences", "keys", "second document"],
)
def test_what_would_end_the_process_is_seen_in_time(text: str) -> None:
    assert is_deeper_than(text, 200)


@pytest.mark.parametrize("text", ["", "a: b: c", "[1, 2", "\x00", b"\xff\xfe\xff"])
def test_what_is_not_yaml_is_left_to_the_reader(text: str | bytes) -> None:
    assert not is_deeper_than(text, 200)
