"""Records as the demo's runs leave them, made by the real planner with results that are made up here."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from headwater.artifacts.directory import DirectoryStore
from headwater.kube.meta.time import Clock, SystemClock
from headwater.pipelines.records.catalog import Catalog
from headwater.pipelines.records.models import (
    ArtifactRow,
    CacheHit,
    Direction,
    PipelineRow,
    PipelineVersionRow,
    RunChange,
    RunRow,
    RunState,
    TaskRow,
    TaskState,
)
from headwater.pipelines.records.records import Records
from headwater.pipelines.runs.execute import artifact_id_of, attempt_id_of
from headwater.pipelines.runs.ledger import Ledger
from headwater.pipelines.runs.logs import archive_uri
from headwater.pipelines.runs.outputs import Outputs
from headwater.pipelines.runs.plan import plan
from headwater.pipelines.spec.documents import read_documents
from headwater.pipelines.spec.loading import check_run_parameters, load

DATA = Path(__file__).parent / "data"
ACCURACY = {"logistic-regression": 0.986, "random-forest": 0.958, "nearest-neighbours": 0.9720279}


@dataclass
class MovedClock:
    """A clock that is moved by hand."""

    moment: datetime

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


def curve(accuracy: float) -> dict[str, Any]:
    """A plausible ROC curve and confusion matrix."""
    points = [i / 14 for i in range(15)]
    steep = 1 / (1.02 - accuracy)
    wrong = round(143 * (1 - accuracy))
    return {
        "confusionMatrix": {
            "annotationSpecs": [{"displayName": "malignant"}, {"displayName": "benign"}],
            "rows": [{"row": [53 - wrong // 2, wrong // 2]}, {"row": [wrong - wrong // 2, 90 - wrong + wrong // 2]}],
        },
        "confidenceMetrics": [
            {"confidenceThreshold": 1 - x, "falsePositiveRate": x, "recall": 1 - math.exp(-steep * x) * (1 - x)}
            for x in points
        ],
    }


class Seeder:
    """Writes runs into the records as the reconciler would, step by step on a clock of its own."""

    def __init__(self, records: Records, catalog: Catalog, store: DirectoryStore, clock: MovedClock) -> None:
        self.records = records
        self.catalog = catalog
        self.store = store
        self.clock = clock

    async def pipeline(self, file: str, name: str, namespace: str) -> tuple[str, str]:
        """Upload one of the test pipelines; return its id and its version's."""
        documents = read_documents((DATA / file).read_text())
        row = PipelineRow(
            pipeline_id="", namespace=namespace, name=name, display_name=name, created_at=self.clock.now(),
            description="Load and validate, split, train three models in a loop, evaluate each, keep the best.",
        )  # fmt: skip
        version = PipelineVersionRow(
            pipeline_version_id="", pipeline_id="", name=name, display_name=name, created_at=self.clock.now(),
            pipeline_spec=documents.spec, platform_spec=documents.platform,
        )  # fmt: skip
        made, first = await self.catalog.create_pipeline(row, version)
        assert first is not None
        return made.pipeline_id, first.pipeline_version_id

    async def start(self, run_id: str, file: str, name: str, namespace: str, **values: Any) -> Ledger:
        """Create a run and open what can begin."""
        documents = read_documents((DATA / file).read_text())
        pipeline = load(documents.spec, documents.platform)
        parameters = values.pop("parameters", {})
        run = RunRow(
            run_id=run_id, namespace=namespace, experiment_id=values.pop("experiment_id", ""), display_name=name,
            pipeline_name=pipeline.name, pipeline_spec=documents.spec, platform_spec=documents.platform,
            parameters=parameters, created_at=self.clock.now(), **values,
        )  # fmt: skip
        await self.records.create_run(run)
        stored = await self.records.get_run(run_id)
        assert stored is not None
        ledger = Ledger(stored, pipeline, check_run_parameters(pipeline, parameters))
        await self.advance(ledger, RunState.RUNNING)
        return ledger

    async def advance(self, ledger: Ledger, state: RunState | None = None) -> None:
        """Let the planner decide and write it down."""
        now = self.clock.now()
        decided = plan(ledger.pipeline, ledger.parameters, ledger.statuses)
        ledger.apply(decided, now)
        change = None
        if decided.outcome is not None:
            change = RunChange(state=decided.outcome.state, error=decided.outcome.error, finished_at=now)
        elif state is not None:
            change = RunChange(state=state, started_at=now)
        assert await ledger.write(self.records, change)

    async def begin(self, ledger: Ledger, path: str) -> None:
        """The step's program has started."""
        ledger.change(path, state=TaskState.RUNNING, started_at=self.clock.now())
        await ledger.write(self.records)

    async def finish(self, ledger: Ledger, path: str) -> None:
        """The step has ended well, with made-up results."""
        row = ledger.rows[path]
        outputs = await self._outputs(ledger, row)
        log = f"starting {row.name}\n" + "".join(f"line {i}: working on part {i} of 40\n" for i in range(40)) + "done\n"
        await self.store.write(archive_uri(ledger.run.namespace, ledger.run.run_id, path, 0), log.encode())
        ledger.succeeded(path, outputs, self.clock.now(), None)
        await self.advance(ledger)

    async def fail(self, ledger: Ledger, path: str, error: str) -> None:
        """The step has failed."""
        log = 'fitting\nTraceback (most recent call last):\n  File "train.py", line 12\nValueError: negative rows\n'
        await self.store.write(archive_uri(ledger.run.namespace, ledger.run.run_id, path, 0), log.encode())
        ledger.change(path, state=TaskState.FAILED, error=error, finished_at=self.clock.now())
        await self.advance(ledger)

    async def take(self, ledger: Ledger, path: str, seconds: float) -> None:
        """Run a step through."""
        await self.begin(ledger, path)
        await self.clock.sleep(seconds)
        await self.finish(ledger, path)

    async def _outputs(self, ledger: Ledger, row: TaskRow) -> Outputs:
        task = ledger.task(row.path)
        algorithm = next((v for v in row.inputs["parameters"].values() if str(v) in ACCURACY), None)
        if algorithm is None:
            branch = row.path.rpartition("/")[0].rpartition("/")[2]
            algorithm = list(ACCURACY)[int(branch)] if branch.isdigit() else "logistic-regression"
        accuracy = ACCURACY[algorithm]
        facts: dict[str, dict[str, Any]] = {
            "data": {"rows": 569, "features": 30},
            "train": {"rows": 426},
            "test": {"rows": 143},
            "model": {"algorithm": algorithm, "framework": "scikit-learn"},
            "metrics": {"accuracy": accuracy, "f1": accuracy - 0.004, "roc_auc": min(0.999, accuracy + 0.011)},
            "curves": curve(accuracy),
            "best": {"algorithm": "logistic-regression", "accuracy": accuracy},
        }
        attempt = attempt_id_of(row.task_id, 0)
        artifacts = {}
        for name, declared in task.component.output_artifacts.items():
            uri = f"minio://mlpipeline/v2/artifacts/{ledger.pipeline.name}/{ledger.run.run_id}/{row.name}/{attempt}/{name}"
            if declared.type.title == "system.Dataset":
                lines = [
                    "mean radius,mean texture,mean area,benign",
                    *(f"17.{i},10.{i},100{i}.0,{i % 2}" for i in range(60)),
                ]
                await self.store.write(uri, "\n".join(lines).encode())
            elif declared.type.title == "system.Model":
                await self.store.write(uri, b"\x80\x04\x95\x00\x00" * 3000)
            artifacts[name] = (
                ArtifactRow(
                    artifact_id=artifact_id_of(attempt, name), namespace=ledger.run.namespace, name=name,
                    type=declared.type.title, uri=uri, metadata=facts.get(name, {}), run_id=ledger.run.run_id,
                    task_id=row.task_id, created_at=self.clock.now(),
                ),
            )  # fmt: skip
        said: dict[str, Any] = {"Output": accuracy if task.name == "evaluate" else 569}
        said |= {"algorithm": "logistic-regression", "accuracy": 0.986}
        parameters = {name: said.get(name, "done") for name in task.component.output_parameters}
        return Outputs(parameters, artifacts)


