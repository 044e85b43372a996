"""Engines and the settings that make SQLite durable and concurrent.

WAL lets readers go on beside the writer; ``synchronous=FULL`` means that a committed transaction survives a power cut;
a busy timeout lets a second process (``headwater token``) wait its turn. SQLite's own driver opens transactions late
and commits early, so begin is taken over: a writing transaction takes the write lock at once and cannot fail half-way.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import BigInteger, Connection, Dialect, Engine, TypeDecorator, create_engine, event
from sqlalchemy.engine import make_url

_BUSY_SECONDS = 10.0
_WRITES = "headwater_writes"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def create(url: str) -> Engine:
    """Return an engine for the URL, with its pragmas set when it is SQLite."""
    sqlite = make_url(url).get_backend_name() == "sqlite"
    options: dict[str, Any] = {"connect_args": {"timeout": _BUSY_SECONDS}} if sqlite else {"pool_pre_ping": True}
    engine = create_engine(
        url,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        **options,
    )
    if sqlite:
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A connection inside a transaction that may write; commits at the end, rolls back on an exception."""
    with engine.connect() as connection:
        marked = connection.execution_options(**{_WRITES: True})
        with marked.begin():
            yield marked


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Moment(TypeDecorator[datetime]):
    """A UTC time with microseconds, stored as microseconds since 1970: exact, sortable, the same in every engine."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Write an aware time."""
        return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Read it back, in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)
