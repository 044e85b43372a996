import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.artifacts.directory import DirectoryStore

URI = "minio://mlpipeline/v2/artifacts/p/model"


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "artifacts")


async def chunks(store: DirectoryStore, uri: str) -> list[bytes]:
    return [chunk async for chunk in store.stream(uri)]


async def test_what_is_written_is_read(store: DirectoryStore) -> None:
    await store.write(URI, b"weights")
    assert await store.read(URI) == b"weights"
    assert await store.read(URI, limit=3) == b"wei"
    assert await chunks(store, URI) == [b"weights"]
    await store.write(URI, b"better")
    assert await store.read(URI) == b"better"


async def test_a_large_object_is_streamed_in_pieces(store: DirectoryStore) -> None:
    data = os.urandom((2 << 20) + 5)
    await store.write(URI, data)
    pieces = await chunks(store, URI)
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) == 1 << 20


async def test_a_folder_is_listed_by_name(store: DirectoryStore) -> None:
    for name in ("b/2.bin", "a.txt", "b/1.bin"):
        await store.write(f"{URI}/{name}", name.encode())
    found = await store.entries(URI)
    assert [(entry.uri.removeprefix(URI), entry.size) for entry in found] == [
        ("/a.txt", 5), ("/b/1.bin", 7), ("/b/2.bin", 7),
    ]  # fmt: skip
    assert await store.entries(f"{URI}/") == found
    assert [entry.uri for entry in await store.entries(f"{URI}/a.txt")] == [f"{URI}/a.txt"]
    assert await store.entries(f"{URI}/nothing") == []
    assert await store.entries(f"{URI}/a.txt/below") == []


async def test_deleting(store: DirectoryStore) -> None:
    await store.write(f"{URI}/a", b"1")
    await store.write(f"{URI}/b/c", b"2")
    await store.delete(f"{URI}/a")
    await store.delete(f"{URI}/a")
    assert [entry.uri for entry in await store.entries(URI)] == [f"{URI}/b/c"]
    await store.delete(URI)
    assert await store.entries(URI) == []


async def test_what_is_not_there(store: DirectoryStore) -> None:
    with pytest.raises(FileNotFoundError, match=r"minio://b/k is not in the artifact store"):
        await store.read("minio://b/k")
    with pytest.raises(FileNotFoundError):
        await chunks(store, "minio://b/k")


async def test_a_folder_is_no_object(store: DirectoryStore) -> None:
    await store.write(f"{URI}/a", b"1")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        await store.read(URI)


async def test_schemes_do_not_meet(store: DirectoryStore) -> None:
    await store.write("s3://bucket/key", b"one")
    await store.write("gs://bucket/key", b"two")
    assert await store.read("s3://bucket/key") == b"one"
    assert store.local_path("s3://bucket/key") == store.root / "s3/bucket/key"
    assert store.local_path("minio://bucket//a///b/") == store.root / "minio/bucket/a/b"


BAD = [
    "minio://bucket/../../etc/passwd", "minio://../x", "minio://bucket/a/./b", "minio://", "minio:///etc/passwd",
    "file:///etc/passwd", "/etc/passwd", "bucket/key", "", "minio://bucket/a\0b", ".staging://x/y", "minio://bucket/..",
]  # fmt: skip


@pytest.mark.parametrize("uri", BAD)
async def test_no_uri_leads_out(store: DirectoryStore, uri: str) -> None:
    with pytest.raises(ValueError):
        store.local_path(uri)
    with pytest.raises(ValueError):
        await store.read(uri)
    with pytest.raises(ValueError):
        await store.write(uri, b"x")
    with pytest.raises(ValueError):
        await store.entries(uri)
    with pytest.raises(ValueError):
        await store.delete(uri)


@given(st.text(alphabet="ab./:\\%~ ", max_size=30))
def test_a_local_path_is_always_inside(tmp_path_factory: pytest.TempPathFactory, rest: str) -> None:
    root = tmp_path_factory.getbasetemp() / "inside"
    store = DirectoryStore(root)
    try:
        path = store.local_path(f"minio://{rest}")
    except ValueError:
        return
    assert Path(os.path.normpath(path)).is_relative_to(root / "minio")


async def test_no_link_is_followed(store: DirectoryStore, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("hidden")
    await store.write(f"{URI}/ok", b"fine")
    folder = store.local_path(URI)
    (folder / "file").symlink_to(secret / "key")
    (folder / "dir").symlink_to(secret)
    for uri in (f"{URI}/file", f"{URI}/dir/key"):
        with pytest.raises(OSError, match="symbolic link"):
            await store.read(uri)
        with pytest.raises(ValueError, match="symbolic link"):
            store.local_path(uri)
        with pytest.raises(ValueError, match="symbolic link"):
            await store.write(uri, b"overwritten")
    assert [entry.uri for entry in await store.entries(URI)] == [f"{URI}/ok"]
    await store.delete(URI)
    assert (secret / "key").read_text() == "hidden"


async def test_a_pipe_does_not_hold_up_the_reader(store: DirectoryStore) -> None:
    await store.write(f"{URI}/ok", b"fine")
    os.mkfifo(store.local_path(f"{URI}/pipe"))
    with pytest.raises(OSError, match="not a regular file"):
        await store.read(f"{URI}/pipe")
    assert len(await store.entries(URI)) == 1


async def test_a_failed_write_leaves_nothing(store: DirectoryStore) -> None:
    await store.write(f"{URI}/a", b"1")
    with pytest.raises(OSError):
        await store.write(f"{URI}/a/b", b"2")
    assert [entry.uri for entry in await store.entries(URI)] == [f"{URI}/a"]
    assert list((store.root / ".staging").iterdir()) == []
