from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.kube.meta.quantities import format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", "1"),
        ("100m", "0.1"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        ("2Gi", str(2 * 2**30)),
        ("1.5Gi", str(3 * 2**29)),
        ("1k", "1000"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1E", "1e18"),
        ("-1", "-1"),
        ("+3", "3"),
        ("0.1n", "1e-9"),
        (2, "2"),
        (0.25, "0.25"),
    ],
)
def test_reading(text, amount: str) -> None:
    assert parse_quantity(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1GiB", "Gi", "1.2.3", "--1", "1e", "1e999", True, None, "١"])
def test_what_is_no_quantity(text) -> None:
    with pytest.raises(ValueError, match="quantities must match"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("amount", "binary", "text"),
    [
        ("0", False, "0"),
        ("0.1", False, "100m"),
        ("1.5", False, "1500m"),
        ("2000", False, "2k"),
        (str(2**30), True, "1Gi"),
        (str(2**30 + 1), True, "1073741825"),
        ("1e-10", False, "1n"),
    ],
)
def test_writing(amount: str, binary: bool, text: str) -> None:
    assert format_quantity(Decimal(amount), binary=binary) == text


@given(st.integers(-(10**15), 10**15), st.sampled_from([1, 10**3, 10**6]), st.booleans())
def test_what_is_written_reads_back(count: int, divisor: int, binary: bool) -> None:
    amount = Decimal(count) / divisor
    assert parse_quantity(format_quantity(amount, binary=binary)) == amount
