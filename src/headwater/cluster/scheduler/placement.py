"""Where a pod can go: a pure function of the pod, the nodes and what is taken on them.

The checks and the words of a refusal are those of ``kube-scheduler``: ``0/1 nodes are available: 1 Insufficient
cpu.`` Preemption, affinity between pods and topology spread are not built yet.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from headwater.cluster.scheduler.resources import PODS, Amounts, amounts, host_ports_of, requests_of
from headwater.kube.meta.objects import Object, labels_of, name_of


@dataclass(slots=True)
class Usage:
    """What the pods on a node have taken."""

    requested: Amounts = field(default_factory=dict)
    pods: int = 0
    ports: Counter[tuple[str, str, int]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Binding:
    """The pod goes to this node."""

    node: str


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """The pod goes nowhere now."""

    message: str


NO_USAGE = Usage()


def demand_of(pod: Object) -> Hashable:
    """Return everything that ``schedule`` reads of a pod: pods with equal demands have equal outcomes."""
    spec = pod.get("spec") or {}
    rules = [spec.get("nodeSelector"), (spec.get("affinity") or {}).get("nodeAffinity"), spec.get("tolerations")]
    requests = tuple(sorted(requests_of(pod).items()))
    return requests, frozenset(host_ports_of(pod)), orjson.dumps(rules, option=orjson.OPT_SORT_KEYS)


def schedule(pod: Object, nodes: Sequence[Object], usage: Mapping[str, Usage]) -> Binding | Unschedulable:
    """Choose the node for a pod: of those that can take it, the one with the most left; by name if equal."""
    if not nodes:
        return Unschedulable("no nodes available to schedule pods")
    wanted = requests_of(pod)
    ports = host_ports_of(pod)
    refusals: Counter[str] = Counter()
    best: tuple[float, str] | None = None
    for node in nodes:
        taken = usage.get(name_of(node), NO_USAGE)
        reasons = refused(pod, node, wanted, ports, taken)
        if reasons:
            refusals.update(reasons)
            continue
        rank = (-_left(node, wanted, taken), name_of(node))
        best = rank if best is None else min(best, rank)
    if best is not None:
        return Binding(best[1])
    said = ", ".join(sorted(f"{count} {reason}" for reason, count in refusals.items()))
    return Unschedulable(f"0/{len(nodes)} nodes are available: {said}.")


def refused(
    pod: Object, node: Object, wanted: Amounts, ports: Iterable[tuple[str, str, int]], taken: Usage
) -> list[str]:
    """Return why the node cannot take the pod; empty if it can."""
    spec, its = pod.get("spec") or {}, node.get("spec") or {}
    tolerations = spec.get("tolerations") or ()
    if its.get("unschedulable") and not _tolerated(_CORDONED, tolerations):
        return ["node(s) were unschedulable"]
    for taint in its.get("taints") or ():
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not _tolerated(taint, tolerations):
            return [f"node(s) had untolerated taint {{{taint.get('key')}: {taint.get('value') or ''}}}"]
    if not _selected(spec, node):
        return ["node(s) didn't match Pod's node affinity/selector"]
    if any(_clash(port, other) for port in ports for other in taken.ports):
        return ["node(s) didn't have free ports for the requested pod ports"]
    if not _ready(node):
        return ["node(s) were not ready"]
    allocatable = _allocatable(node)
    reasons = []
    if taken.pods + 1 > allocatable.get(PODS, 0):
        reasons.append("Too many pods")
    for resource, amount in wanted.items():
        if amount > 0 and taken.requested.get(resource, 0) + amount > allocatable.get(resource, 0):
            reasons.append(f"Insufficient {resource}")
    return reasons


_CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def _allocatable(node: Object) -> Amounts:
    status = node.get("status") or {}
    return amounts(status.get("allocatable") or status.get("capacity"))


def _ready(node: Object) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(condition.get("type") == "Ready" and condition.get("status") == "True" for condition in conditions)


def _left(node: Object, wanted: Amounts, taken: Usage) -> float:
    """Return the mean share of cores and memory that stays free with the pod on the node."""
    allocatable = _allocatable(node)
    shares = [
        1 - (taken.requested.get(resource, 0) + wanted.get(resource, 0)) / allocatable[resource]
        for resource in ("cpu", "memory")
        if allocatable.get(resource)
    ]
    return sum(shares) / len(shares) if shares else 0.0


def _tolerated(taint: Mapping[str, Any], tolerations: Iterable[Mapping[str, Any]]) -> bool:
    for toleration in tolerations:
        if toleration.get("effect") not in (None, "", taint.get("effect")):
            continue
        operator, key = toleration.get("operator") or "Equal", toleration.get("key") or ""
        if not key:
            if operator == "Exists":
                return True
        elif key == taint.get("key") and (
            operator == "Exists" or (toleration.get("value") or "") == (taint.get("value") or "")
        ):
            return True
    return False


def _clash(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    everywhere = "0.0.0.0"
    return one[1:] == other[1:] and (one[0] == other[0] or everywhere in (one[0], other[0]))


def _selected(spec: Mapping[str, Any], node: Object) -> bool:
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(_term(term, node) for term in required.get("nodeSelectorTerms") or ())


def _term(term: Mapping[str, Any], node: Object) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False  # an empty term matches nothing
    labels = labels_of(node)
    own = {"metadata.name": name_of(node)}
    return all(_matches(rule, labels) for rule in expressions) and all(_matches(rule, own) for rule in fields)


def _matches(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    operator, values = rule.get("operator"), rule.get("values") or ()
    value = labels.get(str(rule.get("key")))
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    if operator in ("Gt", "Lt") and value is not None and values:
        try:
            return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])
        except ValueError:
            return False
    return False
