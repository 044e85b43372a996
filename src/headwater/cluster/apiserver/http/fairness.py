"""How many requests one user may have in work at a time, so that his flood does not drown the others.

Kubernetes shares an API server by priority and fairness; here one event loop does the work, and a simpler rule has
the same effect: each user has a lane with a few places for requests that cost much (lists, deletions of
collections) and more for the rest. Who finds no place waits in his own lane, and whose lane is full is told to come
back (429). Watches and streams wait for events most of the time and need no place.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from headwater.kube.meta.errors import StatusError

_COSTLY = frozenset({"list", "deletecollection"})


class _Lane:
    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self.waiting: deque[asyncio.Future[None]] = deque()


class Fairness:
    """The lanes of all users."""

    def __init__(self, *, costly: int = 2, cheap: int = 100, waiting: int = 1000) -> None:
        """``costly`` and ``cheap`` requests of a user run at a time; as many as ``waiting`` wait, of each sort."""
        self._costly = costly
        self._cheap = cheap
        self._longest = waiting
        self._lanes: dict[tuple[str, bool], _Lane] = {}

    @property
    def running(self) -> int:
        """How many requests have a place."""
        return sum(lane.running for lane in self._lanes.values())

    @property
    def waiting(self) -> int:
        """How many requests wait for one."""
        return sum(len(lane.waiting) for lane in self._lanes.values())

    @asynccontextmanager
    async def place(self, user: str, verb: str) -> AsyncIterator[None]:
        """Hold a place while the block runs. Raises ``StatusError`` 429 when too many wait already."""
        costly = verb in _COSTLY
        key = (user, costly)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane()
        if lane.running < (self._costly if costly else self._cheap):
            lane.running += 1
        else:
            await self._wait(user, lane)
        try:
            yield
        finally:
            self._leave(key, lane)

    async def _wait(self, user: str, lane: _Lane) -> None:
        if len(lane.waiting) >= self._longest:
            message = f"too many requests of {user} wait already, please try again later"
            raise StatusError(429, "TooManyRequests", message, {"retryAfterSeconds": 1})
        turn = asyncio.get_running_loop().create_future()
        lane.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on(lane)
            else:
                lane.waiting.remove(turn)
            raise

    def _pass_on(self, lane: _Lane) -> None:
        """Give a place to who has waited longest, or take it out of use."""
        while lane.waiting:
            turn = lane.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        lane.running -= 1

    def _leave(self, key: tuple[str, bool], lane: _Lane) -> None:
        self._pass_on(lane)
        if not lane.running and not lane.waiting:
            self._lanes.pop(key, None)
