"""Local users: who may sign in."""

import pytest
from sqlalchemy import text
from tests.gateway.conftest import HandClock

from headwater.database import Database
from headwater.gateway.users import UserError, Users

PASSWORD = "a good password"


@pytest.fixture
def users(database: Database, clock: HandClock) -> Users:
    return Users(database, clock, rounds=4)


async def test_the_right_password_lets_in_and_a_wrong_one_does_not(users: Users) -> None:
    await users.create("ann@example.org", PASSWORD, groups=["data"], namespace="team-a", display_name="Ann")
    found = await users.verify("ann@example.org", PASSWORD)
    assert found is not None
    assert found.identity.groups == ("system:authenticated", "data")
    assert (found.identity.namespace, found.identity.display_name) == ("team-a", "Ann")
    assert await users.verify("ann@example.org", PASSWORD + "x") is None
    assert await users.verify("ann@example.org", "") is None
    assert await users.verify("nobody", PASSWORD) is None


async def test_only_a_bcrypt_hash_is_kept(users: Users, database: Database) -> None:
    await users.create("ann", PASSWORD)
    row = await database.read(lambda c: c.execute(text("SELECT * FROM gateway_users")).mappings().one())
    assert row["password_hash"].startswith("$2b$04$")
    assert PASSWORD not in str(dict(row))


async def test_a_hash_of_kubeflow_is_understood(users: Users, database: Database) -> None:
    """Kubeflow's static users have ``$2y$`` hashes; this is the one of its documentation, for ``12341234``."""
    await users.create("user@example.com", PASSWORD)
    theirs = "$2y$12$4K/VkmDd1q1Orb3xAt82zu8gk7Ad6ReFR4LCP9UeYE90NLiN9Df72"
    await database.run(lambda c: c.execute(text("UPDATE gateway_users SET password_hash = :h"), {"h": theirs}))
    assert await users.verify("user@example.com", "12341234") is not None


@pytest.mark.parametrize("name", ["", "a b", "system:admin", "a\tb", "a\x00b"])
async def test_names_that_cannot_be(users: Users, name: str) -> None:
    with pytest.raises(UserError, match="cannot be a user's name"):
        await users.create(name, PASSWORD)


@pytest.mark.parametrize(("password", "why"), [("short", "too short"), ("é" * 37, "too long")])
async def test_passwords_that_cannot_be(users: Users, password: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        await users.create("ann", password)


async def test_a_password_of_72_bytes_is_whole(users: Users) -> None:
    longest = "x" * 72
    await users.create("ann", longest)
    assert await users.verify("ann", longest) is not None
    assert await users.verify("ann", longest + "y") is None
    assert await users.verify("ann", longest[:-1]) is None


async def test_a_name_is_taken_once(users: Users) -> None:
    await users.create("ann", PASSWORD)
    with pytest.raises(UserError, match="exists already"):
        await users.create("ann", PASSWORD)


async def test_a_disabled_user_stays_out_until_enabled(users: Users) -> None:
    await users.create("ann", PASSWORD)
    await users.disable("ann")
    assert await users.verify("ann", PASSWORD) is None
    assert [user.disabled for user in await users.list()] == [True]
    await users.disable("ann", False)
    assert await users.verify("ann", PASSWORD) is not None


async def test_changing_what_is_not_there_says_so(users: Users) -> None:
    with pytest.raises(UserError, match="there is no user 'bob'"):
        await users.set_password("bob", PASSWORD)
    with pytest.raises(UserError, match="there is no user 'bob'"):
        await users.disable("bob")
