"""Keeps Run objects and records together: an unfinished run without its object gets it again.

The API writes the record first and the object second; a kill between the two, or a restored database, leaves a record
alone. The same look also passes on a termination that reached only the record.
"""

from datetime import timedelta

from headwater.kube.client import Client
from headwater.kube.controller import Enqueue, Informers, Request, Result
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import name_of, namespace_of, uid_of
from headwater.kube.meta.time import Clock
from headwater.pipelines.records.models import ACTIVE_RUN, RunRow, RunState
from headwater.pipelines.records.records import Records
from headwater.pipelines.runs.submission import ensure_run_object
from headwater.pipelines.types import RUNS

INTERVAL_SECONDS = 60.0
_GRACE = timedelta(seconds=5)
"""Younger records may be just about to get their object from the API."""
_ALL = Request("", "all")


def wake(enqueue: Enqueue) -> None:
    """Ask for the first look; a ``Source`` of the controller."""
    enqueue(_ALL)


class Recovery:
    """The reconciler of the controller ``run-recovery``; it has one request, which means all runs."""

    def __init__(self, client: Client, informers: Informers, records: Records, clock: Clock) -> None:
        self._client = client
        self._runs = informers.informer(RUNS)
        self._records = records
        self._clock = clock

    async def reconcile(self, request: Request) -> Result | None:
        """Compare all unfinished runs with their objects."""
        runs = self._runs.list()
        there = {(namespace_of(run), name_of(run) if run["spec"].get("runId") else uid_of(run)): run for run in runs}
        now = self._clock.now()
        young = False
        for row in await self._records.unfinished_runs():
            run = there.get((row.namespace, row.run_id))
            if run is not None:
                if row.terminate and not run["spec"].get("terminate"):
                    await self._client.patch(RUNS, name_of(run), {"spec": {"terminate": True}}, row.namespace)
            elif now - row.created_at < _GRACE:
                young = True
            else:
                await self._restore(row)
        return Result(_GRACE.total_seconds() if young else INTERVAL_SECONDS)

    async def _restore(self, row: RunRow) -> None:
        try:
            await ensure_run_object(self._client, row)
        except StatusError as error:
            if error.code in (403, 404) and error.reason in ("Forbidden", "NotFound"):
                # The namespace is gone or on its way: nothing can run there any more.
                message = f"The run was lost with its namespace: {error.message}"
                await self._records.set_run_state(row.run_id, ACTIVE_RUN, RunState.FAILED, message)
                return
            raise
