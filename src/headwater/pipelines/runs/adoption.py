"""A Run that somebody applied with ``kubectl``: it gets its record, and from then on is a run like any other."""

from datetime import datetime

from headwater.kube.client import Client
from headwater.kube.meta.objects import Object, name_of, namespace_of, uid_of, version_of
from headwater.kube.meta.time import parse_time
from headwater.pipelines.records.catalog import Catalog
from headwater.pipelines.records.models import RunRow, RunState
from headwater.pipelines.records.records import Records
from headwater.pipelines.spec.loading import check_run_parameters, load
from headwater.pipelines.spec.tree import SpecError
from headwater.pipelines.types import FINALIZER, RUNS


def is_record_of(run: Object, row: RunRow) -> bool:
    """Tell whether the record belongs to the object: who may write Runs in one namespace must not reach another's."""
    given = run["spec"].get("runId")
    return row.namespace == namespace_of(run) and (not given or given == name_of(run))


async def adopt(client: Client, records: Records, catalog: Catalog, run: Object, now: datetime) -> RunRow | None:
    """Record a Run object that names no run; one that cannot run is recorded as failed. Returns its record."""
    spec = run["spec"]
    finalizers = run["metadata"].get("finalizers") or []
    if FINALIZER not in finalizers:
        metadata = {"finalizers": [*finalizers, FINALIZER], "resourceVersion": version_of(run)}
        await client.patch(RUNS, name_of(run), {"metadata": metadata}, namespace_of(run))
    run_id = uid_of(run)
    config = spec.get("runtimeConfig") or {}
    pipeline_name, error = spec.get("pipelineName") or "", ""
    try:
        if not spec.get("pipelineSpec"):
            raise SpecError(["spec.pipelineSpec is missing"])
        pipeline = load(spec["pipelineSpec"], spec.get("platformSpec") or None)
        pipeline_name = pipeline.name
        check_run_parameters(pipeline, config.get("parameters") or {})
    except SpecError as problem:
        error = f"The run cannot start: {problem}"
    experiment_id = spec.get("experimentId") or ""
    if experiment_id:
        experiment = await catalog.get_experiment(experiment_id)
        if experiment is None or experiment.namespace != namespace_of(run):
            error = error or f"The run cannot start: there is no experiment {experiment_id} in this namespace"
            experiment_id = ""
    created = run["metadata"].get("creationTimestamp")
    await records.create_run(
        RunRow(
            run_id=run_id,
            namespace=namespace_of(run),
            experiment_id=experiment_id,
            display_name=spec.get("displayName") or name_of(run),
            state=RunState.FAILED if error else RunState.PENDING,
            error=error,
            pipeline_name=pipeline_name,
            pipeline_spec=spec.get("pipelineSpec") or {},
            platform_spec=spec.get("platformSpec") or None,
            parameters=config.get("parameters") or {},
            pipeline_root=config.get("pipelineRoot") or "",
            service_account=spec.get("serviceAccount") or "",
            created_at=parse_time(created) if created else now,
            finished_at=now if error else None,
        )
    )
    return await records.get_run(run_id)
