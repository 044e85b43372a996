"""The completion indexes of an Indexed job: which are done, which have failed, which come next.

Lists of indexes are written as Kubernetes writes them in ``status.completedIndexes``: ``1,3-5,7``.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from headwater.cluster.controllers.job.failures import judge
from headwater.cluster.controllers.job.pods import ended_at, is_terminal, is_tracked, phase_of
from headwater.kube.meta.objects import Object, annotations_of, is_deleting, uid_of

INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
FIRST_BACK_OFF = 10.0
LAST_BACK_OFF = 360.0


def is_indexed(job: Object) -> bool:
    """Tell whether each of the job's pods has an index."""
    return bool(job["spec"].get("completionMode") == "Indexed")


def index_of(pod: Object) -> int | None:
    """Return the pod's completion index, or None if it has none."""
    text = annotations_of(pod).get(INDEX, "")
    return int(text) if text.isascii() and text.isdigit() else None


def failures_before(pod: Object) -> int:
    """Return how many pods of the same index had failed when this one was created."""
    text = annotations_of(pod).get(FAILURES, "0")
    return int(text) if text.isascii() and text.isdigit() else 0


def parse_indexes(text: str | None, below: int) -> set[int]:
    """Read a list of indexes and ranges; what is not below ``below`` or is no number is left out."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit() and (last or first).isdigit():
            found.update(range(int(first), min(int(last or first) + 1, below)))
    return found


def format_indexes(indexes: Collection[int]) -> str:
    """Write indexes as a list of numbers and ranges."""
    parts: list[str] = []
    ordered = sorted(indexes)
    start = 0
    for at, index in enumerate(ordered):
        if at + 1 < len(ordered) and ordered[at + 1] == index + 1:
            continue
        first = ordered[start]
        parts.append(str(index) if first == index else f"{first},{index}" if first + 1 == index else f"{first}-{index}")
        start = at + 1
    return ",".join(parts)


@dataclass(slots=True)
class Indexes:
    """What has become of a job's indexes, the pods' ends that are news included."""

    completions: int
    completed: set[int]
    failed: set[int]
    failures: dict[int, int]
    """How many pods of an index have failed, where one may fail alone."""
    last_failure: dict[int, datetime]
    keep: set[str]
    """Uids of pods that must stay until a successor carries on their count."""

    @property
    def settled(self) -> set[int]:
        """Indexes that need no pod any more."""
        return self.completed | self.failed


def look(job: Object, pods: Sequence[Object]) -> Indexes:
    """Read the state of the indexes from the job's status and its pods."""
    spec, status = job["spec"], job.get("status") or {}
    completions = int(spec.get("completions") or 0)
    completed = parse_indexes(status.get("completedIndexes"), completions)
    failed = parse_indexes(status.get("failedIndexes"), completions)
    limit = spec.get("backoffLimitPerIndex")
    failures: dict[int, int] = {}
    last: dict[int, datetime] = {}
    carried: dict[int, int] = {}
    counted: list[tuple[int, Object]] = []
    for pod in pods:
        index = index_of(pod)
        if index is None or index >= completions:
            continue
        if phase_of(pod) == "Succeeded" and is_tracked(pod):
            completed.add(index)
        count = failures_before(pod)
        if is_failure(job, pod):
            verdict = judge(job, pod)
            if verdict is None or verdict.action != "Ignore":
                count += 1
                counted.append((index, pod))
                last[index] = max(last.get(index, ended_at(pod)), ended_at(pod))
            if limit is not None and verdict is not None and verdict.action == "FailIndex":
                failed.add(index)
        failures[index] = max(failures.get(index, 0), count)
        carried[index] = max(carried.get(index, 0), failures_before(pod))
    if limit is not None:
        failed |= {index for index, count in failures.items() if count > int(limit)}
    failed -= completed
    keep = {
        uid_of(pod)
        for index, pod in counted
        if limit is not None and index not in completed | failed and failures_before(pod) >= carried[index]
    }
    return Indexes(completions, completed, failed if limit is not None else set(), failures, last, keep)


def is_failure(job: Object, pod: Object) -> bool:
    """Tell whether the pod has failed, or counts as failed because it is being deleted."""
    if phase_of(pod) == "Failed":
        return True
    gone_counts = job["spec"].get("podReplacementPolicy") != "Failed"
    return gone_counts and is_deleting(pod) and not is_terminal(pod)


def next_indexes(
    state: Indexes, busy: Collection[int], number: int, now: datetime, *, per_index: bool
) -> tuple[list[int], float | None]:
    """Return the lowest indexes that need a pod now, and after how many seconds the next may get one."""
    chosen: list[int] = []
    wait: float | None = None
    for index in range(state.completions):
        if len(chosen) >= number:
            break
        if index in state.settled or index in busy:
            continue
        left = _back_off(state, index, now) if per_index else 0.0
        if left > 0:
            wait = left if wait is None else min(wait, left)
        else:
            chosen.append(index)
    return chosen, wait


def _back_off(state: Indexes, index: int, now: datetime) -> float:
    failed_at = state.last_failure.get(index)
    if failed_at is None:
        return 0.0
    delay = min(FIRST_BACK_OFF * 2.0 ** min(state.failures.get(index, 1) - 1, 32), LAST_BACK_OFF)
    return (failed_at - now).total_seconds() + delay


def surplus(active: Iterable[Object], state: Indexes) -> list[Object]:
    """Return the active pods whose index is done, does not exist, or already has a pod."""
    seen: Counter[int] = Counter()
    found = []
    for pod in sorted(active, key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", uid_of(pod))):
        index = index_of(pod)
        if index is None or index >= state.completions or index in state.settled or seen[index]:
            found.append(pod)
        else:
            seen[index] += 1
    return found


def policy_met(job: Object, completed: Collection[int]) -> str:
    """Return which rule of ``spec.successPolicy`` is met, as a message, or an empty string."""
    completions = int(job["spec"].get("completions") or 0)
    for number, rule in enumerate((job["spec"].get("successPolicy") or {}).get("rules") or ()):
        wanted = rule.get("succeededIndexes")
        among = parse_indexes(wanted, completions) if wanted is not None else set(range(completions))
        done = len(among & set(completed))
        needed = int(rule["succeededCount"]) if rule.get("succeededCount") is not None else len(among)
        if done >= needed:
            return f"Matched rules at index {number}"
    return ""


def annotations_for(job: Object, index: int, failures: Mapping[int, int]) -> dict[str, str]:
    """Return the annotations of an index's next pod."""
    annotations = {INDEX: str(index)}
    if job["spec"].get("backoffLimitPerIndex") is not None:
        annotations[FAILURES] = str(failures.get(index, 0))
    return annotations
