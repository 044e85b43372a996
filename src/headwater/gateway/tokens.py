"""Personal access tokens: what a person gives to a script or to ``kfp.Client(existing_token=…)``.

A token is ``hw_`` and 256 random bits; the table has its hash, whose it is and until when. It acts as its user and dies
with them. A refused token says in one sentence why, so that a script which stops working one morning explains itself.
"""

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select, update

from headwater.capability.identity import Identity
from headwater.database import Database
from headwater.gateway import models
from headwater.gateway.users import UserError, Users, user_from
from headwater.kube.meta.errors import unauthorized
from headwater.kube.meta.time import Clock, format_time

PREFIX = "hw_"
"""By this a token is known from a service account's, and by tools that look for leaked secrets."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret part."""

    token_id: str
    user: str
    description: str
    created_at: datetime
    expires_at: datetime
    revoked: bool


class Tokens:
    """Issues, verifies, lists and revokes personal tokens."""

    def __init__(self, database: Database, users: Users, clock: Clock) -> None:
        self._database = database
        self._users = users
        self._clock = clock

    async def issue(self, user: str, lifetime: timedelta, description: str = "") -> str:
        """Return a new token of the user; it is shown this once. Raises ``UserError``."""
        owner = await self._users.get(user)
        if owner is None or owner.disabled:
            raise UserError(f"there is no user {user!r}" if owner is None else f"the user {user!r} is disabled")
        if lifetime <= timedelta(0):
            raise UserError("a token's lifetime must be longer than nothing")
        token = PREFIX + secrets.token_urlsafe(32)
        now = self._clock.now()
        row = {
            "token_hash": _digest(token),
            "token_id": str(uuid.uuid4()),
            "user_name": user,
            "description": description,
            "created_at": now,
            "expires_at": now + lifetime,
            "revoked": False,
        }
        await self._database.run(lambda c: c.execute(insert(models.tokens).values(row)))
        return token

    async def verify(self, token: str) -> Identity:
        """Return whom the token acts as. Raises ``StatusError`` 401 that says what is wrong with it."""
        query = (
            select(models.users, models.tokens.c.expires_at, models.tokens.c.revoked)
            .join(models.tokens, models.tokens.c.user_name == models.users.c.name)
            .where(models.tokens.c.token_hash == _digest(token))
        )
        row = await self._database.read(lambda c: c.execute(query).mappings().first())
        if row is None:
            raise unauthorized("The token is not known here: make a new one with `headwater token`.")
        if row["revoked"]:
            raise unauthorized("The token has been revoked: make a new one with `headwater token`.")
        if row["expires_at"] <= self._clock.now():
            until = format_time(row["expires_at"])
            raise unauthorized(f"The token expired at {until}: make a new one with `headwater token`.")
        if row["disabled"]:
            raise unauthorized(f"The token's user {row['name']!r} is disabled.")
        return user_from(row).identity

    async def list(self, user: str) -> list[Token]:
        """Return the user's tokens, newest first."""
        table = models.tokens
        query = select(table).where(table.c.user_name == user).order_by(table.c.created_at.desc())
        rows = await self._database.read(lambda c: c.execute(query).mappings().all())
        return [
            Token(r["token_id"], r["user_name"], r["description"], r["created_at"], r["expires_at"], r["revoked"])
            for r in rows
        ]

    async def revoke(self, user: str, token_id: str) -> bool:
        """Make the user's token useless at once; False when the user has none of this id."""
        table = models.tokens
        query = update(table).where(table.c.user_name == user, table.c.token_id == token_id).values(revoked=True)
        return bool(await self._database.run(lambda c: c.execute(query).rowcount))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
