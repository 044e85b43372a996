import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.pipelines.records.filters import (
    Field,
    FieldType,
    Operation,
    Position,
    Predicate,
    QueryError,
    encode_token,
    parse_filter,
    parse_page_size,
    parse_query,
    parse_sort,
)

FIELDS = {
    "name": Field("display_name"),
    "display_name": Field("display_name"),
    "storage_state": Field("storage_state", FieldType.STATE),
    "created_at": Field("created_at", FieldType.TIME),
}
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def one(**predicate) -> Predicate:
    (parsed,) = parse_filter(json.dumps({"predicates": [predicate]}), FIELDS)
    return parsed


@pytest.mark.parametrize("operation", [op for op in Operation if op is not Operation.IN])
def test_an_operation_is_a_number_or_a_name(operation: Operation) -> None:
    for written in (operation.value, operation.name, operation.name.lower()):
        parsed = one(operation=written, key="display_name", stringValue="x")
        assert parsed == Predicate(operation, "display_name", "x")


@pytest.mark.parametrize(
    ("given_as", "expected"),
    [
        ({"operation": 1, "key": "display_name", "stringValue": "x"}, Predicate(Operation.EQUALS, "display_name", "x")),
        ({"op": "EQUALS", "key": "name", "string_value": "x"}, Predicate(Operation.EQUALS, "display_name", "x")),
        ({"operation": 1, "key": "displayName", "intValue": 7}, Predicate(Operation.EQUALS, "display_name", "7")),
        ({"operation": 1, "key": "name", "longValue": "7"}, Predicate(Operation.EQUALS, "display_name", "7")),
        (
            {"operation": "NOT_EQUALS", "key": "storage_state", "stringValue": "archived"},
            Predicate(Operation.NOT_EQUALS, "storage_state", "ARCHIVED"),
        ),
        (
            {"operation": 2, "key": "storage_state", "stringValue": "STORAGESTATE_ARCHIVED"},
            Predicate(Operation.NOT_EQUALS, "storage_state", "ARCHIVED"),
        ),
        (
            {"operation": 8, "key": "name", "stringValues": {"values": ["a", "b"]}},
            Predicate(Operation.IN, "display_name", ("a", "b")),
        ),
        (
            {"operation": "IN", "key": "name", "int_values": {"values": [1, 2]}},
            Predicate(Operation.IN, "display_name", ("1", "2")),
        ),
        (
            {"operation": 3, "key": "created_at", "timestampValue": "2026-01-31T12:00:00Z"},
            Predicate(Operation.GREATER_THAN, "created_at", NOON),
        ),
        (
            {"operation": 7, "key": "created_at", "timestamp_value": "2026-01-31T13:00:00+01:00"},
            Predicate(Operation.LESS_THAN_EQUALS, "created_at", NOON),
        ),
        (
            {"operation": 5, "key": "created_at", "longValue": str(int(NOON.timestamp()))},
            Predicate(Operation.GREATER_THAN_EQUALS, "created_at", NOON),
        ),
    ],
)
def test_predicates(given_as: dict, expected: Predicate) -> None:
    assert one(**given_as) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "filter: not valid JSON"),
        ("[]", "must be an object"),
        ('{"predicate": []}', 'unknown field "predicate"'),
        ('{"predicates": {}}', "filter.predicates: must be a list"),
        ('{"predicates": [1]}', r"filter.predicates\[0\]: must be an object"),
        ('{"predicates": [{"operation": 4, "key": "name", "stringValue": "x"}]}', r"\[0\].operation: 4 is none of"),
        ('{"predicates": [{"operation": "LIKE", "key": "name", "stringValue": "x"}]}', "'LIKE' is none of EQUALS"),
        ('{"predicates": [{"operation": 1, "key": "colour", "stringValue": "x"}]}', "unknown field 'colour'; known"),
        ('{"predicates": [{"operation": 1, "stringValue": "x"}]}', "unknown field None"),
        ('{"predicates": [{"operation": 1, "key": "name"}]}', "exactly one value, and has 0"),
        ('{"predicates": [{"operation": 1, "key": "name", "intValue": 1, "stringValue": "x"}]}', "and has 2"),
        (
            '{"predicates": [{"operation": 1, "key": "name", "colour": 1, "stringValue": "x"}]}',
            'unknown field "colour"',
        ),
        ('{"predicates": [{"operation": 8, "key": "name", "stringValue": "x"}]}', "IN needs a list"),
        ('{"predicates": [{"operation": 1, "key": "name", "stringValues": {"values": []}}]}', "EQUALS needs a single"),
        ('{"predicates": [{"operation": 8, "key": "name", "stringValues": {"values": 3}}]}', '"values"'),
        ('{"predicates": [{"operation": 1, "key": "name", "stringValue": {}}]}', "must be a text or a number"),
        ('{"predicates": [{"operation": 1, "key": "created_at", "stringValue": "noon"}]}', "'noon' is not a time"),
        ('{"predicates": [{"operation": 9, "key": "created_at", "stringValue": "2026"}]}', "cannot be used on a time"),
        ('{"predicates": [{"operation": [], "key": "name", "stringValue": "2026"}]}', "is none of"),
    ],
)
def test_a_bad_filter_is_explained(text: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        parse_filter(text, FIELDS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("created_at", False)),
        ("name", ("display_name", False)),
        ("display_name asc", ("display_name", False)),
        ("displayName DESC", ("display_name", True)),
        ("  created_at   desc ", ("created_at", True)),
    ],
)
def test_sort(text: str, expected: tuple[str, bool]) -> None:
    field, descending = parse_sort(text, FIELDS)
    assert (field.column, descending) == expected


