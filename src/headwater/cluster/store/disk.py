"""The store's file: one append-only table of changes in SQLite, in WAL mode with full synchronisation.

A change is one row, so a commit writes each object once. The newest row of a name is its live state (or its
tombstone); older rows are the history that watches resume from, until compaction deletes them together with
noting, for each bucket, up to which revision history is gone. The file is locked for one process.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from headwater.cluster.store.errors import StoreBusy, StoreDamaged, StoreError, StoreTooNew, WriteRefused

FORMAT = 1
"""The data format that this version writes. A newer file is refused, an older one is migrated."""

_SCHEMA = """
CREATE TABLE format (version INTEGER NOT NULL);
CREATE TABLE changes (
    revision INTEGER PRIMARY KEY,
    bucket TEXT NOT NULL,
    name TEXT NOT NULL,
    removed INTEGER NOT NULL,
    value BLOB NOT NULL
);
CREATE TABLE compacted (bucket TEXT PRIMARY KEY, revision INTEGER NOT NULL);
"""

_MIGRATIONS: Mapping[int, str] = {}
"""SQL that takes a file from the format in the key to the next one."""


class Row(NamedTuple):
    """One change as it is written."""

    revision: int
    bucket: str
    name: str
    removed: bool
    value: bytes


class Disk:
    """Reads and writes the file. Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        fresh = not path.exists()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=0.5, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._explain_opening(error) from error
        except OSError as error:
            raise StoreError(f"the store {path} cannot be opened: {error.strerror}") from error
        try:
            self._prepare(fresh)
        except sqlite3.Error as error:
            self._connection.close()
            raise self._explain_opening(error) from error
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, fresh: bool) -> None:
        execute = self._connection.execute
        execute("PRAGMA locking_mode=EXCLUSIVE")
        execute("PRAGMA journal_mode=WAL")
        execute("PRAGMA synchronous=FULL")
        execute("PRAGMA cache_size=-2048")
        execute("PRAGMA journal_size_limit=16777216")
        execute("BEGIN IMMEDIATE")
        try:
            self._migrate()
        except BaseException:
            self._roll_back()
            raise
        execute("COMMIT")
        if fresh:
            os.chmod(self._path, 0o600)
            _sync_directory(self._path.parent)

    def _migrate(self) -> None:
        execute = self._connection.execute
        if not execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            for statement in _SCHEMA.split(";"):
                execute(statement)
            execute("INSERT INTO format VALUES (?)", (FORMAT,))
            return
        if not execute("SELECT 1 FROM sqlite_master WHERE name = 'format'").fetchone():
            raise StoreDamaged(f"{self._path} is a database, but not a store of Headwater's objects")
        (version,) = execute("SELECT max(version) FROM format").fetchone()
        if version is None:
            raise StoreDamaged(f"{self._path} does not say which data format it has")
        if version > FORMAT:
            raise StoreTooNew(
                f"{self._path} was written by a newer version of Headwater (its data format is {version}, "
                f"this version knows up to {FORMAT}); start that version or a newer one"
            )
        if version < FORMAT:
            for step in range(version, FORMAT):
                for statement in _MIGRATIONS[step].split(";"):
                    execute(statement)
            execute("UPDATE format SET version = ?", (FORMAT,))

    def _explain_opening(self, error: sqlite3.Error) -> StoreError:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return StoreBusy(f"{self._path} is in use by another process; only one may have it open")
        if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            return StoreDamaged(f"{self._path} is not a readable store: {error}")
        return StoreError(f"the store {self._path} cannot be opened: {error}")

    def compacted(self) -> dict[str, int]:
        """Return, for each bucket, the revision up to which its history is gone."""
        return dict(self._connection.execute("SELECT bucket, revision FROM compacted"))

    def rows(self) -> Iterator[Row]:
        """Return every kept change, oldest first."""
        statement = "SELECT revision, bucket, name, removed, value FROM changes ORDER BY revision"
        for revision, bucket, name, removed, value in self._connection.execute(statement):
            yield Row(revision, bucket, name, bool(removed), value)

    def append(self, rows: Sequence[Row]) -> None:
        """Write changes in one transaction and return when they are on disk. Raises ``WriteRefused``."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", rows)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self._explain_writing(error) from error

    def forget(self, revisions: Iterable[int], compacted: Mapping[str, int]) -> None:
        """Delete superseded changes and note how far history is gone. Raises ``WriteRefused``."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("DELETE FROM changes WHERE revision = ?", [(revision,) for revision in revisions])
            connection.executemany(
                "INSERT INTO compacted VALUES (?, ?) ON CONFLICT (bucket) "
                "DO UPDATE SET revision = max(revision, excluded.revision)",
                list(compacted.items()),
            )
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self._explain_writing(error) from error

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                # SQLite has already rolled back by itself, as it does for most failures of the disk.
                return

    def _explain_writing(self, error: sqlite3.Error) -> WriteRefused:
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL":
            said = f"the disk that holds {self._path} is full; nothing was changed: free some space and try again"
        else:
            said = f"the disk that holds {self._path} did not take the write ({error}); nothing was changed"
        return WriteRefused(said)

    def close(self) -> None:
        """Give the file free; the write-ahead log is merged into it where the disk allows."""
        try:
            self._connection.close()
        except sqlite3.Error:
            # The log stays beside the file and is read at the next opening.
            return


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
