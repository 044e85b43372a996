"""A container's log: its two output streams, line by line, in the format of the container runtime interface.

``2016-10-06T00:17:09.669794202Z stdout F a whole line``: a time, a stream, ``F`` for a whole line or ``P`` for a
part of one (longer than the limit, or the last one without an end), and the text. One file for every start of the
container, so that ``kubectl logs --previous`` has something to show.
"""

import contextlib
import os
import time
from typing import Any

LONGEST_LINE = 16 * 1024
_MESSAGE_LIMIT = 4096
_LOG_MESSAGE_LIMIT = 2048


class Log:
    """Writes one start's log file. A full disk loses lines, never the container: what was lost is counted."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self.lost = 0

    def write(self, entries: list[bytes]) -> None:
        """Append whole entries."""
        if self.lost:
            entries = [_entry(b"stderr", b"F", b"[headwater: %d log lines lost: disk full]" % self.lost), *entries]
        data = b"".join(entries)
        start = os.lseek(self.fd, 0, os.SEEK_END)
        try:
            written = os.write(self.fd, data)
        except OSError:
            written = 0
        if written == len(data):
            self.lost = 0
            return
        self.lost += len(entries)
        try:
            os.ftruncate(self.fd, start)  # no half lines
        except OSError:
            pass

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)


class Stream:
    """One output stream of a container: the read end of a pipe, cut into lines."""

    def __init__(self, fd: int, name: bytes, log: Log) -> None:
        self.fd = fd
        self.name = name
        self.log = log
        self.rest = b""
        os.set_blocking(fd, False)

    def pump(self) -> bool:
        """Move what is there into the log; return False at the end of the stream, which is then closed."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return True
        if not data:
            self.close()
            return False
        *lines, rest = (self.rest + data).split(b"\n")
        entries = []
        stamp = _now()
        for line in lines:
            while len(line) > LONGEST_LINE:
                entries.append(_entry(self.name, b"P", line[:LONGEST_LINE], stamp))
                line = line[LONGEST_LINE:]
            entries.append(_entry(self.name, b"F", line, stamp))
        while len(rest) >= LONGEST_LINE:
            entries.append(_entry(self.name, b"P", rest[:LONGEST_LINE], stamp))
            rest = rest[LONGEST_LINE:]
        self.rest = rest
        if entries:
            self.log.write(entries)
        return True

    def close(self) -> None:
        """Write the last line, even without an end, and close the pipe."""
        if self.rest:
            self.log.write([_entry(self.name, b"P", self.rest)])
            self.rest = b""
        os.close(self.fd)


def _now() -> bytes:
    nanoseconds = time.time_ns()
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    return b"%s.%09dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode(), fraction)


def _entry(stream: bytes, tag: bytes, text: bytes, stamp: bytes = b"") -> bytes:
    return b"%s %s %s %s\n" % (stamp or _now(), stream, tag, text)


def tail_of(path: str, most: int) -> str:
    """Return the text of the last whole entries of a log file, at most so many bytes of it."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 2 * most - 4096))
            entries = file.read().split(b"\n")
    except OSError:
        return ""
    text = b"".join(
        parts[3] + (b"\n" if parts[2] == b"F" else b"")
        for parts in (entry.split(b" ", 3) for entry in entries)
        if len(parts) == 4
    )
    return text[-most:].decode(errors="replace")


def last_words(spec: dict[str, Any], exit_code: int) -> str:
    """Return what the container left in its termination message file, or the end of its log if it asks for that."""
    wanted = spec.get("termination_message") or {}
    text = ""
    with contextlib.suppress(OSError, KeyError):
        fd = os.open(wanted["file"], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            text = os.read(fd, _MESSAGE_LIMIT).decode(errors="replace")
        finally:
            os.close(fd)
    if not text and exit_code and wanted.get("policy") == "FallbackToLogsOnError":
        text = tail_of(spec["log"], _LOG_MESSAGE_LIMIT)
    return text
