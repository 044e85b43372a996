"""Reading a container's log files: the kubelet's rules for ``tail``, ``since``, ``timestamps``, ``limit`` and follow.

The shim appends entries of the container runtime interface (see ``shim.output``); what a caller sees is the text
alone, with both streams in the order in which they came.
"""

import os
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path

from headwater.cluster.apiserver.nodes import LogOptions
from headwater.kube.meta.time import Clock

_CHUNK = 64 * 1024
_FASTEST, _SLOWEST = 0.01, 0.2
"""Seconds between two looks at a log that is followed: quick while something comes, slower while nothing does."""
_STAMP = 30
"""Length of ``2016-10-06T00:17:09.669794202Z``."""


async def read_log(path: Path, options: LogOptions, clock: Clock, ended: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Yield the wanted part of a log in pieces of whole entries; with ``follow`` until ``ended`` and all is read.

    A file that is not there is empty.
    """
    since = _since(options, clock)
    left = options.limit_bytes
    position = tail_position(path, options.tail_lines)
    delay = _FASTEST
    while True:
        over = ended()  # asked before reading, so that nothing written before the end is missed
        read = False
        while entries := _whole_entries(path, position):
            position += len(entries)
            text = _text(entries, since, timestamps=options.timestamps)
            if left is not None:
                text = text[:left]
                left -= len(text)
            if text:
                yield text
            if left == 0:
                return
            read = True
        if not options.follow or over:
            return
        delay = _FASTEST if read else min(delay * 1.5, _SLOWEST)
        await clock.sleep(delay)


def tail_position(path: Path, lines: int | None) -> int:
    """Return where the last ``lines`` lines begin in the file, in bytes."""
    if lines is None:
        return 0
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            if lines <= 0:
                return end
            position, rest, seen = end, b"", 0
            while position > 0:
                size = min(_CHUNK, position)
                position -= size
                file.seek(position)
                block = file.read(size) + rest
                entries = block.split(b"\n")
                rest = entries[0]
                start = position + len(rest) + 1
                offsets = []
                for entry in entries[1:-1]:
                    offsets.append((start, entry))
                    start += len(entry) + 1
                for offset, entry in reversed(offsets):
                    # a line begins after a full entry: parts belong to the full entry that follows them
                    if _tag(entry) == b"F" or seen == 0:
                        if seen == lines:
                            return offset + len(entry) + 1
                        seen += 1
                if position == 0 and rest and _tag(rest) == b"F" and seen == lines:
                    return len(rest) + 1
                if len(rest) > 4 * _CHUNK:
                    return position
            return 0
    except FileNotFoundError:
        return 0


def _whole_entries(path: Path, position: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(position)
            data = file.read(_CHUNK)
    except FileNotFoundError:
        return b""
    return data[: data.rfind(b"\n") + 1]


def _text(entries: bytes, since: bytes, *, timestamps: bool) -> bytes:
    lines = []
    fresh = True
    for entry in entries.split(b"\n"):
        parts = entry.split(b" ", 3)
        if len(parts) < 4 or parts[0] < since:
            continue
        if timestamps and fresh:
            lines.append(parts[0] + b" ")
        lines.append(parts[3])
        fresh = parts[2] == b"F"
        if fresh:
            lines.append(b"\n")
    return b"".join(lines)


def _tag(entry: bytes) -> bytes:
    return entry[_STAMP + 8 : _STAMP + 9]


def _since(options: LogOptions, clock: Clock) -> bytes:
    moment: datetime | None = options.since_time
    if options.since_seconds is not None:
        moment = clock.now() - timedelta(seconds=options.since_seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode() if moment is not None else b""
