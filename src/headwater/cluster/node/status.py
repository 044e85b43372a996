"""A pod's status, computed from its spec, what its containers do, and what keeps them from it.

The fields, conditions, reasons and their wording are those of the kubelet (``core/v1`` PodStatus), so that
``kubectl get``, ``describe`` and ``wait`` read as people know them.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from headwater.cluster.node.lifecycle import Decision, is_sidecar, time_of
from headwater.cluster.node.runtime import ContainerRecord
from headwater.kube.meta.conditions import set_condition
from headwater.kube.meta.objects import Object, uid_of
from headwater.kube.meta.time import format_time


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a container does not run yet: what stands in its ``state.waiting``."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An end that does not come from the containers' own exit codes."""

    reason: str
    message: str
    disruption: str = ""
    """The reason of the ``DisruptionTarget`` condition: the pod is not to blame, another try is fair."""


NODE_SHUTDOWN = Verdict(
    "Terminated", "Pod was terminated in response to imminent node shutdown.", "TerminationByKubelet"
)
SHIM_LOST = Verdict(
    "ShimLost",
    "The process that supervised this pod is gone (the machine was restarted, or it was killed); the pod's "
    "containers ended with it and how far they came is not known.",
    "TerminationByKubelet",
)
DEADLINE = Verdict("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")


def pod_status(
    pod: Object,
    decision: Decision,
    records: Mapping[str, ContainerRecord],
    *,
    problems: Mapping[str, Problem],
    verdict: Verdict | None,
    address: str,
    now: datetime,
) -> Object:
    """Return the whole status; conditions of others (``PodScheduled``) are kept."""
    spec, old = pod["spec"], pod.get("status") or {}
    over = verdict is not None or decision.phase in ("Succeeded", "Failed")
    waits = {b.container: b for b in decision.backoffs}
    regular = [_container(pod, c, records, problems, waits, over=over) for c in spec["containers"]]
    status: Object = {
        "phase": "Failed" if verdict else decision.phase,
        "startTime": old.get("startTime") or format_time(now),
        "hostIP": address,
        "hostIPs": [{"ip": address}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "qosClass": old.get("qosClass") or qos_class(spec),
        "containerStatuses": regular,
    }
    if spec.get("initContainers"):
        status["initContainerStatuses"] = [
            _container(pod, c, records, problems, waits, over=over) for c in spec["initContainers"]
        ]
    if verdict:
        status["reason"], status["message"] = verdict.reason, verdict.message
    status["conditions"] = _conditions(old, decision, regular, verdict, over, now)
    return status


def _conditions(
    old: Object, decision: Decision, regular: list[Object], verdict: Verdict | None, over: bool, now: datetime
) -> list[Object]:
    conditions: list[Object] = copy.deepcopy(old.get("conditions") or [])
    unready = [c["name"] for c in regular if not c["ready"]]
    running = any("running" in c["state"] for c in regular)
    ready: Literal["True", "False"] = "True"
    reason = message = ""
    if decision.phase == "Succeeded" and verdict is None:
        ready, reason = "False", "PodCompleted"
    elif over:
        ready, reason = "False", "PodFailed"
    elif unready:
        ready, reason = "False", "ContainersNotReady"
        message = f"containers with unready status: [{' '.join(unready)}]"
    initialized = decision.initialized or running
    set_condition(
        conditions,
        "Initialized",
        "True" if initialized else "False",
        "PodCompleted" if reason == "PodCompleted" else "" if initialized else "ContainersNotInitialized",
        "" if initialized else "containers with incomplete status",
        now,
    )
    set_condition(conditions, "ContainersReady", ready, reason, message, now)
    set_condition(conditions, "Ready", ready, reason, message, now)
    if verdict and verdict.disruption:
        set_condition(conditions, "DisruptionTarget", "True", verdict.disruption, verdict.message, now)
    return conditions


def _container(
    pod: Object,
    container: Mapping[str, Any],
    records: Mapping[str, ContainerRecord],
    problems: Mapping[str, Problem],
    waits: Mapping[str, Any],
    *,
    over: bool,
) -> Object:
    name = container["name"]
    record = records.get(name)
    result: Object = {
        "name": name,
        "image": container.get("image", ""),
        "imageID": "",
        "ready": False,
        "started": False,
        "restartCount": record.attempt if record else 0,
        "state": {},
        "lastState": {},
    }
    if record is not None:
        result["containerID"] = container_id(uid_of(pod), name, record.attempt)
        if record.previous is not None:
            result["lastState"] = _ended(pod, name, record.previous)
    if record is not None and record.phase == "running" and over:
        result["state"] = {"terminated": _unknown_end(pod, name, record)}
    elif record is not None and record.phase == "running":
        result["state"] = {"running": {"startedAt": format_time(time_of(record.started_at or 0))}}
        result["started"] = result["ready"] = True
    elif record is not None and record.phase == "exited" and name in waits:
        backoff = waits[name]
        message = (
            f"back-off {int(backoff.seconds)}s restarting failed container={name} "
            f"pod={pod['metadata']['name']}_{pod['metadata'].get('namespace', '')}({uid_of(pod)})"
        )
        result["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        result["lastState"] = _ended(pod, name, record)
    elif record is not None and record.phase == "exited":
        result["state"] = _ended(pod, name, record)
        result["ready"] = not is_sidecar(container) and record.exit_code == 0 and _is_init(pod, name)
    elif name in problems and not over:
        problem = problems[name]
        waiting = {"reason": problem.reason}
        if problem.message:
            waiting["message"] = problem.message
        result["state"] = {"waiting": waiting}
    elif record is not None and over:
        result["state"] = {"terminated": _unknown_end(pod, name, record)}
    else:
        first = "PodInitializing" if pod["spec"].get("initContainers") and not _is_init(pod, name) else None
        result["state"] = {"waiting": {"reason": first or "ContainerCreating"}}
    return result


def _is_init(pod: Object, name: str) -> bool:
    return any(c["name"] == name for c in pod["spec"].get("initContainers", ()))


def _ended(pod: Object, name: str, record: ContainerRecord) -> Object:
    ended: Object = {"exitCode": record.exit_code, "reason": record.reason or "Error"}
    if record.message:
        ended["message"] = record.message
    if record.started_at is not None:
        ended["startedAt"] = format_time(time_of(record.started_at))
    if record.finished_at is not None:
        ended["finishedAt"] = format_time(time_of(record.finished_at))
        ended.setdefault("startedAt", ended["finishedAt"])
    ended["containerID"] = container_id(uid_of(pod), name, record.attempt)
    return {"terminated": ended}


def _unknown_end(pod: Object, name: str, record: ContainerRecord) -> Object:
    end: Object = {
        "exitCode": 137,
        "reason": "ContainerStatusUnknown",
        "message": "The container could not be located when the pod was terminated",
        "containerID": container_id(uid_of(pod), name, record.attempt),
    }
    if record.started_at is not None:
        end["startedAt"] = format_time(time_of(record.started_at))
    return end


def container_id(uid: str, name: str, attempt: int) -> str:
    """Return what names one start of a container."""
    return f"headwater://{uid}/{name}/{attempt}"


def qos_class(spec: Mapping[str, Any]) -> str:
    """Return ``Guaranteed``, ``Burstable`` or ``BestEffort`` as Kubernetes derives it from requests and limits."""
    containers = [*spec.get("containers", ()), *spec.get("initContainers", ())]
    any_set, guaranteed = False, True
    for container in containers:
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        for name in ("cpu", "memory"):
            any_set |= name in requests or name in limits
            guaranteed &= name in limits and requests.get(name, limits[name]) == limits[name]
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"
