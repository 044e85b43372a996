"""From a task that is to run to its pod: the ExecutorInput, the command line, and the pod object around them.

What the program in the pod reads is decided by ``kfp.dsl.executor`` and the placeholders of ``kfp.dsl``; files are
named as by the Kubeflow Pipelines launcher: ``{root}/{pipeline}/{run}/{task}/{attempt's id}/{output}``. The pod has
one container, the user's; inputs and outputs are volumes of the artifact store.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headwater.artifacts import VOLUME_DRIVER
from headwater.kube.meta.objects import Object
from headwater.kube.meta.owners import owner_reference
from headwater.kube.meta.time import format_time
from headwater.pipelines.records.models import ArtifactRow, RunRow
from headwater.pipelines.runs.locations import DEFAULT_ROOT, Locations
from headwater.pipelines.spec.placeholders import Template
from headwater.pipelines.spec.tree import Container, Pipeline, Resources, Task

RUN_LABEL = "pipelines.headwater.dev/run-id"
TASK_LABEL = "pipelines.headwater.dev/task-id"
ATTEMPT_LABEL = "pipelines.headwater.dev/attempt"
UPSTREAM_RUN_LABEL = "pipeline/runid"
"""As Kubeflow Pipelines labels its pods, for tools that look for them."""
PATH_ANNOTATION = "pipelines.headwater.dev/task-path"
CONTAINER = "main"
OUTPUT_FILE = "executor_output.json"
PARAMETER_FOLDER = ".outputs"

_NAMES = uuid.UUID("0d6f9a1e-6a5b-5a3c-9a55-6f2f5a0e8d11")
_UNSAFE = re.compile(r"[^a-z0-9]+")


def task_id_of(run_id: str, path: str) -> str:
    """Return the id of a task, always the same for a place in a run."""
    return str(uuid.uuid5(_NAMES, f"{run_id}/{path}"))


def attempt_id_of(task_id: str, attempt: int) -> str:
    """Return the id of one attempt of a task; part of the place where it writes."""
    return str(uuid.uuid5(_NAMES, f"{task_id}/{attempt}"))


def artifact_id_of(attempt_id: str, key: str, position: int = 0) -> str:
    """Return the id of an artifact that an attempt makes."""
    return str(uuid.uuid5(_NAMES, f"{attempt_id}/{key}/{position}"))


def pod_name_of(pipeline_name: str, task_name: str, task_id: str, attempt: int) -> str:
    """Return the name of an attempt's pod: readable at its beginning, unique by the task's id."""
    words = _UNSAFE.sub("-", f"{pipeline_name[:20]}-{task_name[:22]}".lower()).strip("-") or "step"
    return f"{words}-{task_id.replace('-', '')[:12]}-{attempt}"


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all steps of a run share."""

    run: RunRow
    pipeline: Pipeline
    owner: Object
    """The Run object."""
    locations: Locations

    @property
    def root(self) -> str:
        """The URI below which the run's artifacts lie."""
        base = (self.run.pipeline_root or self.pipeline.default_root or DEFAULT_ROOT).rstrip("/")
        return f"{base}/{self.pipeline.name}/{self.run.run_id}"

    @property
    def names(self) -> dict[str, str]:
        """The placeholders that mean the run, by the text between the braces."""
        scheduled = self.run.scheduled_at or self.run.created_at
        return {
            "$.pipeline_job_name": self.run.display_name,
            "$.pipeline_job_resource_name": self.owner["metadata"]["name"],
            "$.pipeline_job_uuid": self.run.run_id,
            "$.pipeline_root": self.locations.seen_uri(self.root),
            "$.pipeline_job_create_time_utc": format_time(self.run.created_at),
            "$.pipeline_job_schedule_time_utc": format_time(scheduled),
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One attempt of a task that has a program."""

    task: Task
    task_id: str
    path: str
    attempt: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Sequence[ArtifactRow]] = field(default_factory=dict)

    def root(self, context: RunContext) -> str:
        """Return the URI below which this attempt writes."""
        return f"{context.root}/{self.task.name}/{attempt_id_of(self.task_id, self.attempt)}"

    def pod_name(self, context: RunContext) -> str:
        """Return the name of this attempt's pod."""
        return pod_name_of(context.pipeline.name, self.task.name, self.task_id, self.attempt)


def executor_input(step: Step, context: RunContext) -> dict[str, Any]:
    """Return the ``ExecutorInput`` message as JSON, with places as the process in the pod is told them."""
    component = step.task.component
    seen = context.locations.seen_uri
    root = step.root(context)
    # Files are addressed by path even where artifacts are addressed by URI.
    folder = context.locations.seen_path(root)
    inputs: dict[str, Any] = {"parameterValues": dict(step.parameters)}
    if step.artifacts:
        inputs["artifacts"] = {
            name: {
                "artifacts": [
                    _runtime_artifact(one.name, one.type, "0.0.1", seen(one.uri), one.metadata, one.artifact_id)
                    for one in rows
                ]
            }
            for name, rows in step.artifacts.items()
        }
    outputs: dict[str, Any] = {"outputFile": f"{folder}/{OUTPUT_FILE}"}
    if component.output_parameters:
        outputs["parameters"] = {
            name: {"outputFile": f"{folder}/{PARAMETER_FOLDER}/{name}"} for name in component.output_parameters
        }
    if component.output_artifacts:
        outputs["artifacts"] = {
            name: {
                "artifacts": [
                    _runtime_artifact(
                        name, declared.type.title, declared.type.version, seen(f"{root}/{name}"), declared.metadata
                    )
                ]
            }
            for name, declared in component.output_artifacts.items()
        }
    return {"inputs": inputs, "outputs": outputs}


def _runtime_artifact(
    name: str, title: str, version: str, uri: str, metadata: Mapping[str, Any], artifact_id: str = ""
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": name,
        "type": {"schemaTitle": title, "schemaVersion": version},
        "uri": uri,
        "metadata": dict(metadata),
    }
    if artifact_id:
        made["artifactId"] = artifact_id
    return made


def build_pod(step: Step, context: RunContext) -> Object:
    """Return the pod that runs this attempt, owned by the Run object."""
    body = step.task.component.body
    assert isinstance(body, Container)
    template = Template(
        executor_input(step, context),
        {**context.names, "$.pipeline_task_name": step.task.name, "$.pipeline_task_uuid": step.task_id},
        context.locations.seen_path,
    )
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": template.text(body.image),
        "command": template.arguments(body.command),
        "args": template.arguments(body.args),
        "env": [
            {"name": "KFP_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "KFP_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
            {"name": "KFP_RUN_ID", "value": context.run.run_id},
            *({"name": name, "value": template.text(value)} for name, value in body.env),
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    resources = _resources(body.resources, template)
    if resources:
        container["resources"] = resources
    spec: dict[str, Any] = {"restartPolicy": "Never", "containers": [container]}
    if context.run.service_account:
        spec["serviceAccountName"] = context.run.service_account
    if context.locations.mounts_volumes:
        spec["volumes"], container["volumeMounts"] = _volumes(step, context)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": step.pod_name(context),
            "namespace": context.run.namespace,
            "labels": {
                RUN_LABEL: context.run.run_id,
                TASK_LABEL: step.task_id,
                ATTEMPT_LABEL: str(step.attempt),
                UPSTREAM_RUN_LABEL: context.run.run_id,
            },
            "annotations": {PATH_ANNOTATION: step.path},
            "ownerReferences": [owner_reference(context.owner)],
        },
        "spec": spec,
    }


def _volumes(step: Step, context: RunContext) -> tuple[list[Object], list[Object]]:
    """The attempt's own folder to write to, and every input artifact that lies in the store, to read."""
    root = step.root(context)
    wanted: dict[str, tuple[str, bool]] = {}
    path = context.locations.mount_path(root)
    if path is not None:
        wanted[path] = (root, False)
    for rows in step.artifacts.values():
        for row in rows:
            path = context.locations.mount_path(row.uri)
            host = context.locations.host_path(row.uri)
            if path is not None and (host is None or host.exists()):
                wanted.setdefault(path, (row.uri, True))
    volumes, mounts = [], []
    for number, (path, (uri, read_only)) in enumerate(wanted.items()):
        name = f"artifact-{number}"
        csi: Object = {"driver": VOLUME_DRIVER, "volumeAttributes": {"uri": uri}}
        mount: Object = {"name": name, "mountPath": path}
        if read_only:
            csi["readOnly"] = mount["readOnly"] = True
        volumes.append({"name": name, "csi": csi})
        mounts.append(mount)
    return volumes, mounts


def _resources(resources: Resources, template: Template) -> Object:
    made: Object = {}
    for where, cpu, memory in (
        ("requests", resources.cpu_request, resources.memory_request),
        ("limits", resources.cpu_limit, resources.memory_limit),
    ):
        amounts = {"cpu": template.text(cpu), "memory": template.text(memory)}
        if any(amounts.values()):
            made[where] = {name: amount for name, amount in amounts.items() if amount}
    count = template.text(resources.accelerator_count)
    if count and count != "0":
        made.setdefault("limits", {})[template.text(resources.accelerator_type)] = count
    return made
