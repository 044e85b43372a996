"""One object, several versions: the shape in which it is stored, and the one in which it is asked for.

Custom resources are converted as Kubernetes' ``None`` strategy does, by their ``apiVersion`` alone. Events of the
core group and of ``events.k8s.io`` are the same objects with other field names. An autoscaler of ``autoscaling/v1``
says only the CPU's target; as upstream, what else version 2 says travels in annotations.
"""

import orjson

from headwater.cluster.apiserver.kinds import AUTOSCALERS_V1, EVENTS_V1
from headwater.cluster.apiserver.registry import Served
from headwater.cluster.store.documents import Document
from headwater.kube.meta.objects import Object

_ANNOTATION = "autoscaling.alpha.kubernetes.io/"
_EVENT_FIELDS = (
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
)


def present(served: Served, document: Document) -> Document:
    """Return a stored object in the version that was asked for."""
    wanted = served.resource.api_version
    if document.value.startswith(f'{{"apiVersion":"{wanted}",'.encode()):
        return document
    obj = document.copy()
    if served.resource == EVENTS_V1:
        obj = _rename(obj, _EVENT_FIELDS)
    elif served.resource == AUTOSCALERS_V1:
        _autoscaler_to_v1(obj)
    obj["apiVersion"] = wanted
    return Document.of(obj, document.revision)


def to_storage(served: Served, obj: Object) -> Object:
    """Return an object in the version in which it is stored; ``obj`` is given up."""
    if served.resource == EVENTS_V1:
        obj = _rename(obj, tuple((theirs, ours) for ours, theirs in _EVENT_FIELDS))
    elif served.resource == AUTOSCALERS_V1:
        _autoscaler_to_v2(obj)
    obj["apiVersion"] = served.writes
    return obj


def _rename(obj: Object, names: tuple[tuple[str, str], ...]) -> Object:
    for before, after in names:
        if before in obj:
            obj[after] = obj.pop(before)
    return obj


def _is_cpu_target(metric: Object) -> bool:
    resource = metric.get("resource") or {}
    target = resource.get("target") or {}
    return metric.get("type") == "Resource" and resource.get("name") == "cpu" and "averageUtilization" in target


def _autoscaler_to_v1(obj: Object) -> None:
    spec, annotations = obj.get("spec") or {}, dict(obj["metadata"].get("annotations") or {})
    others = []
    for metric in spec.pop("metrics", None) or ():
        if _is_cpu_target(metric) and "targetCPUUtilizationPercentage" not in spec:
            spec["targetCPUUtilizationPercentage"] = metric["resource"]["target"]["averageUtilization"]
        else:
            others.append(metric)
    for name, kept in (("metrics", others), ("behavior", spec.pop("behavior", None))):
        if kept:
            annotations[_ANNOTATION + name] = orjson.dumps(kept).decode()
    status = obj.get("status") or {}
    status.pop("currentMetrics", None)
    if status:
        status.setdefault("currentReplicas", 0)
    conditions = status.pop("conditions", None)
    if conditions:
        annotations[_ANNOTATION + "conditions"] = orjson.dumps(conditions).decode()
    if annotations:
        obj["metadata"]["annotations"] = annotations


def _autoscaler_to_v2(obj: Object) -> None:
    spec, annotations = obj.get("spec") or {}, dict(obj["metadata"].get("annotations") or {})
    target = spec.pop("targetCPUUtilizationPercentage", None)
    metrics = []
    if target is not None:
        resource = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}}
        metrics.append({"type": "Resource", "resource": resource})
    kept = {name: _read(annotations.pop(_ANNOTATION + name, "")) for name in ("metrics", "behavior", "conditions")}
    if isinstance(kept["metrics"], list):
        metrics += kept["metrics"]
    if metrics:
        spec["metrics"] = metrics
    if isinstance(kept["behavior"], dict):
        spec["behavior"] = kept["behavior"]
    if isinstance(kept["conditions"], list) and isinstance(obj.get("status"), dict):
        obj["status"]["conditions"] = kept["conditions"]
    if annotations:
        obj["metadata"]["annotations"] = annotations
    else:
        obj["metadata"].pop("annotations", None)


def _read(text: str) -> object:
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None
