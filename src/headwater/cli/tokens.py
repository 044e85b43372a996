"""Issuing a user's bearer token from the command line, straight into the records of the data directory."""

import asyncio
from datetime import timedelta

from headwater.cli.home import Home


class UnknownUserError(Exception):
    """There is no such user; the message says who there is."""


def issue_token(home: Home, user: str, hours: float) -> str:
    """Return a new bearer token for the gateway. Raises ``UnknownUserError``."""
    return asyncio.run(_issue(home, user, timedelta(hours=hours)))


async def _issue(home: Home, user: str, lifetime: timedelta) -> str:
    raise NotImplementedError
