"""What the Job controller reads from a pod, and the pod that it creates."""

import copy
from collections.abc import Mapping
from datetime import UTC, datetime

from headwater.kube.meta.objects import Object, is_deleting, name_of, namespace_of, uid_of
from headwater.kube.meta.owners import owner_reference
from headwater.kube.meta.time import parse_time

TRACKING_FINALIZER = "batch.kubernetes.io/job-tracking"
"""Keeps a pod until its end has been counted."""

_INDEX = "batch.kubernetes.io/job-completion-index"
_LONG_AGO = datetime.fromtimestamp(0, UTC)


def phase_of(pod: Object) -> str:
    """Return ``status.phase``, Pending if there is none."""
    phase: str = (pod.get("status") or {}).get("phase") or "Pending"
    return phase


def is_tracked(pod: Object) -> bool:
    """Tell whether the pod's end has still to be counted, or the finalizer to be removed."""
    return TRACKING_FINALIZER in (pod["metadata"].get("finalizers") or ())


def is_terminal(pod: Object) -> bool:
    """Tell whether the pod's containers have ended for good."""
    return phase_of(pod) in ("Succeeded", "Failed")


def is_active(pod: Object) -> bool:
    """Tell whether the pod counts as one of the job's parallel ones."""
    return not is_terminal(pod) and not is_deleting(pod)


def is_terminating(pod: Object) -> bool:
    """Tell whether the pod is being stopped and has not ended yet."""
    return is_deleting(pod) and not is_terminal(pod)


def is_ready(pod: Object) -> bool:
    """Tell whether the pod's condition Ready is true."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def restarts(pod: Object) -> int:
    """Return how often containers of the pod have been started again."""
    status = pod.get("status") or {}
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return sum(int(container.get("restartCount") or 0) for container in statuses)


def ended_at(pod: Object) -> datetime:
    """Return when the pod ended: its last container's end, else its deletion, else its creation."""
    ends = [
        parse_time(terminated["finishedAt"])
        for container in (pod.get("status") or {}).get("containerStatuses") or ()
        if (terminated := (container.get("state") or {}).get("terminated")) and terminated.get("finishedAt")
    ]
    if ends:
        return max(ends)
    metadata = pod["metadata"]
    text = metadata.get("deletionTimestamp") or metadata.get("creationTimestamp")
    return parse_time(text) if text else _LONG_AGO


def removal_rank(pod: Object) -> tuple[bool, bool, bool, float]:
    """Sort key: which of too many pods goes first (not placed, not running, not ready, youngest)."""
    created = pod["metadata"].get("creationTimestamp")
    age = -parse_time(created).timestamp() if created else 0.0
    return (bool((pod.get("spec") or {}).get("nodeName")), phase_of(pod) == "Running", is_ready(pod), age)


def pod_of(job: Object, name: str, index_annotations: Mapping[str, str] | None = None) -> Object:
    """Return the pod that the job's template describes, tracked and owned by the job.

    ``index_annotations`` are those of a pod of an Indexed job: its completion index among them.
    """
    template = copy.deepcopy(job["spec"]["template"])
    metadata = template.get("metadata") or {}
    uid, job_name = uid_of(job), name_of(job)
    labels = {
        **(metadata.get("labels") or {}),
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": job_name,
        "controller-uid": uid,
        "job-name": job_name,
    }
    pod_metadata: Object = {
        "name": name,
        "namespace": namespace_of(job),
        "labels": labels,
        "finalizers": [*(metadata.get("finalizers") or ()), TRACKING_FINALIZER],
        "ownerReferences": [owner_reference(job)],
    }
    annotations = {**(metadata.get("annotations") or {}), **(index_annotations or {})}
    if annotations:
        pod_metadata["annotations"] = annotations
    if index_annotations:
        index = index_annotations[_INDEX]
        labels[_INDEX] = index
        template["spec"]["hostname"] = f"{job_name[: 63 - 1 - len(index)]}-{index}"
        source = {"fieldRef": {"fieldPath": f"metadata.annotations['{_INDEX}']"}}
        for kind in ("initContainers", "containers"):
            for container in template["spec"].get(kind) or ():
                given = container.get("env") or []
                if not any(variable.get("name") == "JOB_COMPLETION_INDEX" for variable in given):
                    container["env"] = [*given, {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": pod_metadata, "spec": template["spec"]}
