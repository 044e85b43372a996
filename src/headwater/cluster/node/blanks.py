"""Pod directories made ahead of time, so that starting a pod changes the file system as little as possible.

Making a container's root takes some thirty changes, each of which may wait for the journal of a disk that the
platform's own stores keep busy; taking a blank one takes two renames. There are a few blanks for each user id that
pods were started with lately; they are made on a thread while nothing waits for them.
"""

import asyncio
import itertools
import logging
from collections import OrderedDict
from pathlib import Path

from headwater.cluster.node.containers import make_termination_file
from headwater.cluster.node.layout import PodDirectory
from headwater.cluster.node.shim.sandbox import furnish
from headwater.cluster.node.volumes import remove_tree

log = logging.getLogger(__name__)

_READY = 4
_OWNERS = 8
_FIRST = "first"


class Blanks:
    """A small stock of empty pod directories."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._stock: OrderedDict[int | None, list[Path]] = OrderedDict()
        self._numbers = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def start(self) -> None:
        """Throw away what an earlier life left, and make the first ones if it is known for whom."""
        await asyncio.to_thread(remove_tree, self.root)

    async def close(self) -> None:
        """Stop making blanks and remove those that are left."""
        self._closed = True
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(remove_tree, self.root)

    def take(self, directory: PodDirectory, container: str, owner: int | None) -> None:
        """Turn a blank into the directory of a pod and of its first container's first start, if there is one.

        There need not be: whatever is missing is then made by those who need it. Raises ``OSError``.
        """
        stock = self._stock.setdefault(owner, [])
        self._stock.move_to_end(owner)
        if stock and not directory.path.exists():
            blank = stock.pop()
            blank.rename(directory.path)
            first = directory.path / "containers" / _FIRST
            first.rename(first.with_name(container))
        self._refill(owner)

    def _refill(self, owner: int | None) -> None:
        if self._closed or len(self._tasks) > 1:
            return
        task = asyncio.create_task(self._make(owner), name="blank pod directories")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _make(self, owner: int | None) -> None:
        while len(self._stock) > _OWNERS:
            _, unused = self._stock.popitem(last=False)
            for path in unused:
                await asyncio.to_thread(remove_tree, path)
        while not self._closed and len(self._stock.get(owner, ())) < _READY:
            path = self.root / str(next(self._numbers))
            try:
                await asyncio.to_thread(_make_blank, path, owner)
            except OSError as error:
                log.debug("no blank pod directory: %s", error)
                await asyncio.to_thread(remove_tree, path)
                return
            self._stock.setdefault(owner, []).append(path)


def _make_blank(path: Path, owner: int | None) -> None:
    path.mkdir(parents=True, mode=0o700)
    (path / "volumes").mkdir()
    first = path / "containers" / _FIRST / "0"
    first.mkdir(parents=True)
    make_termination_file(first / "termination", owner)
    furnish(str(first / "root"), owner)
