"""The HTTP client against servers that are away, foreign or in a bad mood.

What it does against Headwater's own server is in ``test_behaviour``.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from tests.cluster.apiserver.http.serving import serving

from headwater.kube.client.http import HttpClient
from headwater.kube.client.kubeconfig import Access
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.resources import CONFIG_MAPS, PODS

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def against() -> AsyncIterator[Callable[[Answer], Awaitable[HttpClient]]]:
    """Start a server that answers everything with one function; return a client of it."""
    closing: list[Any] = []

    async def begin(answer: Answer) -> HttpClient:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        client = HttpClient(Access(f"http://127.0.0.1:{runner.addresses[0][1]}"))
        closing.extend([client.close, runner.cleanup])
        return client

    yield begin
    for close in closing:
        await close()


async def test_a_server_that_is_away():
    client = HttpClient(Access("http://127.0.0.1:1"))
    with pytest.raises(StatusError, match=r"cannot reach the Kubernetes API at http://127\.0\.0\.1:1") as caught:
        await client.get(PODS, "p", "ns")
    assert caught.value.code == 503
    await client.close()
    with pytest.raises(StatusError, match="the client is closed"):
        await client.get(PODS, "p", "ns")


async def test_a_server_that_is_not_to_be_trusted(tmp_path):
    async with serving(tmp_path) as running, HttpClient(Access(running.url)) as client:
        with pytest.raises(StatusError, match="certificate verify failed") as caught:
            await client.get(PODS, "p", "ns")
        assert caught.value.code == 503


async def test_a_token_that_is_not_accepted(tmp_path):
    async with serving(tmp_path) as running:
        access = Access(running.url, ca_pem=running.pki.ca_certificate.decode(), token="nonsense")
        async with HttpClient(access) as client:
            with pytest.raises(StatusError) as caught:
                await client.get(PODS, "p", "ns")
    assert (caught.value.code, caught.value.reason) == (401, "Unauthorized")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
async def test_names_that_would_leave_their_path(name):
    client = HttpClient(Access("http://127.0.0.1:1"))
    with pytest.raises(StatusError, match="cannot be the name of an object"):
        await client.get(PODS, name, "ns")


async def test_an_answer_of_somebody_else(against):
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="<h1>Bad gateway</h1>", status=502)

    with pytest.raises(StatusError, match="Bad gateway") as caught:
        await (await against(answer)).get(PODS, "p", "ns")
    assert caught.value.code == 502


async def test_an_answer_that_is_no_json(against):
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    with pytest.raises(StatusError, match="is not JSON"):
        await (await against(answer)).get(PODS, "p", "ns")


async def test_waits_when_the_server_asks_for_it(against):
    calls = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        if calls < 3:
            return web.Response(status=429, headers={"Retry-After": "0"})
        return web.json_response({"metadata": {"name": "p"}})

    assert (await (await against(answer)).get(PODS, "p", "ns"))["metadata"]["name"] == "p"
    assert calls == 3


async def test_items_of_a_list_say_what_they_are(against):
    async def answer(request: web.Request) -> web.Response:
        assert request.path == "/api/v1/namespaces/ns/configmaps"
        assert dict(request.query) == {"limit": "5", "continue": "token", "labelSelector": "a=b"}
        body = {"kind": "ConfigMapList", "metadata": {"resourceVersion": "7", "continue": "next"}}
        return web.json_response({**body, "items": [{"metadata": {"name": "a"}}]})

    client = await against(answer)
    found = await client.list(CONFIG_MAPS, "ns", limit=5, continue_token="token", label_selector="a=b")
    assert found.items == [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}]
    assert (found.resource_version, found.continue_token) == ("7", "next")


async def test_a_watch_in_pieces_of_any_size(against):
    large = "x" * 300_000
    lines = "".join(
        json.dumps({"type": "ADDED", "object": {"metadata": {"name": str(n)}, "data": {"v": large}}}) + "\n"
        for n in range(3)
    ).encode()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for start in range(0, len(lines), 70_001):
            await response.write(lines[start : start + 70_001])
        await response.write(b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}')
        return response

    client = await against(answer)
    events = [event async for event in client.watch(CONFIG_MAPS)]
    assert [event.object["metadata"].get("name") for event in events] == ["0", "1", "2", None]
    assert events[0].object["data"]["v"] == large
    assert events[3].type == "BOOKMARK"


async def test_a_watch_that_is_refused_in_its_stream(against):
    async def answer(request: web.Request) -> web.StreamResponse:
        status = {"kind": "Status", "code": 410, "reason": "Gone", "message": "too old resource version"}
        return web.Response(body=json.dumps({"type": "ERROR", "object": status}).encode())

    with pytest.raises(StatusError, match="too old") as caught:
        async for _ in (await against(answer)).watch(CONFIG_MAPS):
            pass
    assert (caught.value.code, caught.value.reason) == (410, "Expired")


async def test_a_watch_whose_connection_breaks(against):
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type":"ADDED","object":{}}\n')
        assert request.transport is not None
        request.transport.abort()
        return response

    with pytest.raises(StatusError) as caught:
        async for _ in (await against(answer)).watch(CONFIG_MAPS):
            pass
    assert caught.value.code == 503


async def test_a_log_comes_in_whole_lines(against):
    async def answer(request: web.Request) -> web.StreamResponse:
        assert dict(request.query) == {"container": "main", "follow": "true", "tailLines": "5"}
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b"one\ntw", b"o\n", b"\n", b"three"):
            await response.write(piece)
            await asyncio.sleep(0.01)
        return response

    client = await against(answer)
    pieces = [piece async for piece in client.logs("p", "ns", container="main", follow=True, tail_lines=5)]
    assert b"".join(pieces) == b"one\ntwo\n\nthree"
    assert all(piece.endswith(b"\n") for piece in pieces[:-1])
