"""A step's log: from its pod while there is one, from the artifact store afterwards.

The run reconciler stores each attempt's log at ``log_uri`` before the pod goes away; readers ask ``step_log`` and need
not know which of the two answers.
"""

from collections.abc import AsyncIterator

from headwater.artifacts import ArtifactStore
from headwater.kube.client import Client
from headwater.kube.meta.errors import StatusError
from headwater.pipelines.models import RunRow, TaskRow

BUCKET = "minio://mlpipeline/logs"


def log_uri(namespace: str, run_id: str, path: str, attempt: int) -> str:
    """Return where the log of an attempt of the task at ``path`` is kept once its pod is gone."""
    return f"{BUCKET}/{namespace}/{run_id}/{path}/{attempt}.log"


async def step_log(
    client: Client,
    store: ArtifactStore,
    run: RunRow,
    task: TaskRow,
    *,
    attempt: int | None = None,
    follow: bool = False,
    tail_lines: int | None = None,
) -> AsyncIterator[bytes]:
    """Yield a task's log of its latest attempt, or of an earlier one; ``follow`` goes on until the container ends.

    Raises ``FileNotFoundError`` when there is none (yet), ``StatusError`` when the API server cannot be asked.
    """
    wanted = task.attempt if attempt is None else attempt
    try:
        async for piece in store.stream(log_uri(run.namespace, run.run_id, task.path, wanted)):
            yield piece
        return
    except FileNotFoundError:
        if wanted != task.attempt or not task.pod_name:
            raise FileNotFoundError(f'The task "{task.path}" has no log of attempt {wanted}.') from None
    try:
        async for piece in client.logs(task.pod_name, run.namespace, follow=follow, tail_lines=tail_lines):
            yield piece
    except StatusError as error:
        if error.code in (400, 404):
            raise FileNotFoundError(f'The task "{task.path}" has no log yet: {error.message}') from None
        raise
