import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.kube.meta import names


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (names.is_dns_label, ["a", "a-b", "0", "a" * 63], ["", "A", "-a", "a-", "a.b", "a_b", "a" * 64, "a\n", "ä"]),
        (names.is_dns_1035_label, ["a", "a0"], ["0a", "", "a" * 64]),
        (names.is_dns_subdomain, ["a", "a.b", "0.a-b"], ["", "a..b", ".a", "a.", "A.b", "a" * 254]),
        (names.is_path_segment, ["system:x", "A b"], [".", "..", "a/b", "a%b"]),
        (names.is_label_key, ["a", "A_b.c", "x.dev/a"], ["", "/a", "x/y/z", "X.dev/a", "a b", "x.dev/", "a" * 64]),
        (names.is_label_value, ["", "a", "A_b.c-d"], ["-", "a b", "a/b", "a" * 64, "_a"]),
        (names.is_config_key, ["a.txt", "_A-b"], ["", ".", "..", "..a", "a/b", "a" * 254]),
        (names.is_environment_name, ["A", "a.b", "1 x"], ["", "a=b", "ä", "a\n"]),
    ],
)
def test_checks(check, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if check(text) is not None] == []
    assert [text for text in bad if check(text) is None] == []


def test_generated_names_differ_and_fit() -> None:
    rng = random.Random(1)
    first, second = names.generate_name("x-", rng), names.generate_name("x-", rng)
    assert first != second
    assert first.startswith("x-")
    assert len(first) == 7
    assert len(names.generate_name("a" * 80, rng)) == 63


def test_a_child_of_plain_parts_is_readable() -> None:
    assert names.child_name("run", "train", 1) == "run-train-1"


def test_a_long_child_still_ends_by_its_own_hash() -> None:
    one, two = names.child_name("x" * 60, "aaaa"), names.child_name("x" * 60, "bbbb")
    assert one != two
    assert len(one) == len(two) == 63


@given(st.text(max_size=90), st.lists(st.text(max_size=20), max_size=3), st.integers(20, 63))
def test_a_child_name_is_a_dns_label_and_a_function(owner: str, parts: list[str], length: int) -> None:
    name = names.child_name(owner, *parts, max_length=length)
    assert names.is_dns_label(name) is None
    assert len(name) <= length
    assert name == names.child_name(owner, *parts, max_length=length)
