"""The language against another implementation of it: what the ``cel`` package answers, ours answers."""

import math
from typing import Any

import cel
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.kube.schema.cel import CelError, compile_expression
from headwater.kube.schema.cel.types import DYN

SELF: dict[str, Any] = {"i": 3, "d": 1.5, "s": "abc", "l": [1, 2, 3], "m": {"a": 1, "b": 2}, "t": True}

integers = st.sampled_from(["self.i", "0", "1", "-7", "5", "size(self.l)", "self.m.a", "9223372036854775807"])
texts = st.sampled_from(["self.s", "'a'", '"bc"', "''", "string(self.i)"])
lists = st.sampled_from(["self.l", "[1, 2]", "[]", "self.l.map(x, x * 2)", "self.l.filter(x, x > 1)"])


def _calculated(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%"]), inner).map(lambda three: f"({' '.join(three)})")


numbers = st.recursive(integers, _calculated, max_leaves=4)
truths = st.one_of(
    st.tuples(numbers, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), numbers).map(" ".join),
    st.tuples(texts, st.sampled_from(["<", "==", "!=", ">"]), texts).map(" ".join),
    st.tuples(texts, st.sampled_from(["contains", "startsWith", "endsWith"]), texts).map(
        lambda three: f"{three[0]}.{three[1]}({three[2]})"
    ),
    st.tuples(numbers, lists).map(lambda two: f"{two[0]} in {two[1]}"),
    st.tuples(lists, st.sampled_from(["all", "exists", "exists_one"]), numbers).map(
        lambda three: f"{three[0]}.{three[1]}(x, x > {three[2]})"
    ),
    st.sampled_from(["self.t", "has(self.s)", "has(self.nope)", "self.nope == 1", "true", "false"]),
)


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        inner.map(lambda one: f"!({one})"),
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda three: f"({' '.join(three)})"),
        st.tuples(inner, inner, inner).map(lambda three: f"({three[0]} ? {three[1]} : {three[2]})"),
    )


expressions = st.one_of(numbers, texts, lists, st.recursive(truths, _joined, max_leaves=5))


def ours(text: str) -> Any:
    try:
        return compile_expression(text, {"self": DYN}).evaluate({"self": SELF})
    except CelError:
        return CelError


def theirs(text: str) -> Any:
    try:
        return cel.compile(text).execute({"self": SELF})
    except Exception:
        return CelError


@settings(max_examples=400, deadline=None)
@given(expressions)
def test_both_answer_the_same(text: str) -> None:
    mine, other = ours(text), theirs(text)
    if isinstance(mine, float) and math.isnan(mine):
        assert math.isnan(other)
    else:
        assert (type(mine), mine) == (type(other), other)
