"""Numbers, sizes and values as the pages write them."""

from typing import Any

import pytest

from headwater.dashboard.formatting import bytes_text, number, pretty


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.944055944, "0.9441"), (1.0, "1"), (12345, "12,345"), (1.23e-7, "1.23e-07"), (12345678.9, "1.23e+07"),
        (123.456, "123.46"), (float("nan"), "nan"), (float("inf"), "inf"), (True, "true"),
        ("text", "text"), (0, "0"), (0.0, "0"), (-0.5, "-0.5"),
    ],
)  # fmt: skip
def test_number(value: Any, said: str) -> None:
    assert number(value) == said


@pytest.mark.parametrize(
    ("size", "said"), [(0, "0 B"), (512, "512 B"), (1434, "1.4 KiB"), (3 << 30, "3.0 GiB"), (5 << 40, "5.0 TiB")]
)
def test_bytes(size: int, said: str) -> None:
    assert bytes_text(size) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("a text", "a text"),
        (None, "null"),
        (True, "true"),
        ([1, 2], "[1, 2]"),
        ({"ä": "x" * 70}, '{\n  "ä": "' + "x" * 70 + '"\n}'),
    ],
)
def test_pretty(value: Any, said: str) -> None:
    assert pretty(value) == said
