"""Personal tokens: made once, refused with the reason."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.gateway.conftest import HandClock

from headwater.database import Database
from headwater.gateway.tokens import Tokens
from headwater.gateway.users import UserError, Users
from headwater.kube.meta.errors import StatusError

DAY = timedelta(days=1)


@pytest.fixture
async def users(database: Database, clock: HandClock) -> Users:
    made = Users(database, clock, rounds=4)
    await made.create("ann", "a good password", namespace="team-a")
    return made


@pytest.fixture
def tokens(database: Database, clock: HandClock, users: Users) -> Tokens:
    return Tokens(database, users, clock)


async def refusal(tokens: Tokens, token: str) -> str:
    with pytest.raises(StatusError) as caught:
        await tokens.verify(token)
    assert caught.value.code == 401
    assert token not in caught.value.message
    return caught.value.message


async def test_a_token_acts_as_its_user(tokens: Tokens) -> None:
    token = await tokens.issue("ann", DAY)
    assert token.startswith("hw_")
    identity = await tokens.verify(token)
    assert (identity.user, identity.namespace) == ("ann", "team-a")


async def test_the_database_has_only_a_hash(tokens: Tokens, database: Database) -> None:
    token = await tokens.issue("ann", DAY, "for the nightly job")
    row = await database.read(lambda c: c.execute(text("SELECT * FROM gateway_tokens")).mappings().one())
    assert token not in str(dict(row))
    assert token.removeprefix("hw_") not in str(dict(row))


async def test_an_expired_token_says_when_and_what_to_do(tokens: Tokens, clock: HandClock) -> None:
    token = await tokens.issue("ann", DAY)
    clock.pass_by(days=1)
    said = await refusal(tokens, token)
    assert said == "The token expired at 2026-05-02T12:00:00Z: make a new one with `headwater token`."


async def test_unknown_and_revoked_tokens(tokens: Tokens) -> None:
    assert "not known" in await refusal(tokens, "hw_made-up")
    token = await tokens.issue("ann", DAY)
    (listed,) = await tokens.list("ann")
    assert not await tokens.revoke("bob", listed.token_id)
    assert await tokens.revoke("ann", listed.token_id)
    assert "revoked" in await refusal(tokens, token)


async def test_a_disabled_users_token_is_refused(tokens: Tokens, users: Users) -> None:
    token = await tokens.issue("ann", DAY)
    await users.disable("ann")
    assert "disabled" in await refusal(tokens, token)
    with pytest.raises(UserError, match="disabled"):
        await tokens.issue("ann", DAY)


async def test_tokens_for_nobody_or_no_time(tokens: Tokens) -> None:
    with pytest.raises(UserError, match="no user"):
        await tokens.issue("bob", DAY)
    with pytest.raises(UserError, match="lifetime"):
        await tokens.issue("ann", timedelta(0))
