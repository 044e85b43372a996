from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headwater.artifacts.directory import DirectoryStore
from headwater.database import Database
from headwater.kube.meta.time import SystemClock
from headwater.pipelines.records.models import RunRow, RunState
from headwater.pipelines.records.owners import ArtifactOwners
from headwater.pipelines.records.records import Records

MIGRATIONS = Path(__file__).parents[3] / "src/headwater/pipelines/migrations"
MINE, THEIRS, GONE = (f"{n * 8}-1111-4111-8111-{n * 12}" for n in "abc")
ROOT = "minio://mlpipeline/v2/artifacts/p"


@dataclass
class Setting:
    owners: ArtifactOwners
    records: Records
    store: DirectoryStore


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    database = Database.open(f"sqlite:///{tmp_path / 'records.db'}")
    database.migrate("pipelines", MIGRATIONS)
    store = DirectoryStore(tmp_path / "artifacts")
    records = Records(database, SystemClock())
    for run_id, namespace in ((MINE, "mine"), (THEIRS, "theirs")):
        row = RunRow(
            run_id=run_id,
            namespace=namespace,
            experiment_id="",
            display_name="r",
            state=RunState.PENDING,
            created_at=datetime.now(UTC),
            pipeline_spec={},
        )
        await records.create_run(row)
        await store.write(f"{ROOT}/{run_id}/t/model", b"m")
    await store.write("minio://data/set/a.csv", b"1")
    await store.write(f"{ROOT}/{GONE}/t/model", b"m")
    yield Setting(ArtifactOwners(database, store), records, store)
    await database.close()


@pytest.mark.parametrize(
    ("uri", "read", "write"),
    [
        (f"{ROOT}/{MINE}/t/model", True, True),
        (f"{ROOT}/{MINE}", True, True),
        (f"{ROOT}/{THEIRS}/t/model", False, False),
        (f"{ROOT}/{THEIRS}", False, False),
        # Below another's folder nobody gets a foothold, whatever the rest of the path says.
        (f"{ROOT}/{THEIRS}/p/{MINE}/t", False, False),
        (f"{ROOT}/{THEIRS.upper()}/t/model", False, False),
        (f"{ROOT}/{GONE}/t/model", False, False),
        ("minio://mlpipeline", False, False),
        ("minio://mlpipeline/v2", False, False),
        ("minio://mlpipeline//v2/artifacts/", False, False),
        (f"{ROOT}", False, False),
        ("minio://data", False, False),
        ("minio://data/set", True, False),
        ("minio://data/set/a.csv", True, False),
        ("minio://mlpipeline/logs/mine/r/t/0.log", True, False),
        ("minio://mlpipeline/logs/theirs/r/t/0.log", False, False),
        ("minio://mlpipeline/logs", False, False),
        ("s3://elsewhere/thing", True, False),
    ],
)
async def test_where_bytes_lie_says_whose_they_are(setting: Setting, uri: str, read: bool, write: bool) -> None:
    assert (not await setting.owners.refusal("mine", uri)) is read
    assert (not await setting.owners.refusal("mine", uri, write=True)) is write


async def test_a_folder_in_which_runs_write_is_nobody_s(setting: Setting) -> None:
    await setting.store.write(f"minio://data/runs/p/{THEIRS}/t/model", b"m")
    assert await setting.owners.refusal("mine", "minio://data/runs")
    assert not await setting.owners.refusal("mine", "minio://data/set")


async def test_a_run_stays_its_namespace_s_after_it_is_deleted(setting: Setting) -> None:
    assert await setting.owners.refusal("mine", f"{ROOT}/{THEIRS}/t/model")
    await setting.records.delete_run(THEIRS)
    assert await setting.owners.refusal("mine", f"{ROOT}/{THEIRS}/t/model")
