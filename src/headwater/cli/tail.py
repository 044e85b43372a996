"""Reading the end of a file that may still grow."""

import codecs
import time
from collections.abc import Iterator
from pathlib import Path

_PAUSE = 0.2
_BLOCK = 64 * 1024


def tail(path: Path, lines: int, *, follow: bool) -> Iterator[str]:
    """Yield the last lines of a text file and, when asked to follow, whatever is added, for ever."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    with path.open("rb") as file:
        file.seek(_start_of_last(path, lines))
        while True:
            piece = file.read(_BLOCK)
            if piece:
                yield decoder.decode(piece)
            elif follow:
                time.sleep(_PAUSE)
            else:
                return


def _start_of_last(path: Path, lines: int) -> int:
    """Return the offset in bytes at which the last ``lines`` lines begin."""
    with path.open("rb") as file:
        end = position = file.seek(0, 2)
        if lines == 0:
            return end
        seen = 0
        while position > 0:
            size = min(_BLOCK, position)
            position -= size
            file.seek(position)
            block = file.read(size)
            at = len(block)
            while (at := block.rfind(b"\n", 0, at)) >= 0:
                if position + at + 1 == end:
                    continue
                seen += 1
                if seen == lines:
                    return position + at + 1
    return 0
