"""How a run comes to life: its record first, durably, then the Run object that the reconciler works on.

Both writes can be repeated: the record's id is the object's name. If the process dies between them, or the API server
cannot be reached, the reconciler makes the missing object for the record, so an answered run is never lost.
"""

import logging

from headwater.kube.client import Client, PatchType, Propagation
from headwater.kube.meta.errors import StatusError
from headwater.pipelines.records.models import RunRow
from headwater.pipelines.records.records import Records
from headwater.pipelines.types import RUNS, run_object

log = logging.getLogger(__name__)


async def ensure_run_object(client: Client, run: RunRow) -> None:
    """Create the record's Run object unless it exists. Raises ``StatusError``."""
    try:
        await client.create(RUNS, run_object(run))
    except StatusError as error:
        if error.reason != "AlreadyExists":
            raise


async def submit(client: Client, records: Records, run: RunRow) -> None:
    """Store a new run and start it. Raises ``StatusError`` when the cluster refuses it; then no record stays."""
    await records.create_run(run)
    try:
        await ensure_run_object(client, run)
    except StatusError as error:
        if error.code < 500:
            await records.delete_run(run.run_id)
            raise
        log.warning("the run %s is stored and starts when the cluster answers: %s", run.run_id, error.message)


async def terminate(client: Client, records: Records, run: RunRow) -> bool:
    """Ask for a run's end; False when it is over already. The record says so first, so that it is not forgotten."""
    if not await records.request_termination(run.run_id):
        return False
    try:
        patch = {"spec": {"terminate": True}}
        await client.patch(RUNS, run.run_id, patch, run.namespace, patch_type=PatchType.MERGE)
    except StatusError as error:
        if error.code != 404 and error.code < 500:
            raise
        log.warning("the end of run %s is noted in its record only: %s", run.run_id, error.message)
    return True


async def delete(client: Client, records: Records, run: RunRow) -> None:
    """Delete a run: the object with its pods first, since it would bring the record back, then the record."""
    try:
        await client.delete(RUNS, run.run_id, run.namespace, propagation=Propagation.BACKGROUND)
    except StatusError as error:
        if error.code != 404:
            raise
    await records.delete_run(run.run_id)
