"""The Run: one execution of a pipeline as a Kubernetes object, from which the reconciler drives its pods.

The records database holds what happened; the object is how a run is asked for, watched and stopped through the
Kubernetes API, and the owner of the run's pods. It goes away some time after the run's end; the records stay.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any

from headwater.kube.meta.objects import Object
from headwater.kube.schema.typed import Column, free_form, kind, resource_of, rule
from headwater.pipelines.records.models import RunRow

GROUP = "pipelines.headwater.dev"
FINALIZER = "pipelines.headwater.dev/run"
"""Holds a Run object until its pods are stopped, its logs are kept and its record says how it ended."""


@dataclass(frozen=True)
class RuntimeConfig:
    """What is particular to this run of the pipeline."""

    parameters: Annotated[dict[str, Any], free_form()] = field(default_factory=dict)
    """Values of the pipeline's parameters, by name. Parameters that are left out take their defaults."""
    pipeline_root: str = ""
    """The URI below which artifacts are stored: minio://bucket/path."""


@dataclass(frozen=True)
class RunSpec:
    """What shall run, and how."""

    run_id: str = ""
    """The run's id in the pipelines API. The object's uid when it is left out."""
    display_name: str = ""
    """The name that people see."""
    experiment_id: str = ""
    """The experiment that the run belongs to; the namespace's default when it is left out."""
    pipeline_name: str = ""
    """The name of the pipeline, for people; the pipeline's own name counts."""
    pipeline_spec: Annotated[dict[str, Any], free_form()] = field(default_factory=dict)
    """The compiled pipeline (PipelineSpec). Left out for runs that the pipelines API made: the records hold it."""
    platform_spec: Annotated[dict[str, Any], free_form()] = field(default_factory=dict)
    """The compiled pipeline's second document (PlatformSpec), if it has one."""
    runtime_config: RuntimeConfig = field(default_factory=RuntimeConfig)
    """Parameters and the place for artifacts."""
    service_account: str = ""
    """The service account that the steps run as."""
    terminate: bool = False
    """Set to true to stop the run: its steps are killed and it ends as failed."""
    caching_disabled: bool = False
    """True to run every step, also those whose result is known."""
    ttl_seconds_after_finished: Annotated[int | None, rule(minimum=0)] = None
    """How long this object and its pods are kept after the end; 600 by default."""


@dataclass(frozen=True)
class TaskCounts:
    """How many tasks are in which state; structures such as loops count too."""

    total: int = 0
    """All that have begun."""
    active: int = 0
    """Waiting or running."""
    succeeded: int = 0
    """Finished well."""
    cached: int = 0
    """Taken from the cache."""
    skipped: int = 0
    """Not run, because of a condition or of what came before."""
    failed: int = 0
    """Failed or cancelled."""


@dataclass(frozen=True)
class Condition:
    """One fact about the run."""

    type: str
    """Complete: the run is over. Succeeded: it is over and all went well."""
    status: Annotated[str, rule(enum=("True", "False", "Unknown"))]
    """True, False or Unknown."""
    reason: str = ""
    """One word for programs."""
    message: str = ""
    """A sentence for people."""
    last_transition_time: str = ""
    """When the status last changed."""


@dataclass(frozen=True)
class RunStatus:
    """How the run stands."""

    state: str = ""
    """PENDING, RUNNING, CANCELING, SUCCEEDED or FAILED."""
    error: str = ""
    """Why it failed: the first failed step and its reason."""
    start_time: str = ""
    """When it began."""
    completion_time: str = ""
    """When it ended."""
    tasks: TaskCounts = field(default_factory=TaskCounts)
    """How many tasks are in which state."""
    conditions: tuple[Condition, ...] = ()
    """Complete and Succeeded."""


@kind(
    group=GROUP,
    version="v1alpha1",
    plural="runs",
    categories=("headwater",),
    columns=(
        Column("Pipeline", "string", ".spec.pipelineName"),
        Column("State", "string", ".status.state"),
        Column("Active", "integer", ".status.tasks.active"),
        Column("Succeeded", "integer", ".status.tasks.succeeded"),
        Column("Failed", "integer", ".status.tasks.failed"),
        Column("Error", "string", ".status.error", wide=True),
        Column("Age", "date", ".metadata.creationTimestamp"),
    ),
)
@dataclass(frozen=True)
class Run:
    """One execution of a pipeline."""

    spec: RunSpec
    """What shall run, and how."""
    status: RunStatus = field(default_factory=RunStatus)
    """How the run stands."""


RUNS = resource_of(Run)


def run_object(row: RunRow, *, caching_disabled: bool = False) -> Object:
    """Return the Run object of a recorded run. Its specs stay in the records."""
    spec: Object = {
        "runId": row.run_id,
        "displayName": row.display_name,
        "experimentId": row.experiment_id,
        "pipelineName": row.pipeline_name,
        "runtimeConfig": {"parameters": dict(row.parameters), "pipelineRoot": row.pipeline_root},
        "serviceAccount": row.service_account,
        "terminate": row.terminate,
    }
    if caching_disabled:
        spec["cachingDisabled"] = True
    return {
        "apiVersion": RUNS.api_version,
        "kind": RUNS.kind,
        "metadata": {"name": row.run_id, "namespace": row.namespace, "finalizers": [FINALIZER]},
        "spec": spec,
    }
