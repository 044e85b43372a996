"""Reading logs: the shim's writer and the agent's reader, together."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.cluster.apiserver.nodes import LogOptions
from headwater.cluster.node.logs import read_log
from headwater.cluster.node.shim.output import Log, Stream, tail_of
from headwater.kube.meta.time import SystemClock


def write(path: Path, data: bytes, name: bytes = b"stdout") -> None:
    """Write as a container does, through the shim."""
    read_end, write_end = os.pipe()
    log = Log(str(path))
    stream = Stream(read_end, name, log)
    os.set_blocking(write_end, False)
    view = memoryview(data)
    while view:
        view = view[os.write(write_end, view[:40000]) :]
        stream.pump()
    os.close(write_end)
    while stream.pump():
        pass
    log.close()


async def collect(path: Path, **options: Any) -> bytes:
    return b"".join([piece async for piece in read_log(path, LogOptions(**options), SystemClock(), lambda: True)])


async def test_the_text_comes_back(tmp_path: Path) -> None:
    write(tmp_path / "log", b"one\ntwo\nno end")
    assert await collect(tmp_path / "log") == b"one\ntwo\nno end"
    assert await collect(tmp_path / "log", tail_lines=1) == b"no end"
    assert await collect(tmp_path / "log", tail_lines=2) == b"two\nno end"
    assert await collect(tmp_path / "log", tail_lines=0) == b""
    assert await collect(tmp_path / "log", limit_bytes=5) == b"one\nt"
    assert await collect(tmp_path / "missing") == b""


async def test_long_lines_come_back_whole(tmp_path: Path) -> None:
    long = b"x" * 100_000
    write(tmp_path / "log", b"a\n" + long + b"\nb\n")
    assert await collect(tmp_path / "log") == b"a\n" + long + b"\nb\n"
    assert await collect(tmp_path / "log", tail_lines=2) == long + b"\nb\n"
    assert await collect(tmp_path / "log", tail_lines=1) == b"b\n"


async def test_times(tmp_path: Path) -> None:
    write(tmp_path / "log", b"one\n")
    text = (await collect(tmp_path / "log", timestamps=True)).decode()
    stamp, line = text.split(" ", 1)
    assert line == "one\n"
    assert abs(datetime.fromisoformat(stamp) - datetime.now(UTC)) < timedelta(minutes=1)
    assert await collect(tmp_path / "log", since_seconds=3600) == b"one\n"
    assert await collect(tmp_path / "log", since_time=datetime.now(UTC) + timedelta(hours=1)) == b""


async def test_following(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, b"one\n")
    over = False
    seen = b""

    async def follow() -> None:
        nonlocal seen
        async for piece in read_log(path, LogOptions(follow=True), SystemClock(), lambda: over):
            seen += piece

    task = asyncio.create_task(follow())
    await asyncio.sleep(0.02)
    assert seen == b"one\n"
    write(path, b"two\n")
    path.unlink()
    over = True
    await asyncio.wait_for(task, 5)
    assert seen == b"one\ntwo\n"


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), max_size=60),
    st.integers(0, 70),
    st.sampled_from([b"", b"end"]),
)
def test_any_tail(tmp_path_factory: Any, lines: list[bytes], tail: int, end: bytes) -> None:
    path = tmp_path_factory.mktemp("t") / "log"
    write(path, b"".join(line + b"\n" for line in lines) + end)
    whole = [line + b"\n" for line in lines] + ([end] if end else [])
    assert asyncio.run(collect(path, tail_lines=tail)) == b"".join(whole[len(whole) - min(tail, len(whole)) :])


def test_the_last_words(tmp_path: Path) -> None:
    write(tmp_path / "log", b"first\n" * 5000 + b"last words")
    assert tail_of(str(tmp_path / "log"), 16) == "first\nlast words"[-16:]
    assert tail_of(str(tmp_path / "none"), 16) == ""
