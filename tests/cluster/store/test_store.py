"""What the store promises: revisions, visibility after commit only, watches with resume, compaction, durability."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from headwater.cluster.store.errors import HistoryGone, RevisionMismatch, StoreBusy, StoreClosed, StoreDamaged
from headwater.cluster.store.store import HistoryLimits, Store


def thing(name: str, **fields: object) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": name}, **fields}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "objects.db")
    yield opened
    await opened.close()


async def test_a_write_is_read_back_with_its_revision(store: Store) -> None:
    document = await store.put("things", "a/x", thing("x"), 0)
    assert store.revision == document.revision
    assert store.get("things", "a/x") is document
    assert document.object["metadata"]["resourceVersion"] == str(document.revision)
    assert document.value.startswith(b'{"apiVersion":"v1","kind":"Thing","metadata":')


async def test_a_write_based_on_an_old_revision_is_refused(store: Store) -> None:
    first = await store.put("things", "a/x", thing("x"), 0)
    await store.put("things", "a/x", thing("x", size=2), first.revision)
    with pytest.raises(RevisionMismatch):
        await store.put("things", "a/x", thing("x", size=3), first.revision)
    with pytest.raises(RevisionMismatch):
        await store.put("things", "a/x", thing("x"), 0)
    with pytest.raises(RevisionMismatch):
        await store.remove("things", "a/y", thing("y"), 7)


async def test_of_many_concurrent_writers_of_one_revision_one_wins(store: Store) -> None:
    first = await store.put("things", "x", thing("x"), 0)
    writes = [store.put("things", "x", thing("x", size=n), first.revision) for n in range(20)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(not isinstance(result, Exception) for result in results) == 1
    assert sum(isinstance(result, RevisionMismatch) for result in results) == 19


async def test_nothing_is_visible_before_it_is_committed(store: Store) -> None:
    writing = asyncio.ensure_future(store.put("things", "x", thing("x"), 0))
    await asyncio.sleep(0)
    # The writer's thread may have committed by now, but only the loop publishes, and it has not run since.
    assert store.get("things", "x") is None
    await writing
    assert store.get("things", "x") is not None


async def test_subscribers_hear_of_a_commit_before_its_writer(store: Store) -> None:
    heard: list[str] = []

    def fail(_: object) -> None:
        raise RuntimeError("a subscriber's own fault")

    store.subscribe("things", fail)
    store.subscribe("things", lambda change: heard.append(change.name))
    await store.put("things", "x", thing("x"), 0)
    assert heard == ["x"]
    await store.put("others", "y", thing("y"), 0)
    assert heard == ["x"]


async def test_scan_is_ordered_and_can_be_continued(store: Store) -> None:
    names = ["b/2", "a-b/1", "a/2", "b/1", "a/1", "a/3", "aa/1"]
    await asyncio.gather(*(store.put("things", name, thing(name), 0) for name in names))
    assert [name for name, _ in store.scan("things")] == sorted(names)
    assert [name for name, _ in store.scan("things", "a/")] == ["a/1", "a/2", "a/3"]
    assert [name for name, _ in store.scan("things", "a/", after="a/2")] == ["a/3"]
    assert [name for name, _ in store.scan("things", "b/", after="a/2")] == ["b/1", "b/2"]
    assert [name for name, _ in store.scan("nothing")] == []


async def test_a_scan_of_an_earlier_revision_sees_what_was_then(store: Store) -> None:
    a = await store.put("things", "a", thing("a"), 0)
    await store.put("things", "b", thing("b"), 0)
    then = store.revision
    await store.put("things", "c", thing("c"), 0)
    await store.put("things", "a", thing("a", size=2), a.revision)
    b = store.get("things", "b")
    assert b is not None
    await store.remove("things", "b", b.copy(), b.revision)
    seen = list(store.scan("things", revision=then))
    assert [name for name, _ in seen] == ["a", "b"]
    assert "size" not in seen[0][1].object
    assert [name for name, _ in store.scan("things")] == ["a", "c"]


async def test_a_watch_sees_each_change_once_and_in_order(store: Store) -> None:
    watch = store.watch("things", "a/")
    first = await store.put("things", "a/x", thing("x"), 0)
    await store.put("things", "b/x", thing("x"), 0)
    second = await store.put("things", "a/x", thing("x", size=2), first.revision)
    await store.remove("things", "a/x", second.copy(), second.revision)
    changes = watch.read(store.revision)
    assert [(change.name, change.removed) for change in changes] == [("a/x", False), ("a/x", False), ("a/x", True)]
    assert changes[1].previous is first
    assert changes[2].document.object["metadata"]["resourceVersion"] == str(store.revision)
    assert watch.read(store.revision) == []


async def test_a_waiting_watch_wakes_for_its_own_names_only(store: Store) -> None:
    watch = store.watch("things", "a/")
    waiting = asyncio.ensure_future(watch.wait(None))
    await store.put("things", "b/x", thing("x"), 0)
    await asyncio.sleep(0)
    assert not waiting.done()
    assert watch.revision == store.revision
    await store.put("things", "a/x", thing("x"), 0)
    await waiting
    assert [change.name for change in watch.read(store.revision)] == ["a/x"]
    await watch.wait(0.001)


async def test_a_watch_resumes_after_a_restart(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "objects.db")
    first = await store.put("things", "x", thing("x"), 0)
    second = await store.put("things", "x", thing("x", size=2), first.revision)
    await store.put("things", "y", thing("y"), 0)
    await store.remove("things", "x", second.copy(), second.revision)
    before = store.revision
    await store.close()

    again = await Store.open(tmp_path / "objects.db")
    assert again.revision == before
    assert [name for name, _ in again.scan("things")] == ["y"]
    changes = again.watch("things", revision=first.revision).read(again.revision)
    assert [(change.name, change.removed) for change in changes] == [("x", False), ("y", False), ("x", True)]
    assert changes[0].previous is not None
    assert changes[0].previous.value == first.value
    later = await again.put("things", "z", thing("z"), 0)
    assert later.revision > before
    await again.close()


async def test_history_beyond_the_limit_is_gone_also_after_a_restart(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "objects.db", limits=HistoryLimits(changes=3))
    start = store.revision
    quiet = await store.put("quiet", "q", thing("q"), 0)
    document = await store.put("things", "x", thing("x"), 0)
    for size in range(10):
        document = await store.put("things", "x", thing("x", size=size), document.revision)
    with pytest.raises(HistoryGone):
        store.watch("things", revision=start)
    with pytest.raises(HistoryGone):
        list(store.scan("things", revision=start + 2))
    assert len(store.watch("things", revision=document.revision - 1).read(store.revision)) == 1
    store.compact(everything=True)
    await store.close()

    again = await Store.open(tmp_path / "objects.db")
    assert again.revision == document.revision
    current = again.get("things", "x")
    assert current is not None
    assert current.value == document.value
    with pytest.raises(HistoryGone):
        again.watch("things", revision=document.revision - 1)
    assert again.watch("things", revision=document.revision).read(again.revision) == []
    # Nothing of this bucket was forgotten behind its only change, however busy the others were.
    assert again.watch("quiet", revision=quiet.revision).read(again.revision) == []
    await again.close()


async def test_compaction_leaves_only_live_rows_in_the_file(tmp_path: Path) -> None:
    import sqlite3

    store = await Store.open(tmp_path / "objects.db")
    document = await store.put("things", "x", thing("x"), 0)
    for size in range(5):
        document = await store.put("things", "x", thing("x", size=size), document.revision)
    gone = await store.put("things", "y", thing("y"), 0)
    await store.remove("things", "y", gone.copy(), gone.revision)
    last = store.revision
    store.compact(everything=True)
    await store.close()
    with closing(sqlite3.connect(tmp_path / "objects.db")) as connection:
        assert connection.execute("SELECT revision, name FROM changes").fetchall() == [(document.revision, "x")]
    again = await Store.open(tmp_path / "objects.db")
    assert again.revision == last, "a revision is never given out twice"
    await again.close()


async def test_a_watch_that_never_heard_anything_is_not_left_behind(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "objects.db", limits=HistoryLimits(changes=2))
    watch = store.watch("things", "a/")
    waiting = asyncio.ensure_future(watch.wait(None))
    await asyncio.sleep(0)
    for number in range(8):
        await store.put("things", f"b/{number}", thing("x"), 0)
    await store.put("things", "a/x", thing("x"), 0)
    await waiting
    assert [change.name for change in watch.read(store.revision)] == ["a/x"]
    await store.close()


async def test_history_grows_old(tmp_path: Path) -> None:
    now = 0.0
    store = await Store.open(tmp_path / "objects.db", limits=HistoryLimits(seconds=60), monotonic=lambda: now)
    start = store.revision
    await store.put("things", "x", thing("x"), 0)
    now = 61.0
    store.compact()
    with pytest.raises(HistoryGone):
        store.watch("things", revision=start)
    await store.close()


async def test_only_one_process_may_open_a_store(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreBusy, match="in use by another process"):
        await Store.open(tmp_path / "objects.db")


async def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    path.write_bytes(b"this is a text, not a database" * 50)
    with pytest.raises(StoreDamaged, match=r"objects\.db"):
        await Store.open(path)


async def test_a_closed_store_refuses_and_ends_its_watches(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "objects.db")
    watch = store.watch("things")
    waiting = asyncio.ensure_future(watch.wait(None))
    await asyncio.sleep(0)
    writing = asyncio.ensure_future(store.put("things", "x", thing("x"), 0))
    await asyncio.sleep(0)
    await store.close()
    await waiting
    assert watch.ended
    assert (await writing).revision == store.revision
    with pytest.raises(StoreClosed):
        await store.put("things", "y", thing("y"), 0)
    with pytest.raises(StoreClosed):
        store.watch("things")


async def test_a_cancelled_writer_does_not_hold_up_the_next(store: Store) -> None:
    first = asyncio.ensure_future(store.put("things", "x", thing("x"), 0))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(store.put("things", "x", thing("x", size=2), 0))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(RevisionMismatch):
        await second
    assert store.get("things", "x") is not None
