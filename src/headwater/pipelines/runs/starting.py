"""The steps that begin: imported ones end at once, known ones are taken from the cache, the others get a pod."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from headwater.pipelines.records.models import ArtifactRow, CacheHit, TaskRow, TaskState
from headwater.pipelines.records.records import Records
from headwater.pipelines.runs import cache
from headwater.pipelines.runs.execute import artifact_id_of, task_id_of
from headwater.pipelines.runs.ledger import Ledger
from headwater.pipelines.runs.outputs import Outputs
from headwater.pipelines.spec.tree import Importer
from headwater.pipelines.spec.values import substitute


async def begin_steps(
    ledger: Ledger,
    records: Records,
    rows: Sequence[TaskRow],
    names: Mapping[str, str],
    there: Collection[str],
    now: datetime,
    *,
    caching_disabled: bool,
) -> list[TaskRow]:
    """Note what is known of these steps already; return those that need a pod.

    ``there`` are the ids of the tasks that have a pod: they began before a kill that came before their record.
    """
    asked: list[tuple[TaskRow, cache.Fingerprint]] = []
    pending: list[TaskRow] = []
    for row in rows:
        task = ledger.task(row.path)
        if isinstance(task.component.body, Importer):
            _import(ledger, row, task.component.body, names, now)
        elif task.cache and not caching_disabled and row.task_id not in there:
            parameters, artifacts = ledger.inputs_of(row.path)
            asked.append((row, cache.fingerprint(task, parameters, artifacts)))
        elif row.task_id in there:
            ledger.amend(row.path, cache_explanation="Not taken from the cache: the step had begun before a restart.")
            pending.append(row)
        else:
            ledger.amend(row.path, cache_explanation=cache.off_explanation(task, caching_disabled))
            pending.append(row)
    found = await asyncio.gather(*(_look_up(ledger, records, row, mine) for row, mine in asked))
    for (row, mine), (hit, explanation) in zip(asked, found, strict=True):
        ledger.amend(row.path, fingerprint=mine.value, cache_explanation=explanation, data={"parts": dict(mine.parts)})
        if hit is None:
            pending.append(row)
        else:
            ledger.cached(row.path, hit, explanation, now)
    return pending


async def _look_up(
    ledger: Ledger, records: Records, row: TaskRow, mine: cache.Fingerprint
) -> tuple[CacheHit | None, str]:
    scope = ledger.run.namespace, ledger.pipeline.name
    hit = await records.find_cached(*scope, mine.value)
    nearest = await records.nearest_cached(*scope, ledger.task(row.path).name)
    if hit is not None:
        return hit, cache.hit_explanation(mine, hit, nearest)
    return None, cache.miss_explanation(mine, nearest, ledger.pipeline.name)


def _import(ledger: Ledger, row: TaskRow, body: Importer, names: Mapping[str, str], now: datetime) -> None:
    parameters, _ = ledger.inputs_of(row.path)
    uri = str(substitute(body.uri, parameters, names) if body.uri else parameters.get(body.uri_input) or "")
    if not uri:
        ledger.change(row.path, state=TaskState.FAILED, error="the importer got no URI", finished_at=now)
        return
    metadata: Mapping[str, Any] = substitute(dict(body.metadata), parameters, names)
    key = next(iter(ledger.task(row.path).component.output_artifacts), "artifact")
    # What is imported twice is one artifact, unless the author wants a new one each time.
    same = f"{ledger.run.namespace} {uri} {body.type.title} {sorted(metadata.items(), key=str)}"
    made = ArtifactRow(
        artifact_id=artifact_id_of(row.task_id if body.reimport else task_id_of("imported", same), key),
        namespace=ledger.run.namespace,
        name=key,
        type=body.type.title,
        uri=uri,
        metadata=metadata,
        run_id=ledger.run.run_id if body.reimport else "",
        task_id=row.task_id if body.reimport else "",
        created_at=now,
    )
    ledger.succeeded(row.path, Outputs({}, {key: (made,)}), now, None)
