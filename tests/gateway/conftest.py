"""A door of its own for each test, and clients that knock as a browser or as a script does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from tests.gateway.frontdoor import PASSWORD, FrontDoor, front_door

from headwater.database import Database
from headwater.gateway.app import migrate


@dataclass
class HandClock:
    """A clock that tests move."""

    moment: datetime = field(default_factory=lambda: datetime(2026, 5, 1, 12, tzinfo=UTC))

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.pass_by(seconds=seconds)

    def pass_by(self, **length: float) -> None:
        self.moment += timedelta(**length)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database.open(f"sqlite:///{tmp_path / 'records.db'}")
    migrate(opened)
    yield opened
    await opened.close()


@pytest.fixture
async def door(tmp_path: Path, clock: HandClock) -> AsyncIterator[FrontDoor]:
    async with front_door(tmp_path, clock=clock) as opened:
        yield opened


@asynccontextmanager
async def browser(door: FrontDoor) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that keeps cookies, also those of an address without a name."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(door.url, cookie_jar=jar) as session:
        yield session


async def sign_in(
    session: aiohttp.ClientSession, user: str, password: str = PASSWORD, following: str = "/"
) -> aiohttp.ClientResponse:
    """Fill in the form as it is served; does not follow where it leads."""
    async with session.get("/login", params={"next": following}) as page:
        text = await page.text()
    token = text.split('name="form" value="')[1].split('"')[0]
    form = {"username": user, "password": password, "form": token, "next": following}
    answer = await session.post("/login", data=form, allow_redirects=False)
    await answer.read()
    return answer


def cookie_of(session: aiohttp.ClientSession, name: str) -> str:
    """Return a cookie's value; empty when the client has none of this name."""
    return next((cookie.value for cookie in session.cookie_jar if cookie.key == name), "")
