"""Signing in and out, as a browser does it."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.conftest import HandClock, browser, cookie_of, sign_in
from tests.gateway.frontdoor import ANN, PASSWORD, FrontDoor
from yarl import URL

from headwater.gateway.login import safe_next


@pytest.mark.parametrize(
    ("asked", "led"),
    [
        ("/ns/team-a/runs?state=failed#x", "/ns/team-a/runs?state=failed#x"),
        ("/#/runs/details/abc", "/#/runs/details/abc"),
        ("//evil.example/x", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\n//evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/logout", "/"),
        ("/login?next=/login", "/"),
        ("", "/"),
    ],
)
def test_it_leads_only_to_this_site(asked: str, led: str) -> None:
    assert safe_next(asked) == led


@given(st.text())
def test_it_never_leads_away(asked: str) -> None:
    led = URL("http://here.example").join(URL(safe_next(asked)))
    assert led.host == "here.example"


async def test_signing_in_leads_back_and_signing_out_ends_the_session(door: FrontDoor) -> None:
    async with browser(door) as session:
        answer = await session.get("/ns/team-a/runs?state=failed", allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (
            303,
            "/login?next=/ns/team-a/runs%3Fstate%3Dfailed",
        )
        answer = await sign_in(session, ANN, following="/ns/team-a/runs?state=failed")
        assert (answer.status, answer.headers["Location"]) == (303, "/ns/team-a/runs?state=failed")
        assert (await session.get("/ns/team-a/runs")).status == 200

        kept = cookie_of(session, "headwater_session")
        answer = await session.post("/logout", data={"xsrf": cookie_of(session, "XSRF-TOKEN")}, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/login")
        assert not cookie_of(session, "headwater_session")
        answer = await session.get("/api/namespaces", headers={"Cookie": f"headwater_session={kept}"})
        assert answer.status == 401, "the session is over on the server too"


async def test_cookies_are_out_of_reach_of_scripts_and_other_sites(door: FrontDoor) -> None:
    async with browser(door) as session:
        answer = await sign_in(session, ANN)
        own, other = answer.cookies["headwater_session"], answer.cookies["XSRF-TOKEN"]
        assert own["httponly"]
        assert own["samesite"] == other["samesite"] == "Lax"
        assert not other["httponly"], "scripts of ours must read this one"
        assert int(own["max-age"]) == 24 * 3600


async def test_every_sign_in_is_a_session_of_its_own(door: FrontDoor) -> None:
    async with browser(door) as session:
        session.cookie_jar.update_cookies({"headwater_session": "planted"}, URL(door.url))
        await sign_in(session, ANN)
        assert cookie_of(session, "headwater_session") != "planted"


async def test_a_wrong_name_and_a_wrong_password_read_the_same(door: FrontDoor) -> None:
    async with browser(door) as session:
        wrong_password = await sign_in(session, ANN, "not the password")
        wrong_name = await sign_in(session, "nobody", "not the password")
    assert wrong_password.status == wrong_name.status == 401
    texts = [(await answer.text()).replace("nobody", ANN) for answer in (wrong_password, wrong_name)]
    assert "The name or the password is not right." in texts[0]
    assert "not the password" not in texts[0]
    assert "headwater_session" not in wrong_password.cookies


async def test_guessing_is_throttled_and_the_right_password_waits_too(door: FrontDoor, clock: HandClock) -> None:
    async with browser(door) as session:
        for _ in range(6):
            await sign_in(session, ANN, "not the password")
        answer = await sign_in(session, ANN)
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) >= 1
        clock.pass_by(seconds=61)
        assert (await sign_in(session, ANN)).status == 303


async def test_the_form_must_be_ours(door: FrontDoor) -> None:
    form = {"username": ANN, "password": PASSWORD, "next": "/", "form": "made up"}
    async with browser(door) as session:
        answer = await session.post("/login", data=form, allow_redirects=False)
        assert answer.status == 403
        assert "headwater_session" not in answer.cookies
        answer = await session.post("/login", data={**form, "password": "x" * 100_000})
        assert answer.status == 413


async def test_somebody_who_is_signed_in_goes_on(door: FrontDoor) -> None:
    async with browser(door) as session:
        await sign_in(session, ANN)
        answer = await session.get("/login", params={"next": "/ns/team-a/runs"}, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/ns/team-a/runs")


async def test_nothing_secret_is_logged(door: FrontDoor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with browser(door) as session:
        await sign_in(session, ANN, "not the password")
        await sign_in(session, ANN)
        secrets = [
            cookie_of(session, "headwater_session"),
            cookie_of(session, "XSRF-TOKEN"),
            "not the password",
            PASSWORD,
        ]
        await session.get("/nowhere", headers={"Authorization": "Bearer hw_a-secret-token"})
    assert "sign-in refused" in caplog.text
    for secret in (*secrets, "hw_a-secret-token"):
        assert secret not in caplog.text


async def test_a_disabled_user_and_a_changed_password_end_sessions_at_once(door: FrontDoor) -> None:
    async with browser(door) as session:
        await sign_in(session, ANN)
        assert (await session.get("/api/namespaces")).status == 200
        await door.users.set_password(ANN, "another good one")
        assert (await session.get("/api/namespaces")).status == 401
        await sign_in(session, ANN, "another good one")
        assert (await session.get("/api/namespaces")).status == 200
        await door.users.disable(ANN)
        assert (await session.get("/api/namespaces")).status == 401
        assert (await sign_in(session, ANN, "another good one")).status == 401


async def test_a_session_lasts_a_day(door: FrontDoor, clock: HandClock) -> None:
    async with browser(door) as session:
        await sign_in(session, ANN)
        kept = {"Cookie": f"headwater_session={cookie_of(session, 'headwater_session')}"}
        clock.pass_by(hours=23)
        assert (await session.get("/api/namespaces", headers=kept)).status == 200
        clock.pass_by(hours=1)
        assert (await session.get("/api/namespaces", headers=kept)).status == 401
