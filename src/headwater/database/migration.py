"""Bringing a room's tables to the revision that this code was written for.

Each room keeps a folder of Alembic revisions and a version table of its own, so that rooms move independently in one
database. Alembic costs 0.2 s to import, so whether it is needed at all is decided first, from the revision files.
"""

import re
from pathlib import Path

from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from headwater.database import DatabaseTooNew, DatabaseUnusable
from headwater.database.engine import writing

_ENVIRONMENT = Path(__file__).parent / "environment"
_REVISION = re.compile(r"""^revision\b[^=]*=\s*["'](\w+)["']""", re.MULTILINE)
_DOWN = re.compile(r"""^down_revision\b[^=]*=\s*["'](\w+)["']""", re.MULTILINE)


def migrate(engine: Engine, room: str, revisions: Path) -> None:
    """Upgrade the room's tables in one transaction; do nothing when they are at the head.

    Raises ``DatabaseTooNew`` when the database is at a revision that this code does not know, ``DatabaseUnusable``
    when it cannot be read, ``ValueError`` when the folder's revisions do not end in exactly one head.
    """
    known, head = scan(revisions)
    try:
        current = _current(engine, room)
    except DBAPIError as error:
        raise DatabaseUnusable(f"The records database {_place(engine)} cannot be used: {error.orig}") from None
    if current == head:
        return
    if current is not None and current not in known:
        raise DatabaseTooNew(
            f"The {room} tables in {_place(engine)} were written by a newer version of Headwater "
            f"(revision {current}, this one knows {head}): install that version, or use another data directory."
        )
    _upgrade(engine, room, revisions)


def _place(engine: Engine) -> str:
    url = engine.url
    return (url.database or "") if engine.dialect.name == "sqlite" else url.render_as_string(hide_password=True)


def scan(revisions: Path) -> tuple[frozenset[str], str]:
    """Return every revision in the folder and the head, by reading the assignments at the top of the files."""
    known: set[str] = set()
    parents: set[str] = set()
    for file in revisions.glob("*.py"):
        source = file.read_text()
        known.update(_REVISION.findall(source))
        parents.update(_DOWN.findall(source))
    heads = known - parents
    if len(heads) != 1:
        raise ValueError(f"{revisions} must hold revisions that end in one head, and ends in {sorted(heads) or 'none'}")
    return frozenset(known), heads.pop()


def _current(engine: Engine, room: str) -> str | None:
    table = version_table(room)
    with engine.connect() as connection:
        if not inspect(connection).has_table(table):
            return None
        found = connection.execute(text(f"SELECT version_num FROM {table}")).scalar()  # noqa: S608 - from a room's name
        return str(found) if found is not None else None


def version_table(room: str) -> str:
    """Return the name of the room's version table. Raises ``ValueError`` for a name that is no identifier."""
    if not room.isidentifier():
        raise ValueError(f"the room {room!r} is no identifier")
    return f"alembic_version_{room}"


def _upgrade(engine: Engine, room: str, revisions: Path) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_ENVIRONMENT).replace("%", "%%"))
    config.set_main_option("version_locations", str(revisions).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    with writing(engine) as connection:
        config.attributes.update(connection=connection, version_table=version_table(room))
        command.upgrade(config, "head")
