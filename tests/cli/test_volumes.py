"""Artifacts as volumes: where they lie, and what is refused."""

import pytest

from headwater.artifacts.directory import DirectoryStore
from headwater.cli.volumes import ArtifactVolumes

URI = "minio://mlpipeline/v2/artifacts/model"


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "artifacts")


async def test_a_folder_to_write_to_is_made_and_stays(store):
    volumes = ArtifactVolumes(store)
    path = await volumes.publish({"uri": URI}, {}, read_only=False)
    assert path == store.local_path(URI)
    assert path.is_dir()
    (path / "weights").write_bytes(b"1")
    await volumes.unpublish({"uri": URI}, {}, read_only=False)
    assert await store.read(f"{URI}/weights") == b"1"
    assert await volumes.publish({"uri": URI}, {}, read_only=False) == path


async def test_an_artifact_to_read_must_be_there(store):
    volumes = ArtifactVolumes(store)
    with pytest.raises(FileNotFoundError, match=URI):
        await volumes.publish({"uri": URI}, {}, read_only=True)
    assert not store.local_path(URI).exists()
    await store.write(URI, b"weights")
    assert (await volumes.publish({"uri": URI}, {}, read_only=True)).read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({}, "needs the attribute uri"),
        ({"uri": ""}, "needs the attribute uri"),
        ({"uri": "http://example.com/model"}, "begin with"),
        ({"uri": "minio://mlpipeline/../../etc"}, "points out of the store"),
    ],
)
@pytest.mark.parametrize("read_only", [True, False])
async def test_what_is_no_artifact_here_is_refused(store, attributes, said, read_only):
    with pytest.raises(ValueError, match=said):
        await ArtifactVolumes(store).publish(attributes, {}, read_only=read_only)


async def test_no_volume_leads_through_a_link(store, tmp_path):
    bucket = store.local_path("minio://mlpipeline")
    bucket.parent.mkdir(parents=True)
    bucket.symlink_to(tmp_path)
    with pytest.raises(ValueError, match="symbolic link"):
        await ArtifactVolumes(store).publish({"uri": URI}, {}, read_only=False)
