"""The records database that the rooms share: one engine, short transactions off the event loop, migrations per room.

Decides how the tables are reached: SQLite (WAL, ``synchronous=FULL``, writes one at a time) on a machine, PostgreSQL or
MySQL by URL where there are several replicas. A transaction is a plain function of a SQLAlchemy ``Connection``; it runs
in a worker thread and is committed, on disk, before the awaiting caller goes on.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

T = TypeVar("T")


class DatabaseTooNew(Exception):  # noqa: N818 - named after what is the matter, as a person is told
    """The database was written by a newer version of Headwater than this one."""


class DatabaseUnusable(OSError):  # noqa: N818
    """The database cannot be opened: its file is damaged or not ours to write, or its server does not answer."""


class Database:
    """A connection pool and its two doors: ``run`` for transactions that write, ``read`` for those that do not."""

    def __init__(self, engine: "Engine", url: str) -> None:
        self.engine = engine
        self.url = url
        one_writer = engine.dialect.name == "sqlite"
        self._writers = ThreadPoolExecutor(1 if one_writer else 4, thread_name_prefix="database-writer")
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="database-reader")

    @classmethod
    def open(cls, url: str) -> "Database":
        """Open the database at a SQLAlchemy URL (``sqlite:////path/to/records.db``).

        Nothing is read or created yet: ``migrate`` is what finds out whether the database can be used.
        """
        from headwater.database.engine import create

        return cls(create(url), url)

    async def run(self, transaction: "Callable[[Connection], T]") -> T:
        """Run ``transaction`` and commit it; whatever it raises rolls everything back and comes out here."""
        return await asyncio.get_running_loop().run_in_executor(self._writers, self.run_now, transaction)

    async def read(self, query: "Callable[[Connection], T]") -> T:
        """Run a query on one consistent snapshot. It must not write."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, query)

    def run_now(self, transaction: "Callable[[Connection], T]") -> T:
        """Do what ``run`` does in the calling thread; for commands that have no event loop."""
        from headwater.database.engine import writing

        with writing(self.engine) as connection:
            return transaction(connection)

    def read_now(self, query: "Callable[[Connection], T]") -> T:
        """Do what ``read`` does in the calling thread; for commands that have no event loop."""
        with self.engine.connect() as connection, connection.begin():
            return query(connection)

    def migrate(self, room: str, revisions: Path) -> None:
        """Bring a room's tables to the newest revision in its folder; costs one query when they already are.

        Each room has its own version table ``alembic_version_<room>``. Raises ``DatabaseTooNew`` and
        ``DatabaseUnusable``, each one sentence.
        """
        from headwater.database.migration import migrate

        migrate(self.engine, room, revisions)

    async def close(self) -> None:
        """Let running transactions finish, then close every connection."""
        await asyncio.to_thread(self.close_now)

    def close_now(self) -> None:
        """Do what ``close`` does in the calling thread."""
        self._writers.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self.engine.dispose()
