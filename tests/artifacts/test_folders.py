import contextlib
import os
import stat
from pathlib import Path

import pytest

from headwater.artifacts.directory import DirectoryStore
from headwater.cluster.node.volumes import remove_tree


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "artifacts")


def test_a_folder_is_made_once_with_its_mode(store: DirectoryStore) -> None:
    before = os.umask(0o022)
    try:
        for _ in range(2):
            path = store.make_folder("minio://b/one/two", mode=0o777)
    finally:
        os.umask(before)
    assert path == store.root / "minio/b/one/two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o777
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


@pytest.mark.parametrize("uri", ["minio://b/../x", "file:///etc", "minio://"])
def test_a_uri_that_points_out_is_refused(store: DirectoryStore, uri: str) -> None:
    with pytest.raises(ValueError, match="://"):
        store.make_folder(uri)


def test_a_folder_is_not_made_through_a_link_or_a_file(store: DirectoryStore, tmp_path: Path) -> None:
    (store.make_folder("minio://b/one") / "link").symlink_to(tmp_path)
    (store.root / "minio/b/one/file").touch()
    for name in ("link", "link/x", "file/x", "file"):
        with pytest.raises(ValueError, match="not a folder"):
            store.make_folder(f"minio://b/one/{name}", mode=0o777)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["artifacts"]


async def test_folders_nested_too_deeply_are_one_clear_error(store: DirectoryStore) -> None:
    here = os.open(store.make_folder("minio://b/deep"), os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    with contextlib.suppress(OSError):  # a Python that lists without recursion has an answer
        assert await store.entries("minio://b/deep") == []
    remove_tree(store.root)
