"""Parameter values: types, text, parts, placeholders."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.pipelines.spec.tree import ParameterType as T
from headwater.pipelines.spec.values import coerce, from_file, placeholders, select, substitute, to_text

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("value", "wanted", "result"),
    [
        (3.0, T.INTEGER, 3),
        ("3", T.INTEGER, 3),
        (" 4.0 ", T.INTEGER, 4),
        (3, T.DOUBLE, 3.0),
        ("1e-3", T.DOUBLE, 0.001),
        ("True", T.BOOLEAN, True),
        (False, T.BOOLEAN, False),
        ("[1, 2]", T.LIST, [1, 2]),
        ('{"a": 1}', T.STRUCT, {"a": 1}),
        (5, T.STRING, "5"),
        (5.0, T.STRING, "5"),
        (True, T.STRING, "true"),
        (None, T.INTEGER, None),
    ],
)
def test_values_take_their_type(value: Any, wanted: T, result: Any) -> None:
    made = coerce(value, wanted)
    assert made == result
    assert type(made) is type(result)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (3.5, T.INTEGER),
        (True, T.INTEGER),
        ("x", T.INTEGER),
        ("nan", T.DOUBLE),
        ([], T.DOUBLE),
        (1, T.BOOLEAN),
        ("yes", T.BOOLEAN),
        ("{}", T.LIST),
        ("[", T.LIST),
        ([], T.STRUCT),
        (10**400, T.DOUBLE),
    ],
)
def test_values_that_do_not_fit_are_refused(value: Any, wanted: T) -> None:
    with pytest.raises(ValueError, match=f"expected {wanted}, got the "):
        coerce(value, wanted)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.1, "0.1"),
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (False, "false"),
        (None, ""),
        ("a b", "a b"),
        ([1, "x", None], '[1,"x",null]'),
        ({"b": 1, "a": [2.5]}, '{"a":[2.5],"b":1}'),
    ],
)
def test_text_is_what_the_launcher_writes(value: Any, text: str) -> None:
    assert to_text(value) == text


@given(plain)
def test_lists_and_structs_survive_as_text(value: Any) -> None:
    assert coerce(to_text([value]), T.LIST) == [value]
    assert json.loads(to_text({"x": value})) == {"x": value}


def test_files_hold_values() -> None:
    assert from_file(b"12\n", T.INTEGER) == 12
    assert from_file(b"a\n", T.STRING) == "a\n"
    assert from_file(b" true ", T.BOOLEAN) is True
    with pytest.raises(ValueError, match="expected LIST"):
        from_file(b"", T.LIST)


@pytest.mark.parametrize(
    ("value", "selector", "part"),
    [
        ({"a": 1}, "", {"a": 1}),
        ({"a": {"b": [1, 2]}}, 'parseJson(string_value)["a"]["b"][1]', 2),
        ('{"a": 1}', 'parseJson(string_value)["a"]', 1),
        ("[3, 4]", "parseJson(string_value)[0]", 3),
        ({"a": 1}, "size(parseJson(string_value))", 1),
    ],
)
def test_parts_are_taken(value: Any, selector: str, part: Any) -> None:
    assert select(value, selector) == part


@pytest.mark.parametrize(
    ("value", "said"),
    [({"b": 1}, "has no element 'a'"), ("text", "is not JSON"), (5, "has no element 'a'"), ([1], "has no element 'a'")],
)
def test_parts_that_are_not_there(value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        select(value, 'parseJson(string_value)["a"]')


def test_placeholders_are_replaced_however_deep() -> None:
    names = {"$.pipeline_job_name": "job"}
    given_ = {"x": 3, "l": [1]}
    assert substitute("{{$.inputs.parameters['x']}}", given_, names) == 3
    assert substitute("a {{$.inputs.parameters['x']}} {{$.inputs.parameters[\"l\"]}}", given_, names) == "a 3 [1]"
    assert substitute({"k": ["{{$.pipeline_job_name}}!"]}, given_, names) == {"k": ["job!"]}
    assert substitute("{{$.inputs.parameters['y']}} {{$.other}}", given_, names) == (
        "{{$.inputs.parameters['y']}} {{$.other}}"
    )
    assert placeholders({"k": ["{{$.inputs.parameters['y']}}"], "{{$.inputs.parameters['z']}}": 1}) == {"y", "z"}


@given(plain)
def test_values_without_placeholders_stay(value: Any) -> None:
    if "{{$." not in json.dumps(value):
        assert substitute(value, {"x": 1}, {}) == value
