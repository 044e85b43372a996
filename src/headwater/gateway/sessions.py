"""Sessions of people who signed in with a browser: kept on the server, so that ending one really ends it.

The cookie holds a random id of which the table has only a hash. A session is over at logout, after its lifetime, and as
soon as its user is disabled, gone, or has another password (the user's ``generation`` has moved on).
"""

import hashlib
import secrets
from datetime import timedelta

from sqlalchemy import Connection, delete, insert, select

from headwater.database import Database
from headwater.gateway import models
from headwater.gateway.users import User, user_from
from headwater.kube.meta.time import Clock

LIFETIME = timedelta(hours=24)
"""Kubeflow's own."""


class Sessions:
    """Starts, finds and ends sessions."""

    def __init__(self, database: Database, clock: Clock, *, lifetime: timedelta = LIFETIME) -> None:
        self._database = database
        self._clock = clock
        self.lifetime = lifetime

    async def start(self, user: User) -> str:
        """Return the id of a new session; only the caller ever has it. Removes sessions whose time is over."""
        session_id = secrets.token_urlsafe(32)
        now = self._clock.now()
        row = {
            "id_hash": _digest(session_id),
            "user_name": user.name,
            "generation": user.generation,
            "created_at": now,
            "expires_at": now + self.lifetime,
        }

        def begin(connection: Connection) -> None:
            connection.execute(delete(models.sessions).where(models.sessions.c.expires_at <= now))
            connection.execute(insert(models.sessions).values(row))

        await self._database.run(begin)
        return session_id

    async def user_of(self, session_id: str) -> User | None:
        """Return whose session this is; None when it is over or never was."""
        sessions, users = models.sessions, models.users
        query = (
            select(users)
            .join(sessions, sessions.c.user_name == users.c.name)
            .where(
                sessions.c.id_hash == _digest(session_id),
                sessions.c.expires_at > self._clock.now(),
                sessions.c.generation == users.c.generation,
                users.c.disabled.is_(False),
            )
        )
        row = await self._database.read(lambda c: c.execute(query).mappings().first())
        return None if row is None else user_from(row)

    async def end(self, session_id: str) -> None:
        """End the session; ending one that is not there is no error."""
        query = delete(models.sessions).where(models.sessions.c.id_hash == _digest(session_id))
        await self._database.run(lambda c: c.execute(query))


def csrf_token(session_id: str) -> str:
    """Return what a script must send along to act in the session.

    It is derived from the session's id, so a cookie that somebody else has planted does not fit.
    """
    return hashlib.sha256(b"xsrf:" + session_id.encode()).hexdigest()[:43]


def _digest(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()
