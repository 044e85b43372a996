"""Tokens from the command line: straight into the records, and good at the gateway."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from headwater.cli.home import Home
from headwater.cli.people import issue_token
from headwater.database import Database
from headwater.gateway.app import migrate
from headwater.gateway.tokens import Tokens
from headwater.gateway.users import UserError, Users
from headwater.kube.meta.time import SystemClock


@asynccontextmanager
async def records(home: Home):
    database = Database.open(f"sqlite:///{home.database}")
    users = Users(database, SystemClock(), rounds=4)
    try:
        yield database, users, Tokens(database, users, SystemClock())
    finally:
        await database.close()


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.create()

    async def begin():
        async with records(made) as (database, users, _):
            migrate(database)
            await users.create("ann", "a good password")

    asyncio.run(begin())
    return made


def test_a_token_is_accepted_as_its_user(home):
    token = issue_token(home, "ann", 8)

    async def verified():
        async with records(home) as (_, _, tokens):
            [listed] = await tokens.list("ann")
            return (await tokens.verify(token)).user, listed

    user, listed = asyncio.run(verified())
    assert user == "ann"
    assert (listed.expires_at - listed.created_at).total_seconds() == 8 * 3600


def test_there_is_none_for_a_user_who_is_not_there(home):
    with pytest.raises(UserError, match="nobody"):
        issue_token(home, "nobody", 8)
