"""The shell: frames a room's template, escapes what it is given, and fails loudly on a misspelt name."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from jinja2 import UndefinedError

from headwater import dashboard
from headwater.capability import Capability, NavigationEntry
from headwater.capability.identity import Identity
from headwater.capability.routes import IDENTITY
from headwater.dashboard.shell import Shell, digest_of, sections


class Noon:
    def now(self) -> datetime:
        return datetime(2026, 5, 1, 12, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "page.html").write_text(
        '{% extends "dashboard/base.html" %}{% block title %}{{ name }}{% endblock %}'
        "{% block main %}<p>{{ name }}</p>{% endblock %}"
    )
    (templates / "typo.html").write_text("{{ nmae }}")
    (templates / "home.html").write_text("here")
    room = Capability("room", templates=templates, navigation=[NavigationEntry("Rooms", "Chairs", "/chairs")])
    return Shell.of([dashboard.capability, room], Noon())


def text_of(
    shell: Shell, template: str, path: str = "/ns/team-a/chairs", signed_in: bool = True, **values: object
) -> str:
    request = make_mocked_request("GET", path, match_info={"namespace": "team-a"} if path.startswith("/ns/") else {})
    if signed_in:
        request[IDENTITY] = Identity("ann", namespace="home-of-ann", display_name="<Ann>")
    text = shell(request, template, **values).text
    assert text is not None
    return text


def test_a_page_stands_in_the_frame_and_is_escaped(shell: Shell) -> None:
    text = text_of(shell, "room/page.html", name="<script>alert(1)</script>")
    assert "<p>&lt;script&gt;" in text
    assert "<title>&lt;script&gt;" in text
    assert "&lt;Ann&gt;" in text
    assert '<a href="/ns/team-a/chairs" aria-current="page">Chairs</a>' in text
    assert '<html lang="en">' in text


def test_without_a_namespace_in_the_address_it_is_the_callers_own(shell: Shell) -> None:
    assert 'href="/ns/home-of-ann/chairs"' in text_of(shell, "room/page.html", path="/elsewhere", name="x")


def test_nobody_sees_the_ways_of_the_house(shell: Shell) -> None:
    text = text_of(shell, "dashboard/error.html", signed_in=False, title="No", code=404, message="no")
    assert "/chairs" not in text
    assert 'href="/"' in text


def test_a_misspelt_name_is_an_error(shell: Shell) -> None:
    with pytest.raises(UndefinedError, match="nmae"):
        text_of(shell, "room/typo.html", name="x")


def test_the_home_page_leaves_a_place_for_each_room_that_has_something(shell: Shell) -> None:
    assert 'hx-get="/ns/team-a/home/room"' in text_of(shell, "dashboard/home.html", path="/ns/team-a/")


def test_sections_keep_their_order_and_mark_where_one_is() -> None:
    entries = [
        NavigationEntry("A", "One", "/one"),
        NavigationEntry("B", "Two", "/two"),
        NavigationEntry("A", "Three", "/one-more"),
    ]
    assert sections(entries, "ns", "/ns/ns/one/x") == [
        ("A", [("One", "/ns/ns/one", True), ("Three", "/ns/ns/one-more", False)]),
        ("B", [("Two", "/ns/ns/two", False)]),
    ]


def test_addresses_of_static_files_change_with_any_of_them(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")
    before = digest_of({"room": tmp_path})
    assert before == digest_of({"room": tmp_path})
    (tmp_path / "a.js").write_text("2")
    assert before != digest_of({"room": tmp_path})
