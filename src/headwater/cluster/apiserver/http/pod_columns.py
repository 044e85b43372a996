"""What a table says of a pod. The rules are those of upstream's ``printPod``, which users know by heart."""

from datetime import datetime
from typing import Any

from headwater.cluster.apiserver.http.columns import AGE, NAME, NONE, Column, age, plain
from headwater.kube.meta.objects import Object, is_deleting


def _statuses(pod: Object, field: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (pod.get("status") or {}).get(field) or []
    return found


def _condition(pod: Object, kind: str) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(condition.get("type") == kind and condition.get("status") == "True" for condition in conditions)


def _always_restarting(pod: Object) -> set[str]:
    """Return the names of the init containers that are side-cars."""
    containers = (pod.get("spec") or {}).get("initContainers") or ()
    return {str(one.get("name")) for one in containers if one.get("restartPolicy") == "Always"}


def ready(pod: Object) -> str:
    """How many of the containers (and started side-cars) are ready: ``1/2``."""
    sidecars = _always_restarting(pod)
    total = len((pod.get("spec") or {}).get("containers") or ()) + len(sidecars)
    count = sum(bool(status.get("ready")) for status in _statuses(pod, "containerStatuses"))
    count += sum(
        bool(status.get("ready"))
        for status in _statuses(pod, "initContainerStatuses")
        if status.get("name") in sidecars
    )
    return f"{count}/{total}"


def _ended(terminated: dict[str, Any]) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _initializing(pod: Object) -> str | None:
    """Say how far the init containers are, or ``None`` when they are done."""
    sidecars = _always_restarting(pod)
    containers = (pod.get("spec") or {}).get("initContainers") or ()
    for index, status in enumerate(_statuses(pod, "initContainerStatuses")):
        state = status.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if terminated and terminated.get("exitCode", 0) == 0:
            continue
        if status.get("name") in sidecars and status.get("started"):
            continue
        if terminated:
            return f"Init:{_ended(terminated)}"
        if waiting and waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{len(containers)}"
    return None


def status_of(pod: Object) -> str:
    """Sum up a pod in one word: its phase, or what holds it up, or how it ended."""
    status = pod.get("status") or {}
    reason = str(status.get("reason") or status.get("phase") or "Pending")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    initializing = _initializing(pod)
    if initializing is not None:
        reason = initializing
    if initializing is None or _condition(pod, "Initialized"):
        running = False
        for one in reversed(_statuses(pod, "containerStatuses")):
            state = one.get("state") or {}
            waiting, terminated = state.get("waiting"), state.get("terminated")
            if waiting and waiting.get("reason"):
                reason = str(waiting["reason"])
            elif terminated:
                reason = _ended(terminated)
            elif one.get("ready") and "running" in state:
                running = True
        if reason == "Completed" and running:
            reason = "Running" if _condition(pod, "Ready") else "NotReady"
    if is_deleting(pod):
        if status.get("reason") == "NodeLost":
            return "Unknown"
        if status.get("phase") not in ("Failed", "Succeeded"):
            return "Terminating"
    return reason


def restarts(pod: Object, now: datetime) -> str:
    """How often containers were restarted, and how long ago the last one was."""
    sidecars = _always_restarting(pod)
    statuses = _statuses(pod, "containerStatuses")
    init = _statuses(pod, "initContainerStatuses")
    counted = init if _initializing(pod) is not None else [*statuses, *(s for s in init if s.get("name") in sidecars)]
    count = sum(int(one.get("restartCount") or 0) for one in counted)
    ends = [((one.get("lastState") or {}).get("terminated") or {}).get("finishedAt") for one in counted]
    last = max((end for end in ends if end), default=None)
    return f"{count} ({age(last, now)} ago)" if count and last else str(count)


def _gates(pod: Object) -> str:
    gates = (pod.get("spec") or {}).get("readinessGates") or ()
    if not gates:
        return NONE
    return f"{sum(_condition(pod, str(gate.get('conditionType'))) for gate in gates)}/{len(gates)}"


def _ip(pod: Object) -> str:
    status = pod.get("status") or {}
    return str(status.get("podIP") or NONE)


POD_COLUMNS = (
    NAME,
    Column("Ready", plain(ready), "The containers that are ready, of all."),
    Column("Status", plain(status_of), "The phase, what holds the pod up, or how it ended."),
    Column("Restarts", restarts, "How often containers were restarted."),
    AGE,
    Column("IP", plain(_ip), "The pod's address.", priority=1),
    Column(
        "Node",
        plain(lambda pod: (pod.get("spec") or {}).get("nodeName") or NONE),
        "The node that the pod is bound to.",
        priority=1,
    ),
    Column(
        "Nominated Node",
        plain(lambda pod: (pod.get("status") or {}).get("nominatedNodeName") or NONE),
        "The node where room is being made for the pod.",
        priority=1,
    ),
    Column("Readiness Gates", plain(_gates), "The readiness gates that hold, of all.", priority=1),
)
