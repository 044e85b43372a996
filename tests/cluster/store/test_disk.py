"""What happens to the file: crashes, a full disk, a file of another version."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from headwater.cluster.store.disk import FORMAT
from headwater.cluster.store.errors import StoreTooNew, WriteRefused
from headwater.cluster.store.store import Store

WRITER = """
import asyncio, sys
from pathlib import Path
from headwater.cluster.store.store import HistoryLimits, Store

async def write(store, worker):
    count = 0
    revision = 0
    while True:
        obj = {"metadata": {"name": worker}, "count": count, "padding": "x" * 500}
        revision = (await store.put("things", worker, obj, revision)).revision
        sys.stdout.write(f"{worker} {count} {revision}\\n")
        sys.stdout.flush()
        count += 1

async def main():
    store = await Store.open(Path(sys.argv[1]), limits=HistoryLimits(changes=200))
    await asyncio.gather(*(write(store, f"w{n}") for n in range(8)))

asyncio.run(main())
"""


def _kill_a_writer(path: Path, after_lines: int) -> dict[str, tuple[int, int]]:
    """Start writers, kill them after so many acknowledgements, return the last one of each."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, env={**os.environ}, text=True
    )
    assert process.stdout is not None
    acknowledged: dict[str, tuple[int, int]] = {}
    try:
        for number, line in enumerate(process.stdout):
            worker, count, revision = line.split()
            acknowledged[worker] = (int(count), int(revision))
            if number == after_lines:
                process.send_signal(signal.SIGKILL)
    except ValueError:
        pass  # the last line was cut off by the kill
    process.wait()
    return acknowledged


@pytest.mark.parametrize("after_lines", [10, 400, 1111])
async def test_acknowledged_writes_survive_a_kill(tmp_path: Path, after_lines: int) -> None:
    path = tmp_path / "objects.db"
    acknowledged = await asyncio.to_thread(_kill_a_writer, path, after_lines)
    assert acknowledged
    store = await Store.open(path)
    for worker, (count, revision) in acknowledged.items():
        document = store.get("things", worker)
        assert document is not None
        # At most one write of each worker was on its way: it may be there, a later one cannot.
        assert document.object["count"] in (count, count + 1)
        assert document.revision >= revision
    assert store.revision >= max(revision for _, revision in acknowledged.values())
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_newer_file_is_refused_with_one_sentence_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    await (await Store.open(path)).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE format SET version = ?", (FORMAT + 1,))
        connection.commit()
    with pytest.raises(StoreTooNew, match=r"written by a newer version of Headwater") as raised:
        await Store.open(path)
    assert "\n" not in str(raised.value)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version FROM format").fetchall() == [(FORMAT + 1,)]


def _mount_small(path: Path) -> bool:
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], capture_output=True)
    return mounted.returncode == 0


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounting a small disk needs root")
async def test_a_full_disk_refuses_writes_and_recovers(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    if not _mount_small(disk):
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        store = await Store.open(disk / "objects.db")
        (disk / "ballast").write_bytes(b"x" * 500_000)
        written: dict[str, int] = {}
        refusals: list[str] = []
        for number in range(400):
            name = f"n{number}"
            try:
                obj = {"metadata": {"name": name}, "padding": "x" * 5000}
                written[name] = (await store.put("things", name, obj, 0)).revision
            except WriteRefused as error:
                refusals.append(str(error))
            assert (store.get("things", name) is not None) == (name in written)
            if len(refusals) == 3:
                break
        assert len(refusals) == 3
        assert all("is full" in refusal for refusal in refusals)
        assert written
        await store.close()
        store = await Store.open(disk / "objects.db")
        assert {name for name, _ in store.scan("things")} == set(written), "a full disk can still be read"
        (disk / "ballast").unlink()
        late = await store.put("things", "late", {"metadata": {"name": "late"}}, 0)
        assert late.revision > max(written.values())
        await store.close()
        again = await Store.open(disk / "objects.db")
        assert {name for name, _ in again.scan("things")} == {*written, "late"}
        await again.close()
    finally:
        subprocess.run(["umount", str(disk)], check=False)


LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from headwater.cluster.store.errors import WriteRefused
from headwater.cluster.store.store import Store

async def main():
    path = Path(sys.argv[1])
    store = await Store.open(path)
    await store.put("things", "first", {"metadata": {"name": "first"}}, 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    try:
        for number in range(100):
            await store.put("things", f"n{number}", {"metadata": {}, "padding": "x" * 5000}, 0)
    except WriteRefused as error:
        print("refused", number, error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.put("things", "late", {"metadata": {"name": "late"}}, 0)
    await store.close()
    store = await Store.open(path)
    assert store.count("things") == number + 2, store.count("things")
    await store.close()
    print("fine")

asyncio.run(main())
"""


def test_a_disk_that_fails_a_write_is_reported_and_the_store_goes_on(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path / "o.db")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "refused" in done.stdout
    assert "nothing was changed" in done.stdout
    assert done.stdout.endswith("fine\n")