async def seed_demo(
    records: Records, catalog: Catalog, store: DirectoryStore, clock: Clock, namespace: str
) -> dict[str, str]:
    """Write a finished run, its second from cache, a failed one and a running one; return their ids by name."""
    moved = MovedClock(clock.now() - timedelta(minutes=42))
    seeder = Seeder(records, catalog, store, moved)
    experiment = await catalog.create_experiment(namespace, "Demo")
    pipeline_id, version_id = await seeder.pipeline("breast_cancer.yaml", "breast-cancer", namespace)
    common: dict[str, Any] = {
        "experiment_id": experiment.experiment_id, "pipeline_id": pipeline_id, "pipeline_version_id": version_id,
    }  # fmt: skip
    ids = {
        "finished": "6d2c1f0e-0000-4000-8000-000000000001",
        "cached": "6d2c1f0e-0000-4000-8000-000000000002",
        "failed": "6d2c1f0e-0000-4000-8000-000000000003",
        "running": "6d2c1f0e-0000-4000-8000-000000000004",
    }

    async def begin(key: str, name: str, parameters: dict[str, Any]) -> Ledger:
        return await seeder.start(ids[key], "breast_cancer.yaml", name, namespace, parameters=parameters, **common)

    ledger = await begin("finished", "breast-cancer", {"test_fraction": 0.25, "seed": 7})
    await seeder.take(ledger, "root/load", 1.3)
    await seeder.take(ledger, "root/split", 1.1)
    for step, seconds in (("train-model", 1.9), ("evaluate", 1.4)):
        for number in range(3):
            await seeder.begin(ledger, f"root/for-loop-2/{number}/{step}")
            await moved.sleep(0.05)
        for number in range(3):
            await moved.sleep(seconds / 3)
            await seeder.finish(ledger, f"root/for-loop-2/{number}/{step}")
    await seeder.take(ledger, "root/pick-best", 0.8)

    moved.moment += timedelta(minutes=3)
    first, again = ledger, await begin("cached", "breast-cancer, again", {"test_fraction": 0.25, "seed": 7})
    links = await records.load_artifacts(ids["finished"])
    while again.active:
        for path in list(again.active):
            source = first.rows[path]
            own = [(u, a) for u, a in links if u.task_id == source.task_id and u.direction is Direction.OUTPUT]
            said = f"Taken from the run breast-cancer of {source.finished_at:%H:%M}: nothing has changed."
            again.cached(path, CacheHit(task=source, artifacts=own), said, moved.now())
        await moved.sleep(0.02)
        await seeder.advance(again)

    moved.moment += timedelta(minutes=20)
    ledger = await begin("failed", "breast-cancer, quarter-seed", {"test_fraction": -0.1, "seed": 8})
    await seeder.take(ledger, "root/load", 1.2)
    await seeder.begin(ledger, "root/split")
    await moved.sleep(0.9)
    await seeder.fail(ledger, "root/split", "exit code 1: ValueError: test_size=-0.1 should be between 0 and 1")

    moved.moment = clock.now() - timedelta(seconds=4)
    ledger = await begin("running", "breast-cancer, seed 11", {"test_fraction": 0.3, "seed": 11})
    await seeder.take(ledger, "root/load", 1.0)
    await seeder.take(ledger, "root/split", 0.9)
    await seeder.begin(ledger, "root/for-loop-2/0/train-model")
    await seeder.begin(ledger, "root/for-loop-2/1/train-model")
    await moved.sleep(0.6)
    await seeder.finish(ledger, "root/for-loop-2/0/train-model")
    ledger.change("root/for-loop-2/2/train-model", error="Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.")
    await ledger.write(records)
    return ids


async def move_on(records: Records, catalog: Catalog, store: DirectoryStore, run_id: str) -> None:
    """Let every active step of a run begin, or end if it has begun."""
    run = await records.get_run(run_id)
    assert run is not None
    assert run.pipeline_spec is not None
    pipeline = load(run.pipeline_spec, run.platform_spec)
    ledger = await Ledger.load(records, run, pipeline, check_run_parameters(pipeline, run.parameters))
    clock = MovedClock(SystemClock().now())
    seeder = Seeder(records, catalog, store, clock)
    for path, row in list(ledger.active.items()):
        if row.state is TaskState.PENDING:
            await seeder.begin(ledger, path)
        else:
            await seeder.finish(ledger, path)
            return
