"""Whose an artifact is: by the run in whose folder it lies.

A run writes below ``{root}/{pipeline}/{run id}`` and nowhere else, and a run's id is never chosen by its author, so the
first run id in a URI says which namespace what lies there belongs to. Steps may name any URI as their output or input:
what counts is where the bytes are, not what a record claims. Data that no run wrote, put into the store by an
operator, may be read by everybody; the archive of logs belongs to the namespace that its path names.
"""

import asyncio
import os
import re
from collections import OrderedDict
from pathlib import Path

from sqlalchemy import Connection, select, union

from headwater.artifacts import ArtifactStore
from headwater.database import Database
from headwater.pipelines.records.tables import artifacts, runs

LOGS = ("mlpipeline", "logs")
"""The bucket and folder of the logs' archive; the namespace follows."""
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_REMEMBERED = 4096
_MOST_ENTRIES = 20_000


class ArtifactOwners:
    """Says whether a namespace may read or write at a URI."""

    def __init__(self, database: Database, store: ArtifactStore) -> None:
        self._database = database
        self._store = store
        self._known: OrderedDict[str, str] = OrderedDict()

    async def refusal(self, namespace: str, uri: str, *, write: bool = False) -> str:
        """Return why the namespace may not read (or write) there; empty when it may, or when the store refuses it."""
        parts = [part for part in uri.partition("://")[2].split("/") if part]
        if tuple(parts[:2]) == LOGS:
            mine = not write and len(parts) > 2 and parts[2] == namespace
            return "" if mine else f"{uri} is in the archive of logs, which only the platform writes"
        ids = [part.lower() for part in parts if _ID.fullmatch(part)]
        owner = await self._owner(ids)
        if owner is not None:
            return "" if owner == namespace else f"{uri} does not belong to the namespace {namespace}"
        if write:
            return f"{uri} is in no run's folder: only a run writes artifacts, below its own"
        if any(_ID.fullmatch(part) for part in parts[:-1]):
            return f"{uri} belonged to a run that is no longer known"
        if await asyncio.to_thread(self._holds_runs, uri, parts):
            return f"{uri} is a folder in which runs write: name one artifact in it"
        return ""

    async def _owner(self, ids: list[str]) -> str | None:
        for one in ids:
            if one in self._known:
                self._known.move_to_end(one)
                return self._known[one]
        if not ids:
            return None
        # A deleted run's artifacts live on where other runs of its namespace took them from the cache.
        query = union(
            select(runs.c.run_id, runs.c.namespace).where(runs.c.run_id.in_(ids)),
            select(artifacts.c.run_id, artifacts.c.namespace).where(artifacts.c.run_id.in_(ids)),
        )

        def read(connection: Connection) -> dict[str, str]:
            return {row.run_id: row.namespace for row in connection.execute(query)}

        found = await self._database.read(read)
        for one in ids:
            if one in found:
                self._known[one] = found[one]
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
                return found[one]
        return None

    def _holds_runs(self, uri: str, parts: list[str]) -> bool:
        """Tell whether a folder that no run owns may have runs' folders below it, now or soon."""
        try:
            path = self._store.local_path(uri)
        except ValueError:
            return False  # the store holds nothing there, and says so itself
        if path is None or not path.is_dir():
            return False
        try:
            return len(parts) < 2 or parts[0] == LOGS[0] or _has_run_folder(path)
        except RecursionError:
            return True


def _has_run_folder(path: Path) -> bool:
    left = _MOST_ENTRIES
    for _, folders, files in os.walk(path):
        left -= len(folders) + len(files)
        if left < 0 or any(_ID.fullmatch(name) for name in folders):
            return True
    return False
