"""The committed state of one kind of object, and the changes that led to it.

A watch keeps no queue of its own: it remembers the revision that it has seen and reads on in the bucket's log.
A slow watcher therefore costs nothing, and one that falls behind the log's beginning learns that history is gone.
"""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from operator import attrgetter

from headwater.cluster.store.documents import Document
from headwater.cluster.store.errors import HistoryGone

_BEYOND_SLASH = "0"
"""The character after ``/``: ``"ns0"`` is the first name behind all that begin with ``"ns/"``."""

_revision = attrgetter("revision")


class Change:
    """One committed change of one object."""

    __slots__ = ("bucket", "committed_at", "document", "name", "previous", "removed", "revision")

    def __init__(
        self, revision: int, bucket: str, name: str, document: Document, previous: Document | None, removed: bool
    ) -> None:
        self.revision = revision
        self.bucket = bucket
        self.name = name
        self.document = document
        """The new state; for a removal the last state, with the removal's revision."""
        self.previous = previous
        self.removed = removed
        self.committed_at = 0.0

    @property
    def current(self) -> Document | None:
        """The state that holds after the change: ``None`` for a removal."""
        return None if self.removed else self.document


class Bucket:
    """The live objects of a kind by name, sorted, and the kept log of changes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.live: dict[str, Document] = {}
        self.compacted = 0
        """Changes up to this revision are no longer in the log."""
        self._names: list[str] = []
        self._log: list[Change] = []
        self._first = 0
        self._waiting: set[Watch] = set()

    def apply(self, change: Change) -> None:
        """Take over a committed change; revisions only ever rise."""
        self.restore(change.name, change.current)
        self._log.append(change)

    def restore(self, name: str, document: Document | None) -> None:
        """Set a live state without a change in the log, as at start."""
        if document is None:
            if self.live.pop(name, None) is not None:
                del self._names[bisect_left(self._names, name)]
        else:
            if name not in self.live:
                insort(self._names, name)
            self.live[name] = document

    def drop_oldest(self) -> Change:
        """Forget the oldest change of the log."""
        change = self._log[self._first]
        self.compacted = change.revision
        self._first += 1
        if self._first > 64 and self._first * 2 > len(self._log):
            del self._log[: self._first]
            self._first = 0
        return change

    def names(self, prefix: str = "", after: str = "") -> list[str]:
        """Return the names that begin with ``prefix`` (empty or ending in ``/``) and sort behind ``after``."""
        return self._range(self._names, prefix, after)

    @staticmethod
    def _range(names: list[str], prefix: str, after: str) -> list[str]:
        start = bisect_left(names, prefix) if prefix else 0
        if after:
            start = max(start, bisect_right(names, after))
        end = bisect_left(names, prefix[:-1] + _BEYOND_SLASH) if prefix else len(names)
        return names[start:end]

    def scan(self, prefix: str = "", after: str = "") -> Iterator[tuple[str, Document]]:
        """Return live objects in the order of their names."""
        live = self.live
        for name in self.names(prefix, after):
            yield name, live[name]

    def scan_at(self, revision: int, prefix: str = "", after: str = "") -> Iterator[tuple[str, Document]]:
        """Return the objects as they were at a revision. Raises ``HistoryGone``."""
        undone: dict[str, Document | None] = {}
        for change in reversed(self.since(revision)):
            undone[change.name] = change.previous
        if not undone:
            yield from self.scan(prefix, after)
            return
        names = sorted({*self.names(prefix, after), *self._range(sorted(undone), prefix, after)})
        for name in names:
            document = undone[name] if name in undone else self.live[name]
            if document is not None:
                yield name, document

    def since(self, revision: int) -> list[Change]:
        """Return the changes after a revision. Raises ``HistoryGone``."""
        if revision < self.compacted:
            raise HistoryGone(revision, self.compacted)
        log = self._log
        if len(log) == self._first or log[-1].revision <= revision:
            return []
        start = len(log) - 1
        if start > self._first and log[start - 1].revision > revision:
            start = bisect_right(log, revision, lo=self._first, key=_revision)
        return log[start:]

    def wake(self, names: set[str], committed: int) -> None:
        """Wake the watches that one of these names concerns; the others have seen up to ``committed``."""
        for watch in self._waiting:
            watch.notice(names, committed)

    def wake_all(self) -> None:
        """Wake every watch."""
        for watch in self._waiting:
            watch.wake()


class Watch:
    """A place in a bucket's log, for the names with a prefix."""

    def __init__(self, bucket: Bucket, prefix: str, revision: int) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._future: asyncio.Future[None] | None = None
        self.revision = revision
        """Everything up to here has been read."""
        self.ended = False

    def read(self, committed: int) -> list[Change]:
        """Return the changes not yet read, up to the committed revision. Raises ``HistoryGone``."""
        if self.revision > committed:
            # The caller knows a revision that this store has not reached; changes below it are not for it.
            return []
        changes = self._bucket.since(self.revision)
        self.revision = committed
        prefix = self._prefix
        return [change for change in changes if change.name.startswith(prefix)] if prefix else changes

    async def wait(self, seconds: float | None) -> None:
        """Return when there may be something to read, when ended, or when the time is over.

        To be called when ``read`` has just returned nothing, with nothing awaited in between.
        """
        if self.ended:
            return
        loop = asyncio.get_running_loop()
        self._future = future = loop.create_future()
        timer = loop.call_later(seconds, self.wake) if seconds is not None else None
        self._bucket._waiting.add(self)
        try:
            await future
        finally:
            self._bucket._waiting.discard(self)
            self._future = None
            if timer is not None:
                timer.cancel()

    def notice(self, names: set[str], committed: int) -> None:
        """Hear of a commit that changed these names, while waiting."""
        if self._future is None or self._future.done():
            return
        prefix = self._prefix
        if not prefix or any(name.startswith(prefix) for name in names):
            self._future.set_result(None)
        else:
            self.revision = max(self.revision, committed)

    def wake(self) -> None:
        """End a wait."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def end(self) -> None:
        """End the watch for good."""
        self.ended = True
        self.wake()
