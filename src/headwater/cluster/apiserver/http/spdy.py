"""The frames of SPDY/3.1, as much of them as kubectl's port-forward puts inside a WebSocket.

Follows the SPDY protocol draft 3.1: control and data frames, header blocks compressed by zlib with the draft's
dictionary, one compression context a direction. Pure: bytes in, events out. The flow control windows are left to
the connection below, as the Go library that clients use does.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_WORDS = [
    "options",
    "head",
    "post",
    "put",
    "delete",
    "trace",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-base",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "method",
    "get",
    "status",
]
_REST = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(
        struct.pack("!I", len(word)) + word.encode()
        for word in (*_WORDS, "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
    )
    + _REST.encode()
)
"""The text that header blocks are compressed against; its checksum stands in every compressed block."""

_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY, _HEADERS = 1, 2, 3, 6, 7, 8
_FIN = 0x01
_LARGEST_HEADERS = 1 << 20


@dataclass(frozen=True, slots=True)
class Opened:
    """The client opened a stream."""

    stream: int
    headers: dict[str, str]
    ended: bool
    """Whether it will send nothing on it."""


@dataclass(frozen=True, slots=True)
class Data:
    """The client sent data on a stream, the last when ``ended``."""

    stream: int
    content: bytes
    ended: bool


@dataclass(frozen=True, slots=True)
class Reset:
    """The client gave a stream up."""

    stream: int


@dataclass(frozen=True, slots=True)
class Ping:
    """The client asks for this frame back."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The client opens no more streams."""


Event = Opened | Data | Reset | Ping | Goodbye


class Reader:
    """Takes the client's bytes apart."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, content: bytes) -> Iterator[Event]:
        """Yield what these bytes complete. Raises ``ValueError`` for what is no SPDY."""
        self._buffer += content
        while len(self._buffer) >= 8:
            first, second = struct.unpack_from("!II", self._buffer)
            flags, length = second >> 24, second & 0xFFFFFF
            if len(self._buffer) < 8 + length:
                return
            frame = bytes(self._buffer[: 8 + length])
            del self._buffer[: 8 + length]
            event = self._control(first, flags, frame) if first >> 31 else Data(first, frame[8:], bool(flags & _FIN))
            if event is not None:
                yield event

    def _control(self, first: int, flags: int, frame: bytes) -> Event | None:
        if (first >> 16) & 0x7FFF != 3:
            raise ValueError(f"the frame is of SPDY version {(first >> 16) & 0x7FFF}, not 3")
        kind, body = first & 0xFFFF, frame[8:]
        if kind == _SYN_STREAM:
            return Opened(_number(body, 0), self._headers(body[10:]), bool(flags & _FIN))
        if kind in (_SYN_REPLY, _HEADERS):
            self._headers(body[4:])  # it keeps the compression in step
            return Data(_number(body, 0), b"", True) if flags & _FIN else None
        if kind == _RST_STREAM:
            return Reset(_number(body, 0))
        if kind == _PING:
            return Ping(frame)
        return Goodbye() if kind == _GOAWAY else None

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._inflate.decompress(block, _LARGEST_HEADERS)
            (count,) = struct.unpack_from("!I", plain)
            position, headers = 4, {}
            for _ in range(count):
                name, position = _text(plain, position)
                value, position = _text(plain, position)
                headers[name.lower()] = value.split("\0", 1)[0]
        except (zlib.error, struct.error) as error:
            raise ValueError(f"a header block cannot be read: {error}") from error
        return headers


class Writer:
    """Puts the server's frames together."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def reply(self, stream: int) -> bytes:
        """Accept a stream."""
        block = self._deflate.compress(struct.pack("!I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _control(_SYN_REPLY, struct.pack("!I", stream) + block)

    def data(self, stream: int, content: bytes, *, end: bool = False) -> bytes:
        """Send data on a stream, the last when ``end``."""
        return struct.pack("!II", stream, (_FIN << 24 if end else 0) | len(content)) + content

    def refuse(self, stream: int) -> bytes:
        """Refuse a stream (``REFUSED_STREAM``)."""
        return _control(_RST_STREAM, struct.pack("!II", stream, 3))


def _control(kind: int, body: bytes) -> bytes:
    return struct.pack("!II", 0x80030000 | kind, len(body)) + body


def _number(body: bytes, position: int) -> int:
    if len(body) < position + 4:
        raise ValueError("a frame is too short")
    (value,) = struct.unpack_from("!I", body, position)
    return int(value) & 0x7FFFFFFF


def _text(plain: bytes, position: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("!I", plain, position)
    end = position + 4 + length
    if end > len(plain):
        raise ValueError("a header is cut off")
    return plain[position + 4 : end].decode("latin-1"), end
