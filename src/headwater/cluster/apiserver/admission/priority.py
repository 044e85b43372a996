"""The Priority plugin: what a pod's priority class is worth."""

from headwater.cluster.store.store import Store
from headwater.kube.meta.errors import forbidden
from headwater.kube.meta.objects import Object, name_of

_BUCKET = "priorityclasses.scheduling.k8s.io"
_BUILTIN = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def prioritise(store: Store, pod: Object) -> None:
    """Write a pod's priority into it, in place. Raises ``StatusError`` 403 when its class does not exist."""
    spec = pod["spec"]
    wanted = spec.get("priorityClassName")
    policy = "PreemptLowerPriority"
    if wanted:
        found = store.get(_BUCKET, wanted)
        if found is not None:
            value = found.object.get("value") or 0
            policy = found.object.get("preemptionPolicy") or policy
        elif wanted in _BUILTIN:
            value = _BUILTIN[wanted]
        else:
            raise forbidden("", "pods", name_of(pod), f"no PriorityClass with name {wanted} was found")
    else:
        default = _default(store)
        value = 0
        if default is not None:
            spec["priorityClassName"] = name_of(default)
            value = default.get("value") or 0
            policy = default.get("preemptionPolicy") or policy
    if spec.get("priority") not in (None, value):
        why = f"the integer value of priority ({spec['priority']}) must not be provided in pod spec"
        raise forbidden("", "pods", name_of(pod), f"{why}; priority admission controller computed {value}")
    spec["priority"] = value
    spec.setdefault("preemptionPolicy", policy)


def check_class(store: Store, priority_class: Object) -> None:
    """Refuse a second global default. Raises ``StatusError`` 403."""
    if not priority_class.get("globalDefault"):
        return
    default = _default(store)
    if default is not None and name_of(default) != name_of(priority_class):
        why = f"PriorityClass {name_of(default)} is already marked as default. Only one default can exist"
        raise forbidden("scheduling.k8s.io", "priorityclasses", name_of(priority_class), why)


def _default(store: Store) -> Object | None:
    found: Object | None = None
    for _, document in store.scan(_BUCKET):
        candidate = document.object
        if candidate.get("globalDefault") and (found is None or candidate["value"] < found["value"]):
            found = candidate
    return found
