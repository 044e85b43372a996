"""Logs of steps whose pods are gone, and of those that never had one."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.pipelines.cluster import NAMESPACE, Cluster, cluster

from headwater.pipelines.records.models import TaskRow
from headwater.pipelines.runs.logs import archive_uri, stream_log


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as made:
        yield made


def task(attempt: int, pod: str) -> TaskRow:
    created = datetime(2026, 5, 1, tzinfo=UTC)
    return TaskRow(
        task_id="t1", run_id="r1", path="root/a", name="a", attempt=attempt, pod_name=pod, created_at=created
    )


def test_a_log_has_one_place() -> None:
    uri = archive_uri("team", "r1", "root/for-loop-2/1/train", 0)
    assert uri == "minio://mlpipeline/logs/team/r1/for-loop-2/1/train/0.log"
    assert archive_uri("team", "r1", "for-loop-2/1/train", 0) == uri


async def test_a_kept_log_is_read_when_the_pod_is_gone(platform: Cluster) -> None:
    store = platform.context.artifacts
    await store.write(archive_uri(NAMESPACE, "r1", "root/a", 2), b"line\n")
    for pod in ("gone", ""):
        pieces = stream_log(platform.client, store, NAMESPACE, task(2, pod))
        assert b"".join([piece async for piece in pieces]) == b"line\n"


async def test_a_log_that_nobody_has_is_said_to_be_missing(platform: Cluster) -> None:
    pieces = stream_log(platform.client, platform.context.artifacts, NAMESPACE, task(0, "gone"))
    with pytest.raises(FileNotFoundError, match=r'there is no log: pods "gone" not found'):
        _ = [piece async for piece in pieces]
