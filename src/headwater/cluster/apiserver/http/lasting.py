"""The answers that last until somebody ends them: watches, followed logs, running commands."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Streams:
    """All open streams of the server, so that it can end them properly when it stops."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending = False

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._tasks)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Run the body of a stream. Its cancellation by ``end`` just leaves the block, so that it can say goodbye."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self._ending:
                raise
            task.uncancel()
        finally:
            self._tasks.discard(task)

    def end(self) -> None:
        """End every open stream."""
        self._ending = True
        for task in tuple(self._tasks):
            task.cancel()
