"""Users and their tokens from the command line, straight in the records of the data directory.

Whoever may write to the data directory owns the platform; asking its server for a token or a new password would only
prove the same thing in a longer way, and could not work while it is down.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from headwater.cli.home import Home
from headwater.database import Database
from headwater.gateway.tokens import Tokens
from headwater.gateway.users import User, Users
from headwater.kube.meta.time import SystemClock

T = TypeVar("T")


def issue_token(home: Home, user: str, hours: float) -> str:
    """Return a new bearer token for the gateway. Raises ``UserError`` when there is no such user."""

    async def issue(database: Database, users: Users) -> str:
        return await Tokens(database, users, SystemClock()).issue(user, timedelta(hours=hours), "headwater token")

    return _with_users(home, issue)


def list_users(home: Home) -> list[User]:
    """Return the local users, by name."""
    return _with_users(home, lambda _, users: users.list())


def reset_password(home: Home, user: str) -> str:
    """Give the user a generated password, end the user's sessions, and return it. Raises ``UserError``."""
    password = generate_password()

    async def reset(_: Database, users: Users) -> None:
        await users.set_password(user, password)

    _with_users(home, reset)
    return password


def generate_password() -> str:
    """Return a password of 96 random bits."""
    return secrets.token_urlsafe(12)


def _with_users(home: Home, work: Callable[[Database, Users], Awaitable[T]]) -> T:
    async def run() -> T:
        database = Database.open(f"sqlite:///{home.database}")
        try:
            return await work(database, Users(database, SystemClock()))
        finally:
            await database.close()

    return asyncio.run(run())
