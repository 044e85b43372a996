"""Conditions as kfp emits them, and the sentences about those that cannot be evaluated."""

from typing import Any

import pytest

from headwater.pipelines.spec.conditions import ConditionError, check, evaluate

X = "inputs.parameter_values['x']"


@pytest.mark.parametrize(
    ("expression", "value", "holds"),
    [
        (f"{X} == 'heads'", "heads", True),
        (f"{X} >= 'b'", "ann", False),
        (f"int({X}) > 2", 3, True),
        (f"int({X}) > 2", 3.0, True),
        (f"int({X}) == 10", "10", True),
        (f"{X} < 0.75", 0.5, True),
        (f"{X} == 2.0", 2.0, True),
        (f"double(int({X})) == 3.0", 3, True),
        (f"{X} == true", True, True),
        (f"!({X} == 'a') && {X} == 'b'", "b", True),
        (f"!({X} == 'a') && !({X} == 'b')", "b", False),
        (f"{X} == 'a' || {X} in ['b', 'c']", "c", True),
        (f"{X} == '1'", 1, False),
        (f"{X} == 'x'", None, False),
    ],
)
def test_conditions(expression: str, value: Any, holds: bool) -> None:
    assert check(expression) is None
    assert evaluate(expression, {"x": value}) is holds


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("inputs.parameter_values['y'] == 1", "there is no value 'y'"),
        (f"{X} > 'a'", "cannot be evaluated: No such overload"),
        (X, "is not true or false but 3"),
        ("1 / 0 == 1", "cannot be evaluated: division by zero"),
        ("nothing(1)", "cannot be evaluated: Undefined variable or function"),
        ("1 +", "is not a CEL expression"),
    ],
)
def test_conditions_without_a_value_say_why(expression: str, said: str) -> None:
    with pytest.raises(ConditionError) as caught:
        evaluate(expression, {"x": 3})
    assert said in str(caught.value)


def test_bad_syntax_is_found_before_the_run() -> None:
    wrong = check(f"{X} == 'it's'")
    assert wrong is not None
    assert "1:37: Syntax error" in wrong


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("1" + "+1" * 50_000 + " == 1", "the limit for an expression is 4096"),
        ("a" + ".b" * 50_000, "the limit for an expression is 4096"),
        (f"{X}.map(a, {X}.map(b, {X}.map(c, a + b + c))).size() > 0", "more than once"),
        (f"{X}.exists (a, {X} . all(b, a == b))", "more than once"),
    ],
)
def test_an_expression_that_would_hold_up_everybody_is_refused(expression: str, said: str) -> None:
    assert said in (check(expression) or "")
    with pytest.raises(ConditionError, match=said):
        evaluate(expression, {"x": [1]})


def test_one_pass_over_a_list_is_allowed() -> None:
    assert evaluate(f"{X}.exists(a, a > 2)", {"x": [1, 3]})
