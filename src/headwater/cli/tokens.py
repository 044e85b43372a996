"""Issuing a user's bearer token from the command line, straight into the records of the data directory.

Whoever may write to the data directory owns the platform; asking its server for a token would only prove the same
thing in a longer way, and could not work while it is down.
"""

import asyncio
from datetime import timedelta

from headwater.cli.home import Home
from headwater.database import Database
from headwater.gateway.tokens import Tokens
from headwater.gateway.users import Users
from headwater.kube.meta.time import SystemClock


def issue_token(home: Home, user: str, hours: float) -> str:
    """Return a new bearer token for the gateway. Raises ``UserError`` when there is no such user."""
    return asyncio.run(_issue(home, user, timedelta(hours=hours)))


async def _issue(home: Home, user: str, lifetime: timedelta) -> str:
    clock = SystemClock()
    database = Database.open(f"sqlite:///{home.database}")
    try:
        return await Tokens(database, Users(database, clock), clock).issue(user, lifetime, "headwater token")
    finally:
        await database.close()
