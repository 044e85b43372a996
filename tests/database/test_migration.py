import sqlite3
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from headwater.database import Database, DatabaseTooNew, DatabaseUnusable
from headwater.database.migration import scan, version_table

FIRST = """
from alembic import op
import sqlalchemy as sa
revision = "0001"
down_revision = None

def upgrade():
    op.create_table("things", sa.Column("name", sa.Text, primary_key=True))
"""
SECOND = """
from alembic import op
import sqlalchemy as sa
revision: str = "0002"
down_revision: str = "0001"

def upgrade():
    op.add_column("things", sa.Column("size", sa.Integer, nullable=False, server_default="7"))
"""
BROKEN = """
from alembic import op
import sqlalchemy as sa
revision = "0003"
down_revision = "0002"

def upgrade():
    op.add_column("things", sa.Column("colour", sa.Text))
    raise RuntimeError("half-way")
"""


@pytest.fixture
def database(tmp_path: Path):
    opened = Database.open(f"sqlite:///{tmp_path / 'records.db'}")
    yield opened
    opened.close_now()


@pytest.fixture
def room(tmp_path: Path) -> Path:
    folder = tmp_path / "revisions, 100%"
    folder.mkdir()
    (folder / "0001_first.py").write_text(FIRST)
    return folder


def rows(database: Database) -> list[tuple]:
    return database.read_now(
        lambda connection: [tuple(row) for row in connection.execute(text("SELECT * FROM things"))]
    )


def test_an_old_data_directory_is_upgraded_with_its_content(database: Database, room: Path) -> None:
    database.migrate("room", room)
    database.run_now(lambda connection: connection.execute(text("INSERT INTO things VALUES ('old')")))
    (room / "0002_second.py").write_text(SECOND)
    database.migrate("room", room)
    assert rows(database) == [("old", 7)]


def test_a_migration_that_fails_leaves_the_old_tables(database: Database, room: Path) -> None:
    (room / "0002_second.py").write_text(SECOND)
    database.migrate("room", room)
    database.run_now(lambda connection: connection.execute(text("INSERT INTO things VALUES ('kept', 1)")))
    (room / "0003_broken.py").write_text(BROKEN)
    with pytest.raises(RuntimeError, match="half-way"):
        database.migrate("room", room)
    assert rows(database) == [("kept", 1)]


def test_a_newer_database_is_refused_in_one_sentence(database: Database, room: Path) -> None:
    database.migrate("room", room)
    database.run_now(
        lambda connection: connection.execute(text("UPDATE alembic_version_room SET version_num = '0009'"))
    )
    with pytest.raises(DatabaseTooNew) as caught:
        database.migrate("room", room)
    message = str(caught.value)
    assert "newer version of Headwater" in message
    assert "0009" in message
    assert "records.db" in message
    assert "\n" not in message


def test_at_the_head_alembic_is_not_even_imported(database: Database, room: Path, monkeypatch) -> None:
    database.migrate("room", room)
    for name in [name for name in sys.modules if name == "alembic" or name.startswith("alembic.")]:
        monkeypatch.delitem(sys.modules, name)
    database.migrate("room", room)
    assert "alembic" not in sys.modules


def test_rooms_move_independently(database: Database, room: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "0001.py").write_text(FIRST.replace("things", "others").replace("0001", "a1"))
    database.migrate("room", room)
    database.migrate("other", other)
    with sqlite3.connect(database.engine.url.database or "") as connection:
        found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert found == {"things", "others", "alembic_version_room", "alembic_version_other"}


def test_scan_reads_every_way_of_writing_a_revision(room: Path) -> None:
    (room / "0002_second.py").write_text(SECOND)
    assert scan(room) == (frozenset({"0001", "0002"}), "0002")
    (room / "0002_rival.py").write_text(SECOND.replace('"0002"', '"0002b"'))
    with pytest.raises(ValueError, match=r"one head.*0002.*0002b"):
        scan(room)


def test_a_room_without_revisions_is_a_mistake(database: Database, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none"):
        database.migrate("room", tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path, room: Path) -> None:
    file = tmp_path / "damaged.db"
    file.write_bytes(b"not a database at all" * 100)
    damaged = Database.open(f"sqlite:///{file}")
    with pytest.raises(DatabaseUnusable, match=r"damaged\.db cannot be used: file is not a database"):
        damaged.migrate("room", room)
    damaged.close_now()


@pytest.mark.parametrize("name", ["", "a-b", "x; DROP TABLE things"])
def test_a_version_table_is_named_after_an_identifier(name: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        version_table(name)
