"""Objects by bucket and name, with revisions, durable writes and watches.

A write compares the object's revision, joins the writer's next batch, and becomes visible to readers, subscribers
and watches only once that batch is on disk; then its writer is answered. One event loop uses a store; nothing here
knows what the objects mean, except that their ``metadata.resourceVersion`` is the revision.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

from headwater.cluster.store.buckets import Bucket, Change, Watch
from headwater.cluster.store.disk import Disk, Row
from headwater.cluster.store.documents import Document
from headwater.cluster.store.errors import RevisionMismatch, StoreClosed, WriteRefused
from headwater.cluster.store.writer import Forget, Writer
from headwater.kube.meta.objects import Object

_log = logging.getLogger(__name__)

Subscriber = Callable[[Change], None]


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """How much history is kept for watches to resume from; what is beyond any limit is compacted."""

    changes: int = 20_000
    bytes: int = 12 << 20
    seconds: float = 600.0


class _Pending:
    """A write that is on its way to the disk."""

    __slots__ = ("answer", "document", "waiters")

    def __init__(self, document: Document, answer: asyncio.Future[Document]) -> None:
        self.document = document
        self.answer = answer
        self.waiters: list[asyncio.Future[None]] = []
        """Others who want to write the same object next."""


class Store:
    """The objects of the cluster. Opened by ``Store.open`` inside the event loop that uses it."""

    def __init__(self, disk: Disk, limits: HistoryLimits, monotonic: Callable[[], float]) -> None:
        self._disk = disk
        self._limits = limits
        self._monotonic = monotonic
        self._buckets: dict[str, Bucket] = {}
        self._pending: dict[tuple[str, str], _Pending] = {}
        self._subscribers: dict[str, list[Subscriber]] = {}
        self._watches: WeakSet[Watch] = WeakSet()
        self._history: deque[Change] = deque()
        self._history_bytes = 0
        self._forget: list[int] = []
        self._forget_up_to: dict[str, int] = {}
        self._allocated = 0
        self._closed = False
        self.revision = 0
        """The latest committed revision."""
        self._loop = asyncio.get_running_loop()
        self._writer = Writer(disk, self._loop, self._finished)

    @classmethod
    async def open(
        cls, path: Path, *, limits: HistoryLimits | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> "Store":
        """Open the file, or make it. Raises ``StoreTooNew``, ``StoreBusy``, ``StoreDamaged`` or ``StoreError``."""
        store = cls(Disk(path), limits or HistoryLimits(), monotonic)
        store._load()
        store._writer.start()
        return store

    def _load(self) -> None:
        compacted = self._disk.compacted()
        for name, revision in compacted.items():
            self._bucket(name).compacted = revision
        revision = max(compacted.values(), default=0)
        now = self._monotonic()
        for row in self._disk.rows():
            bucket = self._bucket(row.bucket)
            document = Document(row.value, row.revision)
            if row.revision > bucket.compacted:
                self._record(bucket, row, document, now)
            elif not row.removed:
                bucket.restore(row.name, document)
            revision = max(revision, row.revision)
        # Kubernetes clients read the revision 0 as "any": the first one given out is 1 or more.
        self.revision = self._allocated = max(revision, 1)
        self.compact()

    def _bucket(self, name: str) -> Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(name)
        return bucket

    @property
    def closed(self) -> bool:
        """Whether it takes no more writes."""
        return self._closed

    # --- reading ------------------------------------------------------------------------------------------------

    def get(self, bucket: str, name: str) -> Document | None:
        """Return an object's committed state, or ``None``."""
        return self._bucket(bucket).live.get(name)

    def count(self, bucket: str) -> int:
        """Return how many objects a bucket has."""
        return len(self._bucket(bucket).live)

    def scan(
        self, bucket: str, prefix: str = "", *, after: str = "", revision: int = 0
    ) -> Iterator[tuple[str, Document]]:
        """Return names and objects in the order of their names; the caller must not wait while it iterates.

        ``prefix`` is empty or ends in ``/``; ``after`` leaves out the names up to it; with ``revision`` they are as
        they were then. Raises ``HistoryGone``.
        """
        if revision and revision < self.revision:
            return self._bucket(bucket).scan_at(revision, prefix, after)
        return self._bucket(bucket).scan(prefix, after)

    def watch(self, bucket: str, prefix: str = "", *, revision: int | None = None) -> Watch:
        """Return a place in the log behind ``revision`` (default: now). It is forgotten when its holder lets go.

        Raises ``HistoryGone``, also later from ``Watch.read``.
        """
        if self._closed:
            raise StoreClosed("the store is closed")
        place = self._bucket(bucket)
        if revision is not None:
            place.since(revision)
        watch = Watch(place, prefix, self.revision if revision is None else revision)
        self._watches.add(watch)
        return watch

    def wake_watches(self, bucket: str) -> None:
        """Let every watch of a bucket look again, for a reason outside of the store."""
        self._bucket(bucket).wake_all()

    def subscribe(self, bucket: str, callback: Subscriber) -> None:
        """Call back for each committed change of a bucket, before its writer is answered.

        The callback runs on the event loop; one that fails is logged and does not disturb the others.
        """
        self._subscribers.setdefault(bucket, []).append(callback)

    # --- writing ------------------------------------------------------------------------------------------------

    async def put(self, bucket: str, name: str, obj: Object, expected: int) -> Document:
        """Write an object whose revision is ``expected`` (0: it does not exist yet); answers when it is on disk.

        The object belongs to the store from then on. Raises ``RevisionMismatch``, ``WriteRefused``, ``StoreClosed``.
        """
        return await self._write(bucket, name, obj, expected, False)

    async def remove(self, bucket: str, name: str, last: Object, expected: int) -> Document:
        """Remove an object whose revision is ``expected``; ``last`` is the state that watchers are told.

        Raises ``RevisionMismatch``, ``WriteRefused``, ``StoreClosed``.
        """
        return await self._write(bucket, name, last, expected, True)

    async def _write(self, bucket: str, name: str, obj: Object, expected: int, removed: bool) -> Document:
        key = (bucket, name)
        while (ahead := self._pending.get(key)) is not None:
            waiter = self._loop.create_future()
            ahead.waiters.append(waiter)
            await waiter
        if self._closed:
            raise StoreClosed("the store is closed")
        current = self._bucket(bucket).live.get(name)
        actual = current.revision if current is not None else 0
        if actual != expected:
            raise RevisionMismatch(expected, actual)
        self._allocated = revision = self._allocated + 1
        obj["metadata"]["resourceVersion"] = str(revision)
        document = Document.of(obj, revision)
        answer: asyncio.Future[Document] = self._loop.create_future()
        self._pending[key] = _Pending(document, answer)
        self._writer.put(Row(revision, bucket, name, removed, document.value))
        return await answer

    def _finished(self, rows: list[Row], refused: WriteRefused | None) -> None:
        """Publish a batch that is on disk, or fail its writers."""
        done = [self._pending.pop((row.bucket, row.name)) for row in rows]
        if refused is None:
            self._publish(rows, done)
        for pending in done:
            if not pending.answer.done():
                if refused is None:
                    pending.answer.set_result(pending.document)
                else:
                    pending.answer.set_exception(WriteRefused(str(refused)))
            for waiter in pending.waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _publish(self, rows: list[Row], done: list[_Pending]) -> None:
        now = self._monotonic()
        touched: dict[str, set[str]] = {}
        changes = []
        for row, pending in zip(rows, done, strict=True):
            changes.append(self._record(self._bucket(row.bucket), row, pending.document, now))
            touched.setdefault(row.bucket, set()).add(row.name)
        self.revision = rows[-1].revision
        for change in changes:
            for callback in self._subscribers.get(change.bucket, ()):
                try:
                    callback(change)
                except Exception:
                    _log.exception("a subscriber of %s failed at revision %d", change.bucket, change.revision)
        for name, names in touched.items():
            self._buckets[name].wake(names, self.revision)
        self.compact()

    # --- history ------------------------------------------------------------------------------------------------

    def _record(self, bucket: Bucket, row: Row, document: Document, now: float) -> Change:
        previous = bucket.live.get(row.name)
        change = Change(row.revision, bucket.name, row.name, document, previous, row.removed)
        change.committed_at = now
        bucket.apply(change)
        self._history.append(change)
        self._history_bytes += len(document.value)
        return change

    def compact(self, *, everything: bool = False) -> None:
        """Forget the history beyond the limits (or all of it)."""
        limits = self._limits
        history = self._history
        oldest = self._monotonic() - limits.seconds
        while history and (
            everything
            or len(history) > limits.changes
            or self._history_bytes > limits.bytes
            or history[0].committed_at < oldest
        ):
            change = history.popleft()
            self._history_bytes -= len(change.document.value)
            self._buckets[change.bucket].drop_oldest()
            self._forget_up_to[change.bucket] = change.revision
            if change.previous is not None:
                self._forget.append(change.previous.revision)
            if change.removed:
                self._forget.append(change.revision)
        if len(self._forget) > 256 or (everything and self._forget_up_to):
            self._writer.put(Forget(self._forget, self._forget_up_to))
            self._forget = []
            self._forget_up_to = {}

    async def close(self) -> None:
        """End every watch, write what is queued, and close the file."""
        if self._closed:
            return
        self._closed = True
        for watch in list(self._watches):
            watch.end()
        await self._writer.stop()
        # The last answers were handed to the loop just before the thread ended; let them arrive.
        await asyncio.sleep(0)
