"""The pods of runs: finding them, creating them side by side, and stopping them with their logs kept."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TypeAlias

from headwater.artifacts import ArtifactStore
from headwater.kube.client import Client
from headwater.kube.controller import Informers
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, is_deleting, labels_of, name_of, namespace_of, uid_of
from headwater.kube.meta.owners import is_owned_by
from headwater.kube.meta.resources import PODS
from headwater.pipelines.runs.execute import ATTEMPT_LABEL, PARAMETER_FOLDER, TASK_LABEL, RunContext, Step, build_pod
from headwater.pipelines.runs.logs import LogArchive, is_ended_step

_NEVER = frozenset({400, 422})
"""Answers to a creation that will be the same tomorrow."""

PodsByAttempt: TypeAlias = dict[tuple[str, int], Object]
"""A run's pods by task id and attempt."""


class RunPods:
    """Reads pods from the informer, and writes them through the client."""

    def __init__(self, client: Client, informers: Informers, store: ArtifactStore) -> None:
        self._client = client
        self._pods = informers.informer(PODS)
        self._store = store
        self._logs = LogArchive(client, informers, store)

    def of(self, run: Object) -> PodsByAttempt:
        """Return the run's pods, whatever their state."""
        found = {}
        for pod in self._pods.by_owner(uid_of(run)):
            labels = labels_of(pod)
            if TASK_LABEL in labels:
                found[labels[TASK_LABEL], int(labels.get(ATTEMPT_LABEL) or 0)] = pod
        return found

    async def create(self, context: RunContext, steps: Sequence[Step]) -> list[tuple[Step, StatusError]]:
        """Create the pods of these attempts; return those that the API will never accept, and why.

        A pod that is there already, of the same run, is as good as created. Raises what is worth another try.
        """
        results = await asyncio.gather(*(self._create(context, step) for step in steps), return_exceptions=True)
        refused = []
        for step, result in zip(steps, results, strict=True):
            if isinstance(result, StatusError) and result.code in _NEVER:
                refused.append((step, result))
            elif isinstance(result, BaseException):
                raise result
        return refused

    async def _create(self, context: RunContext, step: Step) -> None:
        try:
            folder = self._store.local_path(step.root(context))
        except ValueError as error:
            message = f"there is no place for what the step writes (the pipeline root and name make it): {error}"
            raise StatusError(422, "Invalid", message) from None
        if folder is not None and step.task.component.output_parameters:
            # The node gives the volume itself to the pod's user, not what is in it already.
            with contextlib.suppress(ValueError):  # the pod's volume will say it
                self._store.make_folder(f"{step.root(context)}/{PARAMETER_FOLDER}", mode=0o777)
        pod = build_pod(step, context)
        try:
            await self._client.create(PODS, pod)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
            there = await self._client.get(PODS, name_of(pod), context.run.namespace)
            if not is_owned_by(there, uid_of(context.owner)):
                message = f"a pod of the name {name_of(pod)} exists and belongs to something else"
                raise StatusError(422, "Invalid", message) from None

    async def stop(self, pods: Sequence[Object]) -> bool:
        """Ask for the end of those that have not ended; True when none is left."""
        alive = [pod for pod in pods if not is_ended_step(None, pod)]
        await asyncio.gather(*(self._stop(pod) for pod in alive if not is_deleting(pod)))
        return not alive

    async def _stop(self, pod: Object) -> None:
        await self._logs.keep(pod)
        try:
            await self._client.delete(PODS, name_of(pod), namespace_of(pod), uid=uid_of(pod))
        except StatusError as error:
            if error.code not in (404, 409):
                raise

    async def keep_logs(self, run: Object) -> None:
        """Copy the logs of the run's ended pods into the store, unless they are there."""
        await asyncio.gather(*(self._logs.keep(pod) for pod in self.of(run).values() if is_ended_step(None, pod)))
