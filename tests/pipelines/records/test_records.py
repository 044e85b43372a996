import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from headwater.database import Database
from headwater.pipelines.records.catalog import Catalog
from headwater.pipelines.records.filters import ListQuery
from headwater.pipelines.records.models import (
    ArtifactRow,
    ArtifactUse,
    CacheEntry,
    Direction,
    RunChange,
    RunRow,
    RunState,
    StorageState,
    TaskChange,
    TaskRow,
    TaskState,
    TaskType,
)
from headwater.pipelines.records.records import Records
from headwater.pipelines.records.tables import artifacts, cache, metadata, specs, tasks, uses

MIGRATIONS = Path(__file__).parents[3] / "src/headwater/pipelines/migrations"
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
SPEC = {"pipelineInfo": {"name": "p"}, "root": {"dag": {}}}


class SettableClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("records do not wait")


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database.open(f"sqlite:///{tmp_path / 'records.db'}")
    opened.migrate("pipelines", MIGRATIONS)
    yield opened
    await opened.close()


@pytest.fixture
def records(database: Database, clock: SettableClock) -> Records:
    return Records(database, clock)


def run(run_id: str = "r1", **values) -> RunRow:
    given = {
        "namespace": "ns",
        "experiment_id": "e",
        "display_name": "a run",
        "pipeline_spec": SPEC,
        "created_at": START,
    }
    return RunRow(run_id=run_id, **given | values)


def task(name: str, run_id: str = "r1", **values) -> TaskRow:
    given = {"path": f"root/{name}", "parent_path": "root", "name": name, "created_at": START}
    return TaskRow(task_id=f"{run_id}-{name}", run_id=run_id, **given | values)


def artifact(key: str, run_id: str = "r1", **values) -> ArtifactRow:
    given = {"namespace": "ns", "name": key, "uri": f"minio://b/{key}", "run_id": run_id, "created_at": START}
    return ArtifactRow(artifact_id=key, **given | values)


def use(task_id: str, key: str, direction: Direction = Direction.OUTPUT, position: int = 0) -> ArtifactUse:
    return ArtifactUse(task_id=task_id, artifact_id=key, direction=direction, key="data", position=position)


async def count(database: Database, table) -> int:
    return len(await database.read(lambda connection: connection.execute(table.select()).all()))


async def test_the_migrations_make_the_tables_of_the_code(database: Database) -> None:
    def differences(connection) -> list:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    found = await database.read(differences)
    assert [one for one in found if "alembic_version" not in str(one)] == []


async def test_a_run_comes_back_as_it_was(records: Records) -> None:
    platform = {"platforms": {"kubernetes": {}}}
    stored = run(
        platform_spec=platform, parameters={"n": [1, {"a": None}]}, description="ü", pipeline_root="minio://b/r",
        service_account="sa", pipeline_name="p", scheduled_at=START + timedelta(microseconds=1),
    )  # fmt: skip
    assert await records.create_run(stored)
    read = await records.get_run("r1")
    assert read is not None
    assert (read.pipeline_spec, read.platform_spec, read.parameters) == (SPEC, platform, stored.parameters)
    assert (read.scheduled_at, read.state, read.description) == (stored.scheduled_at, RunState.PENDING, "ü")
    assert [change.state for change in read.state_history] == ["PENDING"]
    assert not await records.create_run(run(display_name="again"))
    without = await records.get_run("r1", with_spec=False)
    assert without is not None
    assert without.pipeline_spec is None
    assert without.display_name == "a run"
    assert await records.get_run("nothing") is None


async def test_a_spec_is_stored_once_and_goes_with_its_last_run(records: Records, database: Database) -> None:
    for number in range(3):
        await records.create_run(run(f"r{number}"))
    assert await count(database, specs) == 1
    assert await records.delete_run("r0")
    assert await records.delete_run("r1")
    assert await count(database, specs) == 1
    assert await records.delete_run("r2")
    assert await count(database, specs) == 0
    assert not await records.delete_run("r2")


async def test_a_run_without_an_experiment_goes_into_the_default_one(records: Records, database, clock) -> None:
    await records.create_run(run("r1", experiment_id=""))
    await records.create_run(run("r2", experiment_id="", created_at=START + timedelta(hours=1)))
    first, second = await records.get_run("r1"), await records.get_run("r2")
    assert first is not None
    assert second is not None
    assert first.experiment_id == second.experiment_id
    experiment = await Catalog(database, clock).default_experiment("ns")
    assert experiment.experiment_id == first.experiment_id
    assert experiment.display_name == "Default"
    assert experiment.last_run_created_at == START + timedelta(hours=1)


