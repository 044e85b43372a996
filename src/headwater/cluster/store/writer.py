"""The thread that writes: whatever has queued up while the last commit ran goes into the next one.

One synchronisation of the disk is then shared by all writers who wait at that moment. Results return to the event
loop in the order of the commits.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from headwater.cluster.store.disk import Disk, Row
from headwater.cluster.store.errors import WriteRefused

_LARGEST_BATCH = 1024
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Forget:
    """Superseded revisions to delete, and how far each bucket's history is then gone."""

    revisions: Sequence[int]
    compacted: Mapping[str, int]


Finished = Callable[[list[Row], WriteRefused | None], None]


class Writer:
    """Owns the disk from its start to its stop."""

    def __init__(self, disk: Disk, loop: asyncio.AbstractEventLoop, finished: Finished) -> None:
        self._disk = disk
        self._loop = loop
        self._finished = finished
        self._queue: SimpleQueue[Row | Forget | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="headwater-store", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, work: Row | Forget) -> None:
        """Queue a change, or a compaction."""
        self._queue.put(work)

    async def stop(self) -> None:
        """Write what is queued, close the disk and end the thread."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            rows: list[Row] = []
            forget: list[Forget] = []
            work = self._queue.get()
            while True:
                if work is None:
                    stopping = True
                elif isinstance(work, Forget):
                    forget.append(work)
                else:
                    rows.append(work)
                if len(rows) >= _LARGEST_BATCH:
                    break
                try:
                    work = self._queue.get_nowait()
                except Empty:
                    break
            if rows:
                self._append(rows)
            for each in forget:
                self._forget(each)
        self._disk.close()

    def _append(self, rows: list[Row]) -> None:
        refused: WriteRefused | None = None
        try:
            self._disk.append(rows)
        except WriteRefused as error:
            refused = error
        except Exception as error:
            _log.exception("the store's writer failed")
            refused = WriteRefused(f"the store's writer failed: {error}")
        try:
            self._loop.call_soon_threadsafe(self._finished, rows, refused)
        except RuntimeError:
            # The loop is closed: nobody waits for these answers any more, but they are on disk.
            return

    def _forget(self, work: Forget) -> None:
        try:
            self._disk.forget(work.revisions, work.compacted)
        except WriteRefused as error:
            # What was not deleted now is found again when the store is next opened.
            _log.warning("old revisions could not be deleted: %s", error)
