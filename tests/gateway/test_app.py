"""The server: addresses, headers, static files, errors, start and stop."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.gateway.conftest import browser, sign_in
from tests.gateway.frontdoor import ANN, FrontDoor

from headwater.gateway.app import Gateway
from headwater.gateway.headers import CONTENT_SECURITY_POLICY


async def test_health_needs_nobody(door: FrontDoor) -> None:
    async with browser(door) as session:
        assert await (await session.get("/healthz")).json() == {"status": "ok"}
        for prefix in ("", "/pipeline"):
            answer = await session.get(f"{prefix}/apis/v2beta1/healthz")
            assert answer.status == 200
            assert "multi_user" in await answer.json()


async def test_every_answer_carries_the_policy(door: FrontDoor) -> None:
    async with browser(door) as session:
        await sign_in(session, ANN)
        for path in (
            "/login",
            "/healthz",
            "/nowhere",
            "/api/namespaces",
            "/ns/team-a/runs",
            "/static/dashboard/app.js",
        ):
            answer = await session.get(path, allow_redirects=False)
            assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY, path
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Referrer-Policy"] == "same-origin"
        assert (await session.get("/ns/team-a/runs")).headers["Cache-Control"] == "no-store"


def test_the_policy_allows_no_inline_and_no_eval() -> None:
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY


async def test_pages_have_no_inline_script_or_style(door: FrontDoor) -> None:
    async with browser(door) as session:
        await sign_in(session, ANN)
        for path in ("/login", "/ns/team-a/", "/ns/team-a/runs", "/ns/team-a/pipelines", "/nowhere"):
            text = await (await session.get(path, headers={"Accept": "text/html"})).text()
            assert "<style" not in text
            assert " style=" not in text
            assert " onclick=" not in text
            assert all('src="' in part.split(">")[0] for part in text.split("<script")[1:])


async def test_static_files_are_kept_and_nothing_else_is_served(door: FrontDoor) -> None:
    async with browser(door) as session:
        plain = await session.get("/static/dashboard/app.js")
        assert (plain.status, plain.headers["Cache-Control"]) == (200, "no-cache")
        assert plain.content_type == "text/javascript"
        again = await session.get("/static/dashboard/app.js", headers={"If-None-Match": plain.headers["ETag"]})
        assert again.status == 304
        named = await session.get("/static/~0123abcd/dashboard/base.css")
        assert (named.status, "immutable" in named.headers["Cache-Control"]) == (200, True)
        for path in (
            "/static/dashboard/../pages.py",
            "/static/dashboard/%2e%2e/pages.py",
            "/static/dashboard/..%2fpages.py",
            "/static/dashboard/%2e%2e%2f%2e%2e%2f%2e%2e%2fpyproject.toml",
            "/static/nothing/app.js",
            "/static/dashboard",
            "/static/dashboard/",
            "/static/dashboard/none.js",
            "/static/~x/",
        ):
            answer = await session.get(path)
            assert answer.status in (401, 404), path


async def test_an_error_is_json_for_a_program_and_a_page_for_a_person(door: FrontDoor) -> None:
    async with browser(door) as session:
        await sign_in(session, ANN)
        answer = await session.get("/apis/v2beta1/nothing")
        assert answer.status == 404
        assert json.loads(await answer.text())["code"] == 5
        answer = await session.get("/nothing", headers={"Accept": "text/html"})
        assert (answer.status, answer.content_type) == (404, "text/html")
        text = await answer.text()
        assert "There is nothing here" in text
        assert 'aria-label="Main"' in text, "in the shell, with the ways on"


async def test_a_taken_port_is_an_os_error(door: FrontDoor) -> None:
    other = Gateway(
        users=door.users, tokens=door.tokens, sessions=door.sessions, authorizer=door.context.authorizer,
        client=door.context.client, routes=(), render=door.context.render, static_roots={},
        clock=door.context.clock, port=door.gateway.port,
    )  # fmt: skip
    with pytest.raises(OSError, match="address already in use"):
        await other.start()


async def test_stopping_ends_open_streams_soon(door: FrontDoor, tmp_path: Path) -> None:
    async with browser(door) as session:
        await sign_in(session, ANN)
        stream = await session.get("/ns/team-a/runs-changes")
        assert stream.content_type == "text/event-stream"
        await stream.content.readline()
        async with asyncio.timeout(10):
            await door.gateway.stop()