async def test_states_change_only_from_where_they_were_decided(records: Records, clock: SettableClock) -> None:
    await records.create_run(run())
    assert await records.set_run_state("r1", {RunState.PENDING}, RunState.RUNNING)
    clock.at += timedelta(seconds=5)
    assert not await records.set_run_state("r1", {RunState.PENDING}, RunState.RUNNING)
    assert await records.request_termination("r1")
    assert await records.request_termination("r1")
    clock.at += timedelta(seconds=5)
    assert await records.set_run_state("r1", {RunState.CANCELING}, RunState.FAILED, "it was stopped")
    assert not await records.request_termination("r1")
    read = await records.get_run("r1")
    assert read is not None
    assert (read.state, read.error, read.terminate) == (RunState.FAILED, "it was stopped", True)
    assert (read.started_at, read.finished_at) == (START, START + timedelta(seconds=10))
    told = [(change.state, change.at - START, change.error) for change in read.state_history]
    assert told == [
        ("PENDING", timedelta(0), ""),
        ("RUNNING", timedelta(0), ""),
        ("CANCELING", timedelta(seconds=5), ""),
        ("FAILED", timedelta(seconds=10), "it was stopped"),
    ]
    assert not await records.set_run_state("nothing", set(RunState), RunState.FAILED)


async def test_a_result_is_taken_exactly_once(records: Records, database: Database) -> None:
    await records.create_run(run())
    await records.save("r1", new=[task("train")])
    entry = CacheEntry(
        namespace="ns", pipeline_name="p", fingerprint="f", task_id="r1-train", run_id="r1", task_name="train",
        created_at=START,
    )  # fmt: skip
    change = TaskChange(
        task_id="r1-train", state=TaskState.SUCCEEDED, outputs={"parameters": {"x": 1}}, artifacts=[artifact("a1")],
        uses=[use("r1-train", "a1")], cache_entry=entry,
    )  # fmt: skip
    taken = await asyncio.gather(*(records.save("r1", changes=[change]) for _ in range(5)))
    assert sorted(taken, key=len) == [*[frozenset()] * 4, {"r1-train"}]
    assert [await count(database, table) for table in (artifacts, uses, cache)] == [1, 1, 1]
    (row,) = await records.load_tasks("r1")
    assert (row.state, row.outputs, row.finished_at) == (TaskState.SUCCEEDED, {"parameters": {"x": 1}}, START)
    late = TaskChange(task_id="r1-train", state=TaskState.FAILED, error="too late", artifacts=[artifact("a2")])
    assert not await records.save("r1", changes=[late])
    assert await count(database, artifacts) == 1
    assert not await records.save("r1", changes=[TaskChange(task_id="nothing", state=TaskState.FAILED)])


async def test_decisions_are_saved_together(records: Records, clock: SettableClock) -> None:
    await records.create_run(run())
    first = await records.save("r1", new=[task("a"), task("b")], run=RunChange(state=RunState.RUNNING))
    assert first == {"r1", "r1-a", "r1-b"}
    clock.at += timedelta(seconds=1)
    again = await records.save(
        "r1",
        new=[task("a", state=TaskState.FAILED), task("c", type=TaskType.DAG)],
        changes=[
            TaskChange(task_id="r1-a", state=TaskState.RUNNING, attempt=2, pod_name="pod", started_at=clock.at),
            TaskChange(task_id="r1-b", from_states=frozenset({TaskState.RUNNING}), state=TaskState.SUCCEEDED),
        ],
    )
    assert again == {"r1-c", "r1-a"}
    a, b, c = await records.load_tasks("r1")
    assert (a.state, a.attempt, a.pod_name, a.started_at) == (TaskState.RUNNING, 2, "pod", clock.at)
    assert [change.state for change in a.state_history] == ["PENDING", "RUNNING"]
    assert (b.state, c.type) == (TaskState.PENDING, TaskType.DAG)


async def test_half_of_a_save_never_stays(records: Records, database: Database) -> None:
    await records.create_run(run())
    await records.save("r1", new=[task("a")])
    broken = artifact("a1", metadata={"what": object()})
    with pytest.raises(Exception, match="not JSON serializable"):
        await records.save("r1", changes=[TaskChange(task_id="r1-a", state=TaskState.SUCCEEDED, artifacts=[broken])])
    (row,) = await records.load_tasks("r1")
    assert row.state is TaskState.PENDING
    assert await count(database, artifacts) == 0


