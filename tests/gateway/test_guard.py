"""Nobody gets past the guard: not without signing in, not by another site, not by a handler's oversight."""

import re
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from tests.gateway.conftest import browser, cookie_of, sign_in
from tests.gateway.frontdoor import ANN, BOB, VIC, FrontDoor, front_door

from headwater.capability.routes import Access, Route, identity_of


async def forgot(request: web.Request) -> web.Response:
    return web.json_response({"secret": identity_of(request).user})


async def forgot_and_streams(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"secret")
    return response


async def forgot_and_leads_on(request: web.Request) -> web.Response:
    raise web.HTTPFound("/somewhere/secret")


async def public(request: web.Request) -> web.Response:
    return web.json_response({"seen": dict(request.headers)})


async def echo(request: web.Request) -> web.Response:
    caller = identity_of(request)
    return web.json_response({"user": caller.user, "groups": caller.groups, "headers": dict(request.headers)})


async def breaks_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"the beginning")
    raise RuntimeError("the inner secret of the fault")


async def breaks(request: web.Request) -> web.Response:
    raise RuntimeError("the inner secret of the fault")


MORE = (
    Route("GET", "/apis/test/forgot", forgot),
    Route("GET", "/apis/test/stream", forgot_and_streams),
    Route("GET", "/apis/test/leads-on", forgot_and_leads_on),
    Route("GET", "/apis/test/public", public, Access.PUBLIC),
    Route("GET", "/apis/test/echo", echo, Access.SIGNED_IN),
    Route("POST", "/apis/test/echo", echo, Access.SIGNED_IN),
    Route("DELETE", "/apis/test/echo", echo, Access.SIGNED_IN),
    Route("GET", "/test/breaks-off", breaks_off, Access.SIGNED_IN),
    Route("GET", "/test/breaks", breaks, Access.SIGNED_IN, page=True),
)
PUBLIC = {
    ("GET", "/healthz"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/static/{path:.+}"),
    ("GET", "/apis/v2beta1/healthz"),
}
"""Every route that anybody may reach. To add one here is a decision."""


@pytest.fixture
async def door(tmp_path: Path):
    async with front_door(tmp_path, more=MORE) as opened:
        yield opened


def filled(path: str) -> str:
    """A path with something in its places."""
    return re.sub(r"\{[^}]*\}", "x", path)


async def test_every_route_turns_strangers_away(door: FrontDoor) -> None:
    tried = 0
    async with browser(door) as session:
        for route in door.gateway.routes:
            if (route.method, route.path) in PUBLIC or route.path == "/apis/test/public":
                assert route.access is Access.PUBLIC, route
                continue
            assert route.access is not Access.PUBLIC, f"{route.method} {route.path} is open to anybody"
            for prefix in ("", "/pipeline") if route.path.startswith("/apis/") else ("",):
                answer = await session.request(route.method, prefix + filled(route.path), allow_redirects=False)
                where = f"{route.method} {prefix}{route.path}"
                if route.page:
                    assert answer.status == 303, where
                    assert answer.headers["Location"].startswith("/login"), where
                else:
                    assert answer.status == 401, where
                    body = await answer.json()
                    assert (body["code"], bool(body["message"])) == (16, True), where
                tried += 1
    assert tried > 40


async def test_strangers_learn_nothing_of_what_is_not_there(door: FrontDoor) -> None:
    async with browser(door) as session:
        assert (await session.get("/nowhere/at/all")).status == 401
        answer = await session.get("/nowhere", headers={"Accept": "text/html"}, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/login?next=/nowhere")
        assert (await session.put("/healthz")).status in (401, 405)


@pytest.mark.parametrize("path", ["/apis/test/forgot", "/apis/test/leads-on"])
async def test_an_answer_for_which_nobody_was_asked_is_withheld(
    door: FrontDoor, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with browser(door) as session:
        await sign_in(session, ANN)
        answer = await session.get(path, allow_redirects=False)
        assert answer.status == 500
        assert "secret" not in await answer.text()
        assert "secret" not in str(answer.headers)
    assert f"{path} answered" in caplog.text


async def test_a_stream_for_which_nobody_was_asked_never_begins(door: FrontDoor) -> None:
    async with browser(door) as session:
        await sign_in(session, ANN)
        answer = await session.get("/apis/test/stream")
        assert answer.status == 500
        assert b"secret" not in await answer.read()


async def test_what_another_site_sends_is_refused(door: FrontDoor) -> None:
    async with browser(door) as session:
        await sign_in(session, ANN)
        token = cookie_of(session, "XSRF-TOKEN")
        good = {"X-XSRF-TOKEN": token}
        assert (await session.get("/apis/test/echo")).status == 200
        assert (await session.post("/apis/test/echo", headers=good)).status == 200
        assert (await session.delete("/apis/test/echo", headers=good)).status == 200
        assert (await session.post("/apis/test/echo", data={"xsrf": token})).status == 200
        for headers in (
            {},
            {"X-XSRF-TOKEN": ""},
            {"X-XSRF-TOKEN": "made up"},
            {**good, "Origin": "https://evil.example"},
            {**good, "Origin": "null"},
            {**good, "Sec-Fetch-Site": "cross-site"},
        ):
            answer = await session.post("/apis/test/echo", headers=headers)
            assert answer.status == 403, headers
            assert (await session.delete("/apis/test/echo", headers=headers)).status == 403, headers
        planted = {"Cookie": f"headwater_session={cookie_of(session, 'headwater_session')}; XSRF-TOKEN=mine"}
        assert (await session.post("/apis/test/echo", headers={**planted, "X-XSRF-TOKEN": "mine"})).status == 403


async def test_a_script_with_a_token_needs_no_cookie(door: FrontDoor) -> None:
    from datetime import timedelta

    token = await door.tokens.issue(BOB, timedelta(hours=1))
    async with browser(door) as session:
        answer = await session.post("/apis/test/echo", headers={"Authorization": f"Bearer {token}"})
        assert (await answer.json())["user"] == BOB
        await sign_in(session, ANN)
        answer = await session.get("/apis/test/echo", headers={"Authorization": f"Bearer {token}"})
        assert (await answer.json())["user"] == BOB, "the token says who is meant"
        answer = await session.get("/apis/test/echo", headers={"Authorization": "Bearer hw_wrong"})
        assert answer.status == 401, "a good cookie does not make up for a wrong token"
        answer = await session.get("/apis/test/echo", headers={"Authorization": "Basic YTpi"})
        assert answer.status == 401


async def test_identity_headers_are_not_believed(door: FrontDoor) -> None:
    forged = {
        "kubeflow-userid": "root",
        "Kubeflow-Groups": "system:masters",
        "kubeflow_userid": "root",
        "X-Goog-Authenticated-User-Email": "accounts.google.com:root",
        "X-Forwarded-User": "root",
        "X-Kept": "yes",
    }
    async with browser(door) as session:
        assert (await session.get("/apis/test/echo", headers=forged)).status == 401
        seen = (await (await session.get("/apis/test/public", headers=forged)).json())["seen"]
        await sign_in(session, VIC)
        body = await (await session.get("/apis/test/echo", headers=forged)).json()
        sent = await (await session.post(
            "/apis/test/echo", headers={**forged, "X-XSRF-TOKEN": cookie_of(session, "XSRF-TOKEN")}, json={"a": 1}
        )).json()  # fmt: skip
    assert body["user"] == sent["user"] == VIC
    assert "system:masters" not in body["groups"]
    for headers in (seen, body["headers"]):
        assert "X-Kept" in headers
        assert not {name.lower() for name in headers} & {name.lower() for name in forged if name != "X-Kept"}


async def test_a_service_accounts_token_is_accepted_for_the_pipelines_audience(door: FrontDoor) -> None:
    from headwater.kube.meta.objects import uid_of
    from headwater.kube.meta.resources import SERVICE_ACCOUNTS

    account = await door.context.client.create(
        SERVICE_ACCOUNTS,
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "runner", "namespace": "team-a"}},
    )
    async with browser(door) as session:
        token, _ = door.issuer.issue("runner", "team-a", uid_of(account), ["pipelines.kubeflow.org"], 3600)
        answer = await session.get("/apis/test/echo", headers={"Authorization": f"Bearer {token}"})
        assert (await answer.json())["user"] == "system:serviceaccount:team-a:runner"
        other, _ = door.issuer.issue("runner", "team-a", uid_of(account), ["somebody.else"], 3600)
        answer = await session.get("/apis/test/echo", headers={"Authorization": f"Bearer {other}"})
        assert answer.status == 401
        answer = await session.get("/apis/test/echo", headers={"Authorization": "Bearer a.b.c"})
        assert answer.status == 401
        assert "a.b.c" not in await answer.text()


async def test_rights_are_kubernetes_own(door: FrontDoor) -> None:
    async with browser(door) as session:
        await sign_in(session, VIC)
        assert (await session.get("/ns/team-a/runs")).status == 200
        answer = await session.get("/ns/team-b/runs")
        assert answer.status == 403
        assert 'User "vic" cannot list runs.pipelines.kubeflow.org in the namespace "team-b"' in (
            await answer.text()
        ).replace("&#34;", '"')
        assert (await (await session.get("/api/namespaces")).json()) == {"namespaces": ["team-a"]}
        assert (await session.get("/ns/team-b/")).status == 403


async def test_a_fault_is_a_page_without_its_insides(door: FrontDoor, caplog: pytest.LogCaptureFixture) -> None:
    async with browser(door) as session:
        await sign_in(session, ANN)
        answer = await session.get("/test/breaks")
        text = await answer.text()
    assert answer.status == 500
    assert "Something went wrong" in text
    assert "Headwater" in text
    assert "inner secret" not in text
    assert "inner secret" in caplog.text, "but the log has them"


async def test_a_stream_that_breaks_off_is_not_continued_by_something_else(door: FrontDoor) -> None:
    async with browser(door) as session:
        await sign_in(session, ANN)
        answer = await session.get("/test/breaks-off")
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
