"""The filter of the runs list, and what it says to mistakes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.pipelines.pages.filter import FilterError, filter_document, predicates_of
from headwater.pipelines.records.filters import parse_filter
from headwater.pipelines.records.lists import RUN_FIELDS


@pytest.mark.parametrize(
    ("text", "predicates"),
    [
        ("", []),
        ("cancer", [(9, "display_name", "cancer")]),
        ("breast cancer", [(9, "display_name", "breast cancer")]),
        ("state = failed", [(1, "state", "FAILED")]),
        ("state=failed and name ~ cancer", [(1, "state", "FAILED"), (9, "display_name", "cancer")]),
        ("State != Running AND cancer", [(2, "state", "RUNNING"), (9, "display_name", "cancer")]),
        ('name = "a = b"', [(1, "display_name", "a = b")]),
    ],
)
def test_what_is_understood(text: str, predicates: list[tuple[int, str, str]]) -> None:
    assert [(p["operation"], p["key"], p["string_value"]) for p in predicates_of(text)] == predicates


def test_times_are_compared_as_times() -> None:
    (predicate,) = predicates_of("created > 2026-01-31T12:00:00Z")
    assert predicate == {"operation": 3, "key": "created_at", "timestamp_value": "2026-01-31T12:00:00Z"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stat = failed", "There is no field “stat”; known are state, name"),
        ("state = broken", "“broken” is no state; runs are pending, running"),
        ("metrics.accuracy > 0.9", "not built yet"),
        ("created ~ 2026", "A time has no parts"),
    ],
)
def test_mistakes_are_answered(text: str, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        predicates_of(text)


def test_archived_runs_are_apart() -> None:
    assert '"ARCHIVED"' in filter_document("", archived=True)
    assert '"AVAILABLE"' in filter_document("")
    states = json.loads(filter_document("", states=("PENDING", "RUNNING")))["predicates"][-1]
    assert states == {"operation": 8, "key": "state", "string_values": {"values": ["PENDING", "RUNNING"]}}


@given(st.text(max_size=60))
def test_whatever_is_typed_is_understood_or_answered(text: str) -> None:
    try:
        document = filter_document(text)
    except FilterError:
        return
    if "timestamp_value" not in document:
        parse_filter(document, RUN_FIELDS)
