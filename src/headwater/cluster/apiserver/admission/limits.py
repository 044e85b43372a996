"""The LimitRanger plugin: what a container may ask for, and what it gets when it does not say.

Follows ``plugin/pkg/admission/limitranger``, messages included.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from headwater.cluster.apiserver.admission.usage import container_totals
from headwater.cluster.store.store import Store
from headwater.kube.meta.errors import forbidden
from headwater.kube.meta.objects import Object, name_of
from headwater.kube.meta.quantities import format_quantity, parse_quantity

BUCKET = "limitranges"
_NOTE = "kubernetes.io/limit-ranger"


def complete_range(limit_range: Object) -> None:
    """Fill in, in place, what a new range leaves out: a default is the maximum, a request the default."""
    for item in (limit_range.get("spec") or {}).get("limits") or ():
        if item.get("type") != "Container":
            continue
        default = {**(item.get("max") or {}), **(item.get("default") or {})}
        request = {**(item.get("min") or {}), **default, **(item.get("defaultRequest") or {})}
        if default:
            item["default"] = default
        if request:
            item["defaultRequest"] = request


def _items(store: Store, namespace: str, kind: str) -> Iterator[Object]:
    for _, document in store.scan(BUCKET, f"{namespace}/"):
        for item in (document.object.get("spec") or {}).get("limits") or ():
            if item.get("type") == kind:
                yield item


def fill_in(store: Store, namespace: str, pod: Object) -> None:
    """Give a new pod's containers the namespace's defaults, in place."""
    spec = pod["spec"]
    said: list[str] = []
    for item in _items(store, namespace, "Container"):
        for kind, noun in (("initContainers", "init container"), ("containers", "container")):
            for container in spec.get(kind) or ():
                resources = container.setdefault("resources", {})
                for part, defaults, word in (
                    ("requests", item.get("defaultRequest"), "request"),
                    ("limits", item.get("default"), "limit"),
                ):
                    given = resources.get(part) or {}
                    missing = {name: amount for name, amount in (defaults or {}).items() if name not in given}
                    if missing:
                        resources[part] = {**given, **missing}
                        said.append(f"{', '.join(sorted(missing))} {word} for {noun} {container.get('name', '')}")
    if said:
        annotations = pod["metadata"].setdefault("annotations", {})
        annotations[_NOTE] = "LimitRanger plugin set: " + "; ".join(said)


def check_pod(store: Store, namespace: str, pod: Object) -> None:
    """Refuse a pod outside the namespace's limits (403)."""
    wrong: list[str] = []
    spec = pod["spec"]
    for item in _items(store, namespace, "Container"):
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
            resources = container.get("resources") or {}
            amounts = {
                part: {name: parse_quantity(amount) for name, amount in (resources.get(part) or {}).items()}
                for part in ("requests", "limits")
            }
            wrong += _violations(item, amounts["requests"], amounts["limits"])
    for item in _items(store, namespace, "Pod"):
        totals = container_totals(spec)
        wrong += _violations(item, totals["requests"], totals["limits"])
    _refuse("pods", pod, wrong)


def check_claim(store: Store, namespace: str, claim: Object) -> None:
    """Refuse a volume claim outside the namespace's limits (403)."""
    wrong: list[str] = []
    requests = (((claim.get("spec") or {}).get("resources")) or {}).get("requests") or {}
    amounts = {name: parse_quantity(amount) for name, amount in requests.items()}
    for item in _items(store, namespace, "PersistentVolumeClaim"):
        wrong += _violations(item, amounts, amounts)
    _refuse("persistentvolumeclaims", claim, wrong)


def _violations(item: Object, requests: dict[str, Decimal], limits: dict[str, Decimal]) -> list[str]:
    found: list[str] = []
    kind = item.get("type")
    for name, text in (item.get("min") or {}).items():
        least = parse_quantity(text)
        start = f"minimum {name} usage per {kind} is {text}"
        if name not in requests:
            found.append(f"{start}.  No request is specified")
        elif requests[name] < least:
            found.append(f"{start}, but request is {_show(requests[name])}")
        if name in limits and limits[name] < least:
            found.append(f"{start}, but limit is {_show(limits[name])}")
    for name, text in (item.get("max") or {}).items():
        most = parse_quantity(text)
        start = f"maximum {name} usage per {kind} is {text}"
        if name not in limits:
            found.append(f"{start}.  No limit is specified")
        elif limits[name] > most:
            found.append(f"{start}, but limit is {_show(limits[name])}")
        if name in requests and requests[name] > most:
            found.append(f"{start}, but request is {_show(requests[name])}")
    for name, text in (item.get("maxLimitRequestRatio") or {}).items():
        start = f"{name} max limit to request ratio per {kind} is {text}"
        if not requests.get(name) or name not in limits:
            found.append(f"{start}, but no request is specified or request is 0")
        elif limits[name] / requests[name] > parse_quantity(text):
            found.append(f"{start}, but provided ratio is {float(limits[name] / requests[name]):.6f}")
    return found


def _show(amount: Decimal) -> str:
    binary = amount == amount.to_integral_value() and amount >= 1024 and amount % 1024 == 0
    return format_quantity(amount, binary=binary)


def _refuse(plural: str, obj: Any, wrong: list[str]) -> None:
    wrong = list(dict.fromkeys(wrong))
    if wrong:
        raise forbidden("", plural, name_of(obj), wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")
