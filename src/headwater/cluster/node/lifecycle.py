"""What a pod needs next, decided from what it wants and what its containers do: no input or output, no clock.

The rules are the kubelet's: init containers one after the other, restart policies, sidecars (init containers that
always restart), the crash back-off of 10 s that doubles up to 5 min and is forgotten after 10 min of a good run,
the pod's own deadline, and the phase that follows from all of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from headwater.cluster.node.runtime import ContainerRecord
from headwater.kube.meta.objects import Object
from headwater.kube.meta.time import parse_time

FIRST_BACKOFF = 10.0
LONGEST_BACKOFF = 300.0
FORGIVEN_AFTER = 600.0

Phase = Literal["Pending", "Running", "Succeeded", "Failed"]


@dataclass(frozen=True, slots=True)
class Start:
    """Start a container now."""

    container: str
    attempt: int
    crashes: int


@dataclass(frozen=True, slots=True)
class BackOff:
    """A container that waits before it is started again."""

    container: str
    seconds: float
    until: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and how the pod stands."""

    phase: Phase
    starts: tuple[Start, ...] = ()
    backoffs: tuple[BackOff, ...] = ()
    stop: tuple[str, ...] = ()
    """Sidecars that have nobody left to serve."""
    deadline_passed: bool = False
    wake_at: datetime | None = None
    """When to decide again though nothing has happened."""
    initialized: bool = False


@dataclass(frozen=True, slots=True)
class _Step:
    starts: list[Start] = field(default_factory=list)
    backoffs: list[BackOff] = field(default_factory=list)


def decide(
    pod: Object, records: Mapping[str, ContainerRecord], now: datetime, started: datetime | None = None
) -> Decision:
    """Decide a pod's next steps. ``started``: when the node took it, from which its deadline counts."""
    spec = pod["spec"]
    policy = spec.get("restartPolicy", "Always")
    deadline = _deadline(spec, started)
    if deadline is not None and now >= deadline:
        return Decision("Failed", deadline_passed=True)
    step = _Step()
    outcome = _initialize(spec, records, policy, now, step)
    sidecars = [c["name"] for c in spec.get("initContainers", ()) if is_sidecar(c)]
    names = [c["name"] for c in spec["containers"]]
    if outcome == "done":
        for name in names:
            _run(name, records.get(name), policy, now, step)
    done = outcome == "done" and not any(_pending(name, records, step) for name in names)
    stop = sidecars if (done or outcome == "failed") else []
    alive = tuple(name for name in stop if name in records and records[name].phase != "exited")
    phase = _phase(outcome, names, records, step)
    if done or outcome == "failed":
        step.starts[:] = [s for s in step.starts if s.container not in stop]
        step.backoffs[:] = [b for b in step.backoffs if b.container not in stop]
        if alive:
            phase = "Running"
    wake = [b.until for b in step.backoffs] + ([deadline] if deadline is not None else [])
    return Decision(
        phase=phase,
        starts=tuple(step.starts),
        backoffs=tuple(step.backoffs),
        stop=alive,
        wake_at=min(wake) if wake and phase in ("Pending", "Running") else None,
        initialized=outcome == "done",
    )


def is_sidecar(container: Mapping[str, Any]) -> bool:
    """Tell whether an init container is a native sidecar."""
    return container.get("restartPolicy") == "Always"


def backoff_seconds(crashes: int) -> float:
    """Return how long to wait before the next start; ``crashes`` counts the starts again so far."""
    if crashes <= 0:
        return 0.0
    return min(FIRST_BACKOFF * 2.0 ** min(crashes - 1, 16), LONGEST_BACKOFF)


def time_of(nanoseconds: int) -> datetime:
    """Return a shim's time as a ``datetime``."""
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)


def _deadline(spec: Mapping[str, Any], started: datetime | None) -> datetime | None:
    seconds = spec.get("activeDeadlineSeconds")
    return started + timedelta(seconds=seconds) if seconds is not None and started is not None else None


def _initialize(
    spec: Mapping[str, Any], records: Mapping[str, ContainerRecord], policy: str, now: datetime, step: _Step
) -> Literal["done", "going", "failed"]:
    main_ran = any(c["name"] in records for c in spec["containers"])
    for container in spec.get("initContainers", ()):
        name = container["name"]
        record = records.get(name)
        if is_sidecar(container):
            _run(name, record, "Always", now, step)
            if not main_ran and (record is None or record.started_at is None):
                return "going"
            continue
        if main_ran or (record is not None and record.phase == "exited" and record.exit_code == 0):
            continue
        if record is not None and record.phase == "exited" and policy == "Never":
            return "failed"
        _run(name, record, "OnFailure", now, step)
        return "going"
    return "done"


def _run(name: str, record: ContainerRecord | None, policy: str, now: datetime, step: _Step) -> None:
    """Start the container if it has never run, or if it ended and its policy and its back-off allow it."""
    if record is None:
        step.starts.append(Start(name, 0, 0))
        return
    if record.phase != "exited" or policy == "Never" or (policy == "OnFailure" and record.exit_code == 0):
        return
    crashes = 0 if _ran_well(record) else record.crashes
    ended = time_of(record.finished_at or 0)
    seconds = backoff_seconds(crashes)
    until = ended + timedelta(seconds=seconds)
    if now >= until:
        step.starts.append(Start(name, record.attempt + 1, crashes + 1))
    else:
        step.backoffs.append(BackOff(name, seconds, until))


def _ran_well(record: ContainerRecord) -> bool:
    if record.started_at is None or record.finished_at is None:
        return False
    return (record.finished_at - record.started_at) / 1e9 >= FORGIVEN_AFTER


def _pending(name: str, records: Mapping[str, ContainerRecord], step: _Step) -> bool:
    record = records.get(name)
    if record is None or record.phase != "exited":
        return True
    return any(s.container == name for s in step.starts) or any(b.container == name for b in step.backoffs)


def _phase(outcome: str, names: list[str], records: Mapping[str, ContainerRecord], step: _Step) -> Phase:
    if outcome == "failed":
        return "Failed"
    if outcome == "going" or not all(name in records for name in names):
        return "Pending"
    if any(_pending(name, records, step) for name in names):
        fresh = all(records[name].phase == "starting" and records[name].attempt == 0 for name in names)
        return "Pending" if fresh else "Running"
    return "Failed" if any(records[name].exit_code for name in names) else "Succeeded"


def start_time(pod: Object) -> datetime | None:
    """Return ``status.startTime``."""
    text = pod.get("status", {}).get("startTime")
    return parse_time(text) if text else None
