"""Artifacts as volumes: where they lie, whose they are, and what is refused."""

import os
from pathlib import Path

import pytest

from headwater.artifacts.directory import DirectoryStore
from headwater.cli.volumes import ArtifactVolumes

POD = {"metadata": {"name": "p", "namespace": "team-a"}}


class Owned:
    """Gives everything below the bucket ``a`` to the namespace ``team-a``."""

    async def refusal(self, namespace: str, uri: str, *, write: bool = False) -> str:
        return "" if namespace == "team-a" and uri.startswith("minio://a/") else f"{uri} is another's"


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "artifacts")


async def test_a_folder_to_write_to_is_made_and_an_artifact_to_read_must_be_there(store: DirectoryStore) -> None:
    volumes = ArtifactVolumes(store, Owned())
    path = await volumes.publish({"uri": "minio://a/run/step"}, POD, False)
    assert path == store.root / "minio/a/run/step"
    assert path.is_dir()
    assert await volumes.publish({"uri": "minio://a/run/step"}, POD, True) == path
    with pytest.raises(FileNotFoundError, match="there is no artifact"):
        await volumes.publish({"uri": "minio://a/other"}, POD, True)
    with pytest.raises(ValueError, match="needs the attribute uri"):
        await volumes.publish({}, POD, True)


@pytest.mark.parametrize("read_only", [True, False])
async def test_another_namespace_s_artifact_is_refused(store: DirectoryStore, read_only: bool) -> None:
    await store.write("minio://b/model", b"m")
    with pytest.raises(PermissionError, match="is another's"):
        await ArtifactVolumes(store, Owned()).publish({"uri": "minio://b/model"}, POD, read_only)
    assert not (store.root / "minio/b/new").exists()


async def test_no_link_of_a_step_is_followed(store: DirectoryStore, tmp_path: Path) -> None:
    volumes = ArtifactVolumes(store, Owned())
    step = await volumes.publish({"uri": "minio://a/run/step"}, POD, False)
    (tmp_path / "secret").mkdir()
    (step / "link").symlink_to(tmp_path / "secret")
    for uri in ("minio://a/run/step/link", "minio://a/run/step/link/deeper"):
        for read_only in (True, False):
            with pytest.raises(ValueError, match=r"link|not a folder"):
                await volumes.publish({"uri": uri}, POD, read_only)
    assert not list((tmp_path / "secret").iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
async def test_nothing_is_given_away_below_a_folder_that_a_step_owns(store: DirectoryStore) -> None:
    volumes = ArtifactVolumes(store, Owned())
    step = await volumes.publish({"uri": "minio://a/run/step"}, POD, False)
    os.chown(step, 0x70000000, 0x70000000)
    assert await volumes.publish({"uri": "minio://a/run/step"}, POD, False) == step
    with pytest.raises(ValueError, match="a folder that steps write to"):
        await volumes.publish({"uri": "minio://a/run/step/deeper"}, POD, False)


async def test_what_was_written_stays_when_the_volume_is_let_go(store: DirectoryStore) -> None:
    volumes = ArtifactVolumes(store, Owned())
    (await volumes.publish({"uri": "minio://a/run"}, POD, False) / "weights").write_bytes(b"1")
    await volumes.unpublish({"uri": "minio://a/run"}, POD, False)
    assert await store.read("minio://a/run/weights") == b"1"


@pytest.mark.parametrize(
    ("uri", "said"),
    [("", "needs the attribute uri"), ("minio://a/../../etc", "points out of the store")],
)
@pytest.mark.parametrize("read_only", [True, False])
async def test_what_is_no_artifact_here_is_refused(store: DirectoryStore, uri: str, said: str, read_only: bool) -> None:
    with pytest.raises(ValueError, match=said):
        await ArtifactVolumes(store, Owned()).publish({"uri": uri}, POD, read_only)
