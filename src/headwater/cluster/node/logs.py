"""Reading a container's log files: the kubelet's rules for ``tail``, ``since``, ``timestamps``, ``limit`` and follow.

The shim appends entries of the container runtime interface (see ``shim.output``); what a caller sees is the text
alone, with both streams in the order in which they came.
"""

import os
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from headwater.cluster.apiserver.nodes import LogOptions
from headwater.kube.meta.time import Clock

_CHUNK = 64 * 1024
_FASTEST, _SLOWEST = 0.01, 0.1
"""Seconds between two looks at a log that is followed: quick while something comes, slower while nothing does."""
_STAMP = 30
"""Length of ``2016-10-06T00:17:09.669794202Z``."""


async def read_log(path: Path, options: LogOptions, clock: Clock, ended: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Yield the wanted part of a log in pieces of whole entries; with ``follow`` until ``ended`` and all is read.

    A file that is not there is empty.
    """
    try:
        file = path.open("rb")  # kept open: what is written after the pod's files are removed is still read
    except FileNotFoundError:
        return
    with file:
        async for piece in _read(file, options, clock, ended):
            yield piece


async def _read(file: BinaryIO, options: LogOptions, clock: Clock, ended: Callable[[], bool]) -> AsyncIterator[bytes]:
    since = _since(options, clock)
    left = options.limit_bytes
    position = tail_position(file, options.tail_lines)
    delay = _FASTEST
    while True:
        over = ended()  # asked before reading, so that nothing written before the end is missed
        read = False
        while entries := _whole_entries(file, position):
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


def tail_position(file: BinaryIO, lines: int | None) -> int:
    """Return where the last ``lines`` lines begin in the file, in bytes.

    A line is one full entry with the parts before it; a part at the end of the file counts as a line.
    """
    if lines is None:
        return 0
    end = file.seek(0, os.SEEK_END)
    if lines <= 0:
        return end
    position, rest, seen = end, b"", 0
    while position > 0:
        size = min(_CHUNK, position)
        position -= size
        file.seek(position)
        entries = (file.read(size) + rest).split(b"\n")
        start = position + len(entries[0]) + 1 if position else 0
        complete = entries[1:] if position else entries
        offsets = []
        for entry in complete:
            offsets.append(start)
            start += len(entry) + 1
        for offset, entry in zip(reversed(offsets), reversed(complete), strict=True):
            if entry and (_tag(entry) == b"F" or seen == 0):
                if seen == lines:
                    return offset + len(entry) + 1
                seen += 1
        rest = entries[0] + b"\n" if position else b""
    return 0


def _whole_entries(file: BinaryIO, position: int) -> bytes:
    file.seek(position)
    data = file.read(_CHUNK)
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
