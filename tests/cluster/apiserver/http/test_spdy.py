"""SPDY frames, written here as a client would."""

import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.cluster.apiserver.http.spdy import DICTIONARY, Data, Goodbye, Opened, Ping, Reader, Reset, Writer


def control(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack("!II", 0x80030000 | kind, flags << 24 | len(body)) + body


class Client:
    """Writes a client's frames."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def open(self, stream: int, **headers: str) -> bytes:
        block = struct.pack("!I", len(headers))
        for name, value in headers.items():
            block += struct.pack("!I", len(name)) + name.encode() + struct.pack("!I", len(value)) + value.encode()
        packed = self._deflate.compress(block) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return control(1, struct.pack("!IIH", stream, 0, 0) + packed)


def session() -> bytes:
    client = Client()
    return b"".join(
        (
            client.open(1, streamtype="error", port="80", requestid="0"),
            struct.pack("!II", 1, 1 << 24),
            client.open(3, streamtype="data", port="80", requestid="0"),
            struct.pack("!II", 3, 5) + b"hello",
            control(6, struct.pack("!I", 7)),
            control(3, struct.pack("!II", 3, 5)),
            control(7, struct.pack("!II", 3, 0)),
        )
    )


EVENTS = [
    Opened(1, {"streamtype": "error", "port": "80", "requestid": "0"}, False),
    Data(1, b"", True),
    Opened(3, {"streamtype": "data", "port": "80", "requestid": "0"}, False),
    Data(3, b"hello", False),
    Ping(control(6, struct.pack("!I", 7))),
    Reset(3),
    Goodbye(),
]


def test_the_dictionary_is_the_one_of_the_draft() -> None:
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


@given(st.lists(st.integers(1, 60)))
def test_frames_come_in_any_pieces(sizes: list[int]) -> None:
    reader, rest, events = Reader(), session(), []
    for size in [*sizes, len(rest)]:
        events += reader.feed(rest[:size])
        rest = rest[size:]
    assert events == EVENTS


def test_what_the_server_writes() -> None:
    writer = Writer()
    first, second = writer.reply(1), writer.reply(3)
    inflate = zlib.decompressobj(zdict=DICTIONARY)
    for stream, frame in ((1, first), (3, second)):
        assert struct.unpack_from("!HHI", frame) == (0x8003, 2, len(frame) - 8)
        assert struct.unpack_from("!I", frame, 8) == (stream,)
        assert inflate.decompress(frame[12:]) == bytes(4)
    assert list(Reader().feed(writer.data(5, b"x", end=True))) == [Data(5, b"x", True)]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=100))
def test_what_is_no_spdy_ends_in_words(content: bytes) -> None:
    with suppress(ValueError):
        list(Reader().feed(content))
    with suppress(ValueError):
        list(Reader().feed(control(1, content)))


def test_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 2, not 3"):
        list(Reader().feed(struct.pack("!II", 0x80020001, 0)))
