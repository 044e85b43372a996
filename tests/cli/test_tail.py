"""The end of a log that may still grow."""

from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.cli.tail import tail


def end_of(path: Path, lines: int) -> str:
    return "".join(tail(path, lines, follow=False))


@pytest.mark.parametrize(
    ("text", "lines", "end"),
    [
        ("", 3, ""),
        ("one\n", 3, "one\n"),
        ("one\ntwo\nthree\n", 2, "two\nthree\n"),
        ("one\ntwo\nthree", 2, "two\nthree"),
        ("one\n\n\n", 2, "\n\n"),
        ("one\ntwo\n", 0, ""),
        ("\n", 1, "\n"),
    ],
)
def test_last_lines(tmp_path, text, lines, end):
    path = tmp_path / "log"
    path.write_text(text)
    assert end_of(path, lines) == end


@given(
    st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=9), max_size=9),
    st.integers(0, 12),
)
def test_any_lines(tmp_path_factory, texts, lines):
    path = tmp_path_factory.mktemp("tail") / "log"
    path.write_bytes("".join(f"{text}\n" for text in texts).encode())
    wanted = texts[len(texts) - lines :] if lines < len(texts) else texts
    assert end_of(path, lines) == "".join(f"{text}\n" for text in wanted)


def test_a_log_of_many_blocks(tmp_path):
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(30_000)))
    assert end_of(path, 2) == "line 29998\nline 29999\n"
    assert end_of(path, 20_000).startswith("line 10000\n")
    assert end_of(path, 30_000) == end_of(path, 40_000) == path.read_text()


def test_a_letter_that_lies_across_two_blocks_stays_whole(tmp_path):
    path = tmp_path / "log"
    text = "x" + "ö" * 70_000 + "\n"
    path.write_text(text, encoding="utf-8")
    assert end_of(path, 1) == text


def test_bytes_that_are_no_text_are_marked(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"good\nb\xffd\n")
    assert end_of(path, 1) == "b�d\n"


def test_follow_goes_on_with_what_is_added(tmp_path):
    path = tmp_path / "log"
    path.write_text("before\nlast\n")
    followed = tail(path, 1, follow=True)
    assert next(followed) == "last\n"
    with path.open("a") as file:
        file.write("added\n")
    assert list(islice(followed, 1)) == ["added\n"]


def test_a_log_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        end_of(tmp_path / "log", 1)
