"""What is said of a machine that makes no sandboxes, and who has user ids to give."""

from pathlib import Path

import pytest

from headwater.cluster.node.layout import has_id_ranges
from headwater.cluster.node.tiers import in_words, probe


@pytest.mark.parametrize(
    ("problem", "chrooted", "expected"),
    [
        ("OSError: [Errno 28] unshare: No space left on device", False, "user.max_user_namespaces"),
        ("PermissionError: [Errno 1] unshare: Operation not permitted", False, "does not let this user"),
        ("PermissionError: [Errno 1] unshare: Operation not permitted", True, "chroot"),
        ("mount: Invalid argument: /", True, "chroot"),
        ("something new", False, "something new"),
    ],
)
def test_a_refusal_is_said_in_words(problem: str, chrooted: bool, expected: str) -> None:
    assert expected in in_words(problem, chrooted=chrooted)


def test_plain_is_had_for_the_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_ISOLATION", "plain")
    assert (probe().name, probe().reason) == ("plain", "asked for")


@pytest.mark.parametrize(
    ("owner", "table", "expected"),
    [
        (0, "         0          0 4294967295\n", True),
        (1000, "         0          0 4294967295\n", False),
        (0, "         0       1000          1\n", False),
        (0, "         0       1000          1\n         1     100000      65536\n", False),
    ],
    ids=["root", "ordinary user", "one id", "container of an ordinary user"],
)
def test_who_has_ids_to_give(tmp_path: Path, owner: int, table: str, expected: bool) -> None:
    (tmp_path / "uid_map").write_text(table)
    assert has_id_ranges(owner, tmp_path / "uid_map") is expected


def test_where_there_is_no_table_root_has_all_ids(tmp_path: Path) -> None:
    assert has_id_ranges(0, tmp_path / "missing")
