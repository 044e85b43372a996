"""The unchanged ``kfp`` SDK and its command line against the API."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.pipelines.application import Application, Thread

from headwater.pipelines.records.models import (
    ArtifactRow,
    ArtifactUse,
    Direction,
    RunChange,
    RunRow,
    RunState,
    TaskChange,
    TaskRow,
    TaskState,
    TaskType,
)

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
SCRIPT = Path(__file__).with_name("sdk_session.py")
PACKAGE = """
components:
  comp-say:
    executorLabel: exec-say
deploymentSpec:
  executors:
    exec-say:
      container: {image: busybox, command: [echo, hello]}
pipelineInfo: {name: say}
root:
  dag:
    tasks:
      say:
        cachingOptions: {enableCache: true}
        componentRef: {name: comp-say}
        taskInfo: {name: say}
schemaVersion: 2.1.0
sdkVersion: kfp-2.17.0
"""


@pytest.fixture(scope="module")
def interpreter(request: pytest.FixtureRequest) -> Path:
    """An interpreter that has the SDK: the one in ``HEADWATER_TEST_SDK``, else a new environment."""
    named = os.environ.get("HEADWATER_TEST_SDK")
    return Path(named) if named else request.getfixturevalue("sdk")


async def finished_run(application: Application) -> str:
    """Record a run whose first step was cached and whose second failed."""
    records = application.records
    await records.create_run(
        RunRow(
            run_id="finished-run", namespace="team-a", experiment_id="", display_name="finished",
            pipeline_spec={"pipelineInfo": {"name": "p"}, "root": {}}, created_at=AT,
        )
    )  # fmt: skip
    tasks = [
        TaskRow(task_id="t0", run_id="finished-run", path="root", name="root", type=TaskType.ROOT, created_at=AT),
        TaskRow(task_id="t1", run_id="finished-run", path="root/load", parent_path="root", name="load", created_at=AT),
        TaskRow(
            task_id="t2", run_id="finished-run", path="root/train", parent_path="root", name="train", created_at=AT
        ),
    ]
    data = ArtifactRow(
        artifact_id="a1", namespace="team-a", name="data", type="system.Dataset",
        uri="minio://mlpipeline/v2/artifacts/data", run_id="finished-run", task_id="t1", created_at=AT,
    )  # fmt: skip
    made = ArtifactUse(task_id="t1", artifact_id="a1", direction=Direction.OUTPUT, key="data")
    read = ArtifactUse(task_id="t2", artifact_id="a1", direction=Direction.INPUT, key="data")
    await records.save(
        "finished-run",
        new=tasks,
        changes=[
            TaskChange(task_id="t1", state=TaskState.CACHED, artifacts=[data], uses=[made]),
            TaskChange(task_id="t2", state=TaskState.FAILED, error="exit code 1", uses=[read]),
            TaskChange(task_id="t0", state=TaskState.FAILED, error="train failed"),
        ],
        run=RunChange(state=RunState.FAILED, error="train failed"),
    )
    return "finished-run"


def test_client_session(tmp_path: Path, interpreter: Path) -> None:
    package = tmp_path / "say.yaml"
    package.write_text(PACKAGE)
    with Thread(tmp_path) as server:
        run_id = server.call(finished_run(server.application))
        done = subprocess.run(
            [interpreter, SCRIPT, server.url, package, run_id],
            capture_output=True, text=True, timeout=100, env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        cli = subprocess.run(
            [interpreter.with_name("kfp"), "--endpoint", server.url, "--output", "json", "run", "list"],
            capture_output=True, text=True, timeout=60, env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        )  # fmt: skip
    assert cli.returncode == 0, cli.stderr
    assert run_id in cli.stdout
