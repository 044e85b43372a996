"""What ``spec.podFailurePolicy`` says of a failed pod: the first rule that matches decides."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from headwater.cluster.controllers.job.pods import phase_of
from headwater.kube.meta.objects import Object, name_of, namespace_of


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule's action, and the message for the job's condition."""

    action: Literal["FailJob", "FailIndex", "Ignore", "Count"]
    message: str


def judge(job: Object, pod: Object) -> Verdict | None:
    """Return what the policy says of a pod that has failed; None if no rule matches."""
    policy = job["spec"].get("podFailurePolicy")
    if not policy or phase_of(pod) != "Failed":
        return None
    for number, rule in enumerate(policy.get("rules") or ()):
        action = rule["action"]
        why = _exit_code(rule["onExitCodes"], pod) if rule.get("onExitCodes") else _condition(rule, pod)
        if why:
            return Verdict(action, f"{why} matching {action} rule at index {number}")
    return None


def _exit_code(requirement: Object, pod: Object) -> str:
    values = requirement.get("values") or ()
    for status in _containers(pod):
        name = status.get("name", "")
        if requirement.get("containerName") not in (None, name):
            continue
        code = int(((status.get("state") or {}).get("terminated") or {}).get("exitCode") or 0)
        if code and (code in values) == (requirement.get("operator") == "In"):
            return f"Container {name} for pod {namespace_of(pod)}/{name_of(pod)} failed with exit code {code}"
    return ""


def _condition(rule: Object, pod: Object) -> str:
    for pattern in rule.get("onPodConditions") or ():
        for condition in (pod.get("status") or {}).get("conditions") or ():
            if condition["type"] == pattern["type"] and condition["status"] == pattern.get("status", "True"):
                return f"Pod {namespace_of(pod)}/{name_of(pod)} has condition {pattern['type']}"
    return ""


def _containers(pod: Object) -> Iterable[Object]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