@pytest.mark.parametrize("text", ["colour", "name down", "name asc please", "name;drop", "desc"])
def test_a_bad_sort_is_explained(text: str) -> None:
    with pytest.raises(QueryError, match="sort_by"):
        parse_sort(text, FIELDS)


@pytest.mark.parametrize(("text", "size"), [("", 20), ("0", 20), ("7", 7), ("200", 200), ("201", 200), ("999999", 200)])
def test_page_sizes(text: str, size: int) -> None:
    assert parse_page_size(text) == size


@pytest.mark.parametrize("text", ["-1", "ten", "1.5"])
def test_a_bad_page_size_is_explained(text: str) -> None:
    with pytest.raises(QueryError, match="page_size"):
        parse_page_size(text)


@given(st.one_of(st.none(), st.datetimes(timezones=st.just(UTC))), st.text(min_size=1))
def test_a_token_comes_back(value: datetime | None, row: str) -> None:
    query = parse_query(FIELDS, sort_by="created_at desc")
    position = Position(value, row)
    again = parse_query(FIELDS, sort_by="created_at desc", page_token=encode_token(query, position))
    assert again.after == position


@given(st.text(), st.text(min_size=1))
def test_a_text_token_comes_back(value: str, row: str) -> None:
    query = parse_query(FIELDS, sort_by="name")
    again = parse_query(FIELDS, sort_by="name", page_token=encode_token(query, Position(value, row)))
    assert again.after == Position(value, row)


@pytest.mark.parametrize(
    "change", [{"sort_by": "name desc"}, {"sort_by": "created_at"}, {"filter_text": '{"predicates":[]}'}]
)
def test_a_token_of_another_list_is_refused(change: dict) -> None:
    token = encode_token(parse_query(FIELDS, sort_by="name"), Position("x", "1"))
    with pytest.raises(QueryError, match="another filter or sort_by"):
        parse_query(FIELDS, **({"sort_by": "name"} | change), page_token=token)


@given(st.text(max_size=40))
def test_no_token_that_somebody_makes_up_breaks_anything(token: str) -> None:
    try:
        parse_query(FIELDS, page_token=token)
    except QueryError:
        pass


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_no_filter_that_somebody_makes_up_breaks_anything(value: object) -> None:
    for text in (json.dumps(value), json.dumps({"predicates": [value]}), json.dumps({"predicates": value})):
        try:
            parse_filter(text, FIELDS)
        except QueryError:
            pass
