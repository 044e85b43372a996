"""Logs of steps: from the pod while it is there, from the artifact store after that.

A pod's log is copied into the store when the pod has ended, and before the run's object and pods are removed, at
``minio://mlpipeline/logs/{namespace}/{run}/{task}/{attempt}.log``.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

from headwater.artifacts import ArtifactStore
from headwater.kube.client import Client
from headwater.kube.controller import Informers, Request, Result
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, annotations_of, labels_of, name_of, namespace_of
from headwater.kube.meta.resources import PODS
from headwater.pipelines.records.models import TaskRow
from headwater.pipelines.records.owners import LOGS
from headwater.pipelines.runs.execute import ATTEMPT_LABEL, CONTAINER, PATH_ANNOTATION, RUN_LABEL
from headwater.pipelines.spec.tree import ROOT

log = logging.getLogger(__name__)

_ROOT = f"minio://{'/'.join(LOGS)}"
_MOST_BYTES = 64 << 20
_PATIENCE_SECONDS = 30.0


def archive_uri(namespace: str, run_id: str, path: str, attempt: int) -> str:
    """Return where an attempt's log is kept; ``path`` is the task's, with or without the root."""
    return f"{_ROOT}/{namespace}/{run_id}/{path.removeprefix(ROOT + '/')}/{attempt}.log"


async def stream_log(
    client: Client,
    store: ArtifactStore,
    namespace: str,
    task: TaskRow,
    *,
    attempt: int | None = None,
    follow: bool = False,
) -> AsyncIterator[bytes]:
    """Yield the log of a task's attempt, of the latest unless one is named; from its pod or from the store.

    Raises ``FileNotFoundError`` when neither has it: the step has not started, or its pod was removed by force.
    """
    began = False
    wanted = task.attempt if attempt is None else attempt
    if task.pod_name and wanted == task.attempt:
        try:
            async for chunk in client.logs(task.pod_name, namespace, container=CONTAINER, follow=follow):
                began = True
                yield chunk
            return
        except StatusError as error:
            if began:
                raise
            reason = error.message
    else:
        reason = "the step has no pod"
    try:
        async for chunk in store.stream(archive_uri(namespace, task.run_id, task.path, wanted)):
            yield chunk
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no log: {reason}") from None


async def tail(client: Client, pod: Object, lines: int = 20) -> str:
    """Return the last lines of a pod's log; empty when they cannot be had."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            chunks = client.logs(name_of(pod), namespace_of(pod), container=CONTAINER, tail_lines=lines)
            return b"".join([chunk async for chunk in chunks]).decode("utf-8", errors="replace")
    except (StatusError, TimeoutError, OSError):
        return ""


class LogArchive:
    """Copies the logs of ended steps into the store; the reconciler of the controller ``run-logs``."""

    def __init__(self, client: Client, informers: Informers, store: ArtifactStore) -> None:
        self._client = client
        self._pods = informers.informer(PODS)
        self._store = store

    async def reconcile(self, request: Request) -> Result | None:
        """Keep the log of a pod that has ended."""
        pod = self._pods.get(request.namespace, request.name)
        if pod is not None and is_ended_step(None, pod):
            await self.keep(pod)
        return None

    async def keep(self, pod: Object, *, even_if_kept: bool = False) -> bool:
        """Copy a pod's log into the store unless it is there; False when it could not be read."""
        labels = labels_of(pod)
        path = annotations_of(pod).get(PATH_ANNOTATION, "")
        uri = archive_uri(namespace_of(pod), labels[RUN_LABEL], path, int(labels.get(ATTEMPT_LABEL) or 0))
        if not even_if_kept and await self._store.entries(uri):
            return True
        data = bytearray()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                async for chunk in self._client.logs(name_of(pod), namespace_of(pod), container=CONTAINER):
                    data += chunk
                    if len(data) > _MOST_BYTES:
                        data += b"\n... the rest of this log was not kept: it is larger than 64 MiB\n"
                        break
        except (StatusError, TimeoutError) as error:
            log.info("the log of pod %s/%s could not be kept: %s", namespace_of(pod), name_of(pod), error)
            return False
        await self._store.write(uri, bytes(data))
        return True


def is_ended_step(_old: Object | None, pod: Object | None) -> bool:
    """Tell whether the pod belongs to a run and has ended."""
    if pod is None or RUN_LABEL not in labels_of(pod):
        return False
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
