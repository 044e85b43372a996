import pytest
from aiohttp import ClientSession
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.frontdoor import FrontDoor

from headwater.gateway.hosts import is_known

NAMES = ("ml.example.org", ".team.example")


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8080", True),
        ("127.0.0.1", True),
        ("[::1]:8080", True),
        ("::1", True),
        ("192.0.2.7:80", True),
        ("localhost:8080", True),
        ("LocalHost.", True),
        ("notebook.localhost:8080", True),
        ("", True),
        ("ml.example.org:8080", True),
        ("a.team.example", True),
        ("team.example", False),
        ("evil.example:8080", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("xlocalhost", False),
        ("ml.example.org.evil.example", False),
        ("127.0.0.1@evil.example", False),
    ],
)
def test_which_names_are_known(host: str, known: bool) -> None:
    assert is_known(host, NAMES) is known


@given(st.text())
def test_any_text_gets_an_answer(host: str) -> None:
    assert is_known(host) in (True, False)


@pytest.mark.parametrize("path", ["/login", "/", "/healthz", "/apis/v2beta1/runs", "/nowhere"])
async def test_a_foreign_name_gets_nothing(door: FrontDoor, path: str) -> None:
    async with ClientSession() as session:
        headers = {"Host": f"evil.example:{door.gateway.port}"}
        async with session.get(door.url + path, headers=headers, allow_redirects=False) as response:
            assert response.status == 421
            assert "HEADWATER_HOSTS" in await response.text()
        async with session.get(door.url + "/healthz", headers={"Host": "localhost"}) as response:
            assert response.status == 200
