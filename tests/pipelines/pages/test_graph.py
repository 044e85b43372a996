"""Laying out a graph: layers, no overlaps, edges downwards, whatever the graph."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.pipelines.pages.graph import fit, layers_of, layout

SIZE = (200.0, 50.0)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    count = draw(st.integers(1, 14))
    nodes = [f"n{i}" for i in range(count)]
    pairs = list(combinations(range(count), 2))
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=24)) if pairs else []
    order = draw(st.permutations(nodes))
    return nodes, [(order[a], order[b]) for a, b in chosen]


def test_layers_are_the_longest_path() -> None:
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d"), ("x", "d")]
    assert layers_of(list("abcdx"), edges) == {"a": 0, "x": 0, "b": 1, "c": 2, "d": 3}


def test_a_circle_and_an_unknown_node_are_named() -> None:
    with pytest.raises(ValueError, match="the tasks a, b wait for each other"):
        layers_of(["a", "b", "c"], [("a", "b"), ("b", "a"), ("c", "a")])
    with pytest.raises(ValueError, match="unknown node"):
        layers_of(["a"], [("a", "b")])


def test_nothing_and_one() -> None:
    assert layout({}, []).boxes == {}
    alone = layout({"a": SIZE}, [])
    assert (alone.width, alone.height) == (224.0, 74.0)


def test_a_chain_is_straight_and_a_diamond_is_symmetric() -> None:
    chain = layout(dict.fromkeys("abcd", SIZE), [("a", "b"), ("b", "c"), ("c", "d")])
    assert len({box.x for box in chain.boxes.values()}) == 1
    diamond = layout(dict.fromkeys("abcd", SIZE), [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]).boxes
    assert diamond["a"].x == pytest.approx(diamond["d"].x, abs=1)
    assert diamond["a"].x == pytest.approx((diamond["b"].x + diamond["c"].x) / 2, abs=1)


def test_two_parallel_chains_do_not_cross() -> None:
    edges = [("s", "a1"), ("s", "b1"), ("a1", "a2"), ("b1", "b2"), ("b2", "e"), ("a2", "e")]
    boxes = layout(dict.fromkeys(["s", "a1", "b1", "b2", "a2", "e"], SIZE), edges).boxes
    assert (boxes["a1"].x < boxes["b1"].x) == (boxes["a2"].x < boxes["b2"].x)


@given(graphs())
@settings(deadline=None)
def test_boxes_never_overlap_and_edges_point_down(graph: tuple[list[str], list[tuple[str, str]]]) -> None:
    nodes, edges = graph
    drawn = layout(dict.fromkeys(nodes, SIZE), edges)
    for one, other in combinations(drawn.boxes.values(), 2):
        beside = one.x + one.width <= other.x + 0.2 or other.x + other.width <= one.x + 0.2
        assert beside or one.y + one.height <= other.y or other.y + other.height <= one.y
    for source, target in edges:
        assert drawn.boxes[source].y < drawn.boxes[target].y
    for box in drawn.boxes.values():
        assert box.x >= 0
        assert box.x + box.width <= drawn.width
        assert box.y + box.height <= drawn.height
    assert {(line.source, line.target) for line in drawn.lines} == set(edges)
    assert drawn == layout(dict.fromkeys(nodes, SIZE), edges), "the same graph is always drawn the same"


@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=30))
def test_fit_is_ordered_and_keeps_what_is_ordered(values: list[float]) -> None:
    fitted = fit(values)
    assert fitted == sorted(fitted)
    assert sum(fitted) == pytest.approx(sum(values), abs=1e-6)
    assert fit(sorted(values)) == sorted(values)


def test_a_thousand_steps_are_laid_out() -> None:
    nodes = {f"n{i}": SIZE for i in range(1000)}
    edges = [(f"n{i // 3}", f"n{i}") for i in range(1, 1000)]
    assert len(layout(nodes, edges).boxes) == 1000
