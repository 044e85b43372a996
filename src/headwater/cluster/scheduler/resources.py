"""How much a pod asks for, and how much a node has.

A pod's request is, as in Kubernetes, the larger of what its containers ask for together (with the sidecars) and
of what each of its init containers needs beside the sidecars started before it; plus the pod's overhead.
Amounts are integers in the smallest unit that is told apart: thousandths of a core, bytes, pieces.
"""

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING
from functools import lru_cache

from headwater.kube.meta.objects import Object
from headwater.kube.meta.quantities import parse_quantity

Amounts = dict[str, int]

PODS = "pods"


@lru_cache(maxsize=4096)
def amount(resource: str, quantity: str) -> int:
    """Return a quantity in the resource's smallest unit, rounded up; cores count in thousandths."""
    value = parse_quantity(quantity) * (1000 if resource == "cpu" else 1)
    return int(value.to_integral_value(rounding=ROUND_CEILING))


def amounts(quantities: Mapping[str, object] | None) -> Amounts:
    """Return each of a resource list's quantities in its smallest unit."""
    return {name: amount(name, str(value)) for name, value in (quantities or {}).items()}


def add(total: Amounts, more: Mapping[str, int]) -> None:
    """Add amounts to a total, in place."""
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def requests_of(pod: Object) -> Amounts:
    """Return what the pod asks for."""
    spec = pod.get("spec") or {}
    total = _sum(spec.get("containers") or ())
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        wanted = _requests(container)
        if container.get("restartPolicy") == "Always":
            add(sidecars, wanted)
            _raise(peak, sidecars)
        else:
            both = dict(sidecars)
            add(both, wanted)
            _raise(peak, both)
    add(total, sidecars)
    _raise(total, peak)
    add(total, amounts(spec.get("overhead")))
    return total


def host_ports_of(pod: Object) -> set[tuple[str, str, int]]:
    """Return the node's ports that the pod's containers ask for: address, protocol, number."""
    ports = set()
    for container in (pod.get("spec") or {}).get("containers") or ():
        for port in container.get("ports") or ():
            number = port.get("hostPort")
            if number:
                ports.add((port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", int(number)))
    return ports


def _requests(container: Object) -> Amounts:
    resources = container.get("resources") or {}
    return {**amounts(resources.get("limits")), **amounts(resources.get("requests"))}


def _sum(containers: Iterable[Object]) -> Amounts:
    total: Amounts = {}
    for container in containers:
        add(total, _requests(container))
    return total


def _raise(total: Amounts, at_least: Mapping[str, int]) -> None:
    for name, value in at_least.items():
        total[name] = max(total.get(name, 0), value)
