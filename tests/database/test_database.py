import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from headwater.database import Database
from headwater.database.engine import Moment


@pytest.fixture
async def database(tmp_path: Path):
    opened = Database.open(f"sqlite:///{tmp_path / 'records.db'}")
    await opened.run(lambda connection: connection.execute(text("CREATE TABLE things (name TEXT PRIMARY KEY)")))
    yield opened
    await opened.close()


def insert(name: str):
    return lambda connection: connection.execute(text("INSERT INTO things VALUES (:name)"), {"name": name})


def names(connection: Connection) -> list[str]:
    return list(connection.execute(text("SELECT name FROM things ORDER BY name")).scalars())


async def test_a_transaction_is_committed_or_leaves_nothing(database: Database) -> None:
    await database.run(insert("kept"))

    def fails(connection: Connection) -> None:
        insert("lost")(connection)
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        await database.run(fails)
    assert await database.read(names) == ["kept"]


async def test_many_writers_do_not_collide(database: Database) -> None:
    await asyncio.gather(*(database.run(insert(f"{number:03}")) for number in range(100)))
    assert len(await database.read(names)) == 100


async def test_a_reader_sees_one_snapshot_while_others_write(database: Database) -> None:
    await database.run(insert("before"))

    def twice(connection: Connection) -> tuple[list[str], list[str]]:
        first = names(connection)
        with sqlite3.connect(database.engine.url.database or "") as other:
            other.execute("INSERT INTO things VALUES ('meanwhile')")
        return first, names(connection)

    assert await database.read(twice) == (["before"], ["before"])
    assert await database.read(names) == ["before", "meanwhile"]


async def test_sqlite_is_set_up_to_lose_nothing(database: Database) -> None:
    def settings(connection: Connection) -> list[object]:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() for pragma in pragmas]

    assert await database.read(settings) == ["wal", 2, 1]


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    file = tmp_path / "records.db"
    program = f"""
import asyncio
from sqlalchemy import text
from headwater.database import Database

async def main():
    database = Database.open("sqlite:///{file}")
    await database.run(lambda c: c.execute(text("CREATE TABLE things (name INTEGER)")))
    for number in range(10**9):
        await database.run(lambda c: c.execute(text("INSERT INTO things VALUES (:n)"), {{"n": number}}))
        print(number, flush=True)

asyncio.run(main())
"""
    writer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=_environment())
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) >= 50:
            break
    writer.send_signal(signal.SIGKILL)
    acknowledged = max([50, *(int(line) for line in writer.stdout.read().split("\n") if line)])
    writer.wait()
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM things").fetchone()[0] >= acknowledged + 1
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}


@given(st.timedeltas(min_value=timedelta(days=-30000), max_value=timedelta(days=90000)), st.integers(-12, 12))
def test_a_moment_comes_back_exactly(since: timedelta, offset: int) -> None:
    aware = datetime(1970, 1, 1, tzinfo=timezone(timedelta(hours=offset))) + since
    kind = Moment()
    stored = kind.process_bind_param(aware, None)
    read = kind.process_result_value(stored, None)
    assert read == aware
    assert read.tzinfo is UTC
