"""The work queue of a controller: each key once, one worker per key, retries after a growing delay.

The semantics are those of client-go's ``workqueue``: a key that is added while it waits is there once; a key that
is added while it is worked on is handed out again after ``done``.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from headwater.kube.meta.time import Clock

K = TypeVar("K", bound=Hashable)


class QueueClosedError(Exception):
    """The queue gives out nothing more."""


class WorkQueue(Generic[K]):
    """Keys that wait for a worker. Belongs to one event loop; ``clock`` measures the delays."""

    def __init__(
        self, clock: Clock, rng: random.Random | None = None, *, base_delay: float = 0.005, max_delay: float = 60.0
    ) -> None:
        """``base_delay`` (seconds) is the delay after the first failure; it doubles up to ``max_delay``."""
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 (jitter, no secret)
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()  # is in _ready, or will be when the worker is done with it
        self._working: set[K] = set()
        self._getters: deque[asyncio.Future[None]] = deque()
        self._failures: dict[K, int] = {}
        self._due: dict[K, float] = {}
        self._timers: list[tuple[float, int, K]] = []
        self._sequence = 0
        self._timer: asyncio.Task[None] | None = None
        self._timer_due = 0.0
        self._closed = False

    def __len__(self) -> int:
        """Return how many keys are ready to be handed out."""
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Tell whether nothing is ready and nothing is being worked on (delayed keys may wait)."""
        return not self._ready and not self._working and not self._waiting

    def add(self, key: K) -> None:
        """Hand the key out as soon as a worker is free."""
        if self._closed or key in self._waiting:
            return
        self._waiting.add(key)
        if key not in self._working:
            self._ready.append(key)
            self._wake()

    def add_after(self, key: K, seconds: float) -> None:
        """Add the key after a delay; of several delays for one key the earliest counts."""
        if self._closed:
            return
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + seconds
        known = self._due.get(key)
        if known is not None and known <= due:
            return
        self._due[key] = due
        self._sequence += 1
        heapq.heappush(self._timers, (due, self._sequence, key))
        self._arm()

    def add_rate_limited(self, key: K) -> float:
        """Add the key after a delay that grows with each failure since ``forget``; return the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(self._base_delay * 2.0 ** min(failures, 64), self._max_delay)
        delay *= 1.0 + 0.1 * self._rng.random()
        self.add_after(key, delay)
        return delay

    def failures(self, key: K) -> int:
        """Return how often the key was added with a growing delay since ``forget``."""
        return self._failures.get(key, 0)

    def forget(self, key: K) -> None:
        """Begin again with the shortest delay for this key."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Wait for a key and take it; the caller must call ``done``. Raises ``QueueClosedError``."""
        while True:
            if self._closed:
                raise QueueClosedError
            if self._ready:
                key = self._ready.popleft()
                self._waiting.discard(key)
                self._working.add(key)
                return key
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except BaseException:
                if not getter.cancelled():
                    self._wake()  # it was woken and cannot take the key: let another one
                elif getter in self._getters:
                    self._getters.remove(getter)
                raise

    def done(self, key: K) -> None:
        """Say that the work on the key has ended; if it was added meanwhile it is ready again."""
        self._working.discard(key)
        if key in self._waiting and not self._closed:
            self._ready.append(key)
            self._wake()

    def close(self) -> None:
        """Give out nothing more: every ``get`` raises ``QueueClosedError``."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for getter in self._getters:
            if not getter.done():
                getter.set_result(None)
        self._getters.clear()

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _arm(self) -> None:
        """See to it that a timer runs until the earliest delayed key is due."""
        while self._timers and self._due.get(self._timers[0][2]) != self._timers[0][0]:
            heapq.heappop(self._timers)  # an earlier delay of that key has replaced it
        if not self._timers:
            return
        due = self._timers[0][0]
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        self._timer = asyncio.get_running_loop().create_task(self._run_timer(due), name="work-queue timer")

    async def _run_timer(self, due: float) -> None:
        await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
        self._timer = None
        now = self._clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            moment, _, key = heapq.heappop(self._timers)
            if self._due.get(key) == moment:
                del self._due[key]
                self.add(key)
        self._arm()
