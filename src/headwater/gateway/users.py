"""The local users: who may sign in with a password, and as whom.

Passwords are bcrypt (the form of Kubeflow's static users). Checking one costs a quarter of a second of a core on
purpose, so it happens in a thread, two at a time, and takes as long for a name that does not exist.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import bcrypt
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from headwater.capability.identity import Identity
from headwater.database import Database
from headwater.gateway import models
from headwater.kube.meta.time import Clock

_LONGEST_PASSWORD = 72
"""bcrypt reads no further than this many bytes; a longer password is refused rather than cut."""
_SHORTEST_PASSWORD = 8


class UserError(ValueError):
    """Something about a user that cannot be done, said for a person."""


@dataclass(frozen=True, slots=True)
class User:
    """One local user, without the password."""

    name: str
    display_name: str
    groups: tuple[str, ...]
    namespace: str
    """The namespace that is meant when a request names none."""
    disabled: bool
    generation: int
    """Goes up with every change that must end the sessions."""
    created_at: datetime

    @property
    def identity(self) -> Identity:
        """The user as rooms and RBAC see it."""
        groups = ("system:authenticated", *(group for group in self.groups if group != "system:authenticated"))
        return Identity(self.name, groups, self.namespace, self.display_name or self.name)


class Users:
    """Creates, verifies, changes and lists the local users."""

    def __init__(self, database: Database, clock: Clock, *, rounds: int = 12) -> None:
        """``rounds`` is bcrypt's cost: each one more doubles the time. 12 is what Kubeflow's static users have."""
        self._database = database
        self._clock = clock
        self._rounds = rounds
        self._hashing = asyncio.Semaphore(2)
        self._nobody: bytes | None = None

    async def create(
        self,
        name: str,
        password: str,
        *,
        display_name: str = "",
        groups: Sequence[str] = (),
        namespace: str = "default",
    ) -> User:
        """Add a user. Raises ``UserError`` for a taken or empty name and for a password that is too short or long."""
        if not name or name.startswith("system:") or any(c.isspace() or not c.isprintable() for c in name):
            raise UserError(f"{name!r} cannot be a user's name: no spaces, not empty, not starting with 'system:'")
        now = self._clock.now()
        row = {
            "name": name,
            "display_name": display_name,
            "password_hash": await self._hash(password),
            "groups": list(groups),
            "namespace": namespace,
            "disabled": False,
            "generation": 1,
            "created_at": now,
            "password_changed_at": now,
        }
        try:
            await self._database.run(lambda c: c.execute(insert(models.users).values(row)))
        except IntegrityError:
            raise UserError(f"the user {name!r} exists already") from None
        return user_from(row)

    async def get(self, name: str) -> User | None:
        """Return the user of this name, disabled or not."""
        row = await self._row(name)
        return None if row is None else user_from(row)

    async def list(self) -> list[User]:
        """Return all users by name."""
        query = select(models.users).order_by(models.users.c.name)
        rows = await self._database.read(lambda c: c.execute(query).mappings().all())
        return [user_from(row) for row in rows]

    async def verify(self, name: str, password: str) -> User | None:
        """Return the user if the password is right and the user is not disabled; takes equally long if not."""
        row = await self._row(name)
        hashed = str(row["password_hash"]).encode() if row is not None else await self._hash_of_nobody()
        if not await self._matches(password, hashed) or row is None or row["disabled"]:
            return None
        return user_from(row)

    async def set_password(self, name: str, password: str) -> None:
        """Change the password and end the user's sessions. Raises ``UserError``."""
        values = {"password_hash": await self._hash(password), "password_changed_at": self._clock.now()}
        await self._change(name, values)

    async def disable(self, name: str, disabled: bool = True) -> None:
        """Keep the user out, sessions and tokens included, or let them in again. Raises ``UserError``."""
        await self._change(name, {"disabled": disabled})

    async def _change(self, name: str, values: dict[str, Any]) -> None:
        table = models.users

        def change(connection: Connection) -> int:
            changed = update(table).where(table.c.name == name)
            rows = connection.execute(changed.values(generation=table.c.generation + 1, **values)).rowcount
            connection.execute(models.sessions.delete().where(models.sessions.c.user_name == name))
            return rows

        if not await self._database.run(change):
            raise UserError(f"there is no user {name!r}")

    async def _row(self, name: str) -> Any:
        query = select(models.users).where(models.users.c.name == name)
        return await self._database.read(lambda c: c.execute(query).mappings().first())

    async def _hash(self, password: str) -> str:
        data = password.encode()
        if len(password) < _SHORTEST_PASSWORD:
            raise UserError(f"the password is too short: at least {_SHORTEST_PASSWORD} characters")
        if len(data) > _LONGEST_PASSWORD:
            raise UserError(f"the password is too long: at most {_LONGEST_PASSWORD} bytes")
        async with self._hashing:
            return (await asyncio.to_thread(bcrypt.hashpw, data, bcrypt.gensalt(self._rounds))).decode()

    async def _hash_of_nobody(self) -> bytes:
        if self._nobody is None:
            self._nobody = (await self._hash("nobody's password")).encode()
        return self._nobody

    async def _matches(self, password: str, hashed: bytes) -> bool:
        data = password.encode()
        async with self._hashing:
            right = await asyncio.to_thread(bcrypt.checkpw, data[:_LONGEST_PASSWORD], hashed)
        return right and len(data) <= _LONGEST_PASSWORD


def user_from(row: Any) -> User:
    """Read a user from a row that has the columns of the users table."""
    return User(
        name=row["name"],
        display_name=row["display_name"],
        groups=tuple(row["groups"]),
        namespace=row["namespace"],
        disabled=bool(row["disabled"]),
        generation=row["generation"],
        created_at=row["created_at"],
    )
