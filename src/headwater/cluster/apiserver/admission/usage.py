"""What an object counts for in a resource quota, and which quotas it falls under.

Pure, after ``pkg/quota/v1/evaluator/core``: the admission check and the controller that recounts both ask it.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from headwater.kube.meta.objects import Object
from headwater.kube.meta.quantities import format_quantity, parse_quantity
from headwater.kube.meta.resources import PODS, SERVICES, Resource

Usage = dict[str, Decimal]
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_CLAIMS = "persistentvolumeclaims"
_PLAIN_COUNTS = frozenset(
    {"pods", "services", "secrets", "configmaps", _CLAIMS, "replicationcontrollers", "resourcequotas"}
)
SCOPES = (
    *("Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass"),
    "CrossNamespacePodAffinity",
)
_BINARY = ("memory", "storage")
_OF_CLASS = ".storageclass.storage.k8s.io/"


def usage_of(resource: Resource, obj: Object) -> Usage:
    """Return what an object uses, under every name that a quota may have for it."""
    if resource == PODS:
        return _pod(obj)
    found: Usage = {f"count/{resource.group_resource}": Decimal(1)}
    if resource.group == "" and resource.plural in _PLAIN_COUNTS:
        found[resource.plural] = Decimal(1)
    if resource == SERVICES:
        found |= _service(obj)
    elif resource.group == "" and resource.plural == _CLAIMS:
        found |= _claim(obj)
    return found


def container_totals(spec: Object) -> dict[str, dict[str, Decimal]]:
    """Return a pod's ``requests`` and ``limits``: all containers together, or the largest init container."""
    totals: dict[str, dict[str, Decimal]] = {}
    for part in ("requests", "limits"):
        running: dict[str, Decimal] = {}
        for container in spec.get("containers") or ():
            _add(running, _amounts(container, part))
        sidecars: dict[str, Decimal] = {}
        peak: dict[str, Decimal] = {}
        for container in spec.get("initContainers") or ():
            amounts = _amounts(container, part)
            if container.get("restartPolicy") == "Always":
                _add(sidecars, amounts)
                amounts = {}
            for name in amounts.keys() | sidecars.keys():
                together = amounts.get(name, Decimal(0)) + sidecars.get(name, Decimal(0))
                peak[name] = max(peak.get(name, Decimal(0)), together)
        _add(running, sidecars)
        for name, amount in peak.items():
            running[name] = max(running.get(name, Decimal(0)), amount)
        _add(running, _quantities(spec.get("overhead")) if running else {})
        totals[part] = running
    return totals


def _quantities(amounts: Any) -> dict[str, Decimal]:
    return {name: parse_quantity(amount) for name, amount in (amounts or {}).items()}


def _amounts(container: Object, part: str) -> dict[str, Decimal]:
    return _quantities((container.get("resources") or {}).get(part))


def _add(total: dict[str, Decimal], more: Mapping[str, Decimal]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Decimal(0)) + amount


def _pod(pod: Object) -> Usage:
    found: Usage = {"count/pods": Decimal(1)}
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return found
    found["pods"] = Decimal(1)
    totals = container_totals(pod.get("spec") or {})
    for name, amount in totals["requests"].items():
        found[f"requests.{name}"] = amount
        if name in _COMPUTE:
            found[name] = amount
    for name, amount in totals["limits"].items():
        if name in _COMPUTE:
            found[f"limits.{name}"] = amount
    return found


def _service(service: Object) -> Usage:
    spec = service.get("spec") or {}
    kind, ports = spec.get("type", "ClusterIP"), len(spec.get("ports") or ())
    if kind == "LoadBalancer":
        open_ports = 0 if spec.get("allocateLoadBalancerNodePorts") is False else ports
        return {"services.loadbalancers": Decimal(1), "services.nodeports": Decimal(open_ports)}
    return {"services.nodeports": Decimal(ports)} if kind == "NodePort" else {}


def _claim(claim: Object) -> Usage:
    spec = claim.get("spec") or {}
    amount = _amounts(spec, "requests").get("storage", Decimal(0))
    found: Usage = {"requests.storage": amount}
    storage_class = spec.get("storageClassName")
    if storage_class:
        found[f"{storage_class}{_OF_CLASS}requests.storage"] = amount
        found[f"{storage_class}{_OF_CLASS}{_CLAIMS}"] = Decimal(1)
    return found


def covers(quota: Object, resource: Resource, obj: Object) -> bool:
    """Tell whether an object falls under a quota's scopes."""
    spec = quota.get("spec") or {}
    wanted = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    wanted += (spec.get("scopeSelector") or {}).get("matchExpressions") or []
    return not wanted or (resource == PODS and all(_in_scope(scope, obj) for scope in wanted))


def _in_scope(scope: Object, pod: Object) -> bool:
    spec = pod.get("spec") or {}
    match scope.get("scopeName"):
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return _is_best_effort(spec)
        case "NotBestEffort":
            return not _is_best_effort(spec)
        case "PriorityClass":
            name, values = spec.get("priorityClassName") or "", scope.get("values") or ()
            match scope.get("operator"):
                case "In":
                    return name in values
                case "NotIn":
                    return name not in values
                case "DoesNotExist":
                    return not name
            return bool(name)
        case "CrossNamespacePodAffinity":
            return _crosses_namespaces(spec.get("affinity") or {})
    return False


def _is_best_effort(spec: Object) -> bool:
    return not any(
        (container.get("resources") or {}).get(part)
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
        for part in ("requests", "limits")
    )


def _crosses_namespaces(affinity: Object) -> bool:
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        terms += [
            weighted.get("podAffinityTerm") or {}
            for weighted in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        ]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


def unspecified(hard: Iterable[str], spec: Object) -> dict[str, list[str]]:
    """Return the compute resources that a quota bounds and containers do not state, with the containers' names."""
    found: dict[str, list[str]] = {}
    for name in hard:
        part, _, plain = name.rpartition(".")
        part = part or "requests"
        if plain not in _COMPUTE or part not in ("requests", "limits"):
            continue
        silent = [
            container.get("name", "")
            for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
            if plain not in ((container.get("resources") or {}).get(part) or {})
        ]
        if silent:
            found[name] = silent
    return found


def kinds_counted(hard: Iterable[str], kinds: Iterable[Resource]) -> list[Resource]:
    """Return the kinds whose objects a quota with these names has to count."""
    wanted: set[str] = set()
    for name in hard:
        if name.startswith("count/"):
            wanted.add(name.removeprefix("count/"))
        elif name in _PLAIN_COUNTS:
            wanted.add(name)
        elif name.startswith("services."):
            wanted.add("services")
        elif name.endswith("requests.storage") or _OF_CLASS in name:
            wanted.add(_CLAIMS)
        else:
            wanted.add("pods")
    found = {kind.group_resource: kind for kind in reversed(list(kinds))}
    return [found[name] for name in sorted(wanted) if name in found]


def shown(name: str, amount: Decimal) -> str:
    """Write an amount as a quota's status does."""
    return format_quantity(amount, binary=name.endswith(_BINARY))
