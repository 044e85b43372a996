"""Sessions end when they must."""

import pytest
from sqlalchemy import text
from tests.gateway.conftest import HandClock

from headwater.database import Database
from headwater.gateway.sessions import Sessions, csrf_token
from headwater.gateway.users import User, Users


@pytest.fixture
def users(database: Database, clock: HandClock) -> Users:
    return Users(database, clock, rounds=4)


@pytest.fixture
def sessions(database: Database, clock: HandClock) -> Sessions:
    return Sessions(database, clock)


@pytest.fixture
async def ann(users: Users) -> User:
    return await users.create("ann", "a good password")


async def test_a_session_is_its_users(sessions: Sessions, ann: User) -> None:
    one, two = await sessions.start(ann), await sessions.start(ann)
    assert one != two
    assert await sessions.user_of(one) == ann
    assert await sessions.user_of("made up") is None
    assert await sessions.user_of("") is None


async def test_the_database_alone_opens_nothing(sessions: Sessions, ann: User, database: Database) -> None:
    session = await sessions.start(ann)
    row = await database.read(lambda c: c.execute(text("SELECT * FROM gateway_sessions")).mappings().one())
    assert session not in str(dict(row))
    assert await sessions.user_of(row["id_hash"]) is None


async def test_it_ends_at_logout_and_leaves_the_others(sessions: Sessions, ann: User) -> None:
    one, two = await sessions.start(ann), await sessions.start(ann)
    await sessions.end(one)
    await sessions.end(one)
    assert await sessions.user_of(one) is None
    assert await sessions.user_of(two) is not None


async def test_it_ends_after_a_day(sessions: Sessions, ann: User, clock: HandClock) -> None:
    session = await sessions.start(ann)
    clock.pass_by(hours=23, minutes=59)
    assert await sessions.user_of(session) is not None
    clock.pass_by(minutes=1)
    assert await sessions.user_of(session) is None


async def test_sessions_that_are_over_are_swept(
    sessions: Sessions, ann: User, clock: HandClock, database: Database
) -> None:
    await sessions.start(ann)
    clock.pass_by(days=2)
    await sessions.start(ann)
    count = await database.read(lambda c: c.execute(text("SELECT count(*) FROM gateway_sessions")).scalar())
    assert count == 1


async def test_it_ends_when_the_user_is_disabled_and_stays_ended(sessions: Sessions, ann: User, users: Users) -> None:
    session = await sessions.start(ann)
    await users.disable("ann")
    assert await sessions.user_of(session) is None
    await users.disable("ann", False)
    assert await sessions.user_of(session) is None


async def test_it_ends_when_the_password_changes(sessions: Sessions, ann: User, users: Users) -> None:
    session = await sessions.start(ann)
    await users.set_password("ann", "another password")
    assert await sessions.user_of(session) is None


async def test_a_sign_in_that_was_under_way_when_the_password_changed_opens_nothing(
    sessions: Sessions, ann: User, users: Users
) -> None:
    await users.set_password("ann", "another password")
    assert await sessions.user_of(await sessions.start(ann)) is None


def test_csrf_tokens_belong_to_one_session() -> None:
    assert csrf_token("a") == csrf_token("a") != csrf_token("b")
    assert "a session id" not in csrf_token("a session id")