async def finished(records: Records, run_id: str, key: str, when: datetime, **entry) -> None:
    await records.create_run(run(run_id))
    await records.save(run_id, new=[task("train", run_id)])
    given = {"namespace": "ns", "pipeline_name": "p", "fingerprint": "f", "task_name": "train"} | entry
    change = TaskChange(
        task_id=f"{run_id}-train", state=TaskState.SUCCEEDED,
        artifacts=[artifact(f"{key}-0", run_id), artifact(f"{key}-1", run_id)],
        uses=[use(f"{run_id}-train", f"{key}-1", position=1), use(f"{run_id}-train", f"{key}-0")],
        cache_entry=CacheEntry(task_id=f"{run_id}-train", run_id=run_id, created_at=when, **given),
    )  # fmt: skip
    await records.save(run_id, changes=[change])


async def test_the_cache_gives_the_newest_result_of_the_scope(records: Records) -> None:
    await finished(records, "r1", "old", START)
    await finished(records, "r2", "new", START + timedelta(hours=1))
    await finished(records, "r3", "else", START + timedelta(hours=2), pipeline_name="other")
    await finished(records, "r4", "elsewhere", START + timedelta(hours=2), namespace="other")
    hit = await records.find_cached("ns", "p", "f")
    assert hit is not None
    assert hit.task.task_id == "r2-train"
    assert [(one.position, row.artifact_id) for one, row in hit.artifacts] == [(0, "new-0"), (1, "new-1")]
    assert await records.find_cached("ns", "p", "g") is None
    await records.delete_run("r2")
    hit = await records.find_cached("ns", "p", "f")
    assert hit is not None
    assert hit.task.task_id == "r1-train"


async def test_the_nearest_entry_explains_a_miss(records: Records) -> None:
    await finished(records, "r1", "a", START, parts={"image": "1"})
    await finished(records, "r2", "b", START + timedelta(hours=2), pipeline_name="other", parts={"image": "2"})
    nearest = await records.nearest_cached("ns", "p", "train")
    assert nearest is not None
    assert nearest.parts == {"image": "1"}
    other = await records.nearest_cached("ns", "third", "train")
    assert other is not None
    assert other.parts == {"image": "2"}
    assert await records.nearest_cached("ns", "p", "load") is None


async def test_lineage_and_what_a_deleted_run_leaves(records: Records, database: Database) -> None:
    await finished(records, "r1", "a", START)
    await records.create_run(run("r2"))
    await records.save("r2", new=[task("train", "r2")])
    links = [use("r2-train", "a-0")]
    change = TaskChange(task_id="r2-train", state=TaskState.CACHED, cached_from="r1-train", uses=links)
    await records.save("r2", changes=[change])
    told = [(one.direction, row.task_id) for one, row in await records.artifact_uses("a-0")]
    assert told == [(Direction.OUTPUT, "r1-train"), (Direction.OUTPUT, "r2-train")]
    found = await records.find_uses(artifact_ids=["a-0"])
    assert [(run_id, namespace) for _, run_id, namespace in found] == [("r1", "ns"), ("r2", "ns")]
    assert len(await records.find_uses(run_ids=["r1"], task_ids=["r1-train"])) == 2
    await records.delete_run("r1")
    assert await records.get_artifact("a-0") is not None
    assert await records.get_artifact("a-1") is None
    assert [row.artifact_id for _, row in await records.load_artifacts("r2")] == ["a-0"]
    assert [await count(database, table) for table in (tasks, uses, cache)] == [1, 1, 0]
    page = await records.list_artifacts(ListQuery(), namespace="ns")
    assert [row.artifact_id for row in page.rows] == ["a-0"]


async def test_unfinished_runs_bring_their_specs(records: Records) -> None:
    for number, state in enumerate(RunState):
        await records.create_run(run(f"r{number}", created_at=START - timedelta(hours=number)))
        if state is not RunState.PENDING:
            await records.set_run_state(f"r{number}", {RunState.PENDING}, state)
    left = await records.unfinished_runs()
    assert [row.state for row in left] == [RunState.CANCELING, RunState.PAUSED, RunState.RUNNING, RunState.PENDING]
    assert all(row.pipeline_spec == SPEC for row in left)


async def test_runs_are_listed_by_namespace_or_experiment(records: Records) -> None:
    await records.create_run(run("r1", experiment_id="e1"))
    await records.create_run(run("r2", experiment_id="e2"))
    await records.create_run(run("r3", namespace="other", experiment_id="e1"))
    assert [row.run_id for row in (await records.list_runs(ListQuery(), namespace="ns")).rows] == ["r1", "r2"]
    assert [row.run_id for row in (await records.list_runs(ListQuery(), experiment_id="e1")).rows] == ["r1", "r3"]
    assert (await records.list_runs(ListQuery())).total_size == 3
    assert await records.set_run_storage("r1", StorageState.ARCHIVED)
    assert not await records.set_run_storage("nothing", StorageState.ARCHIVED)
