"""One object, several versions: the shape in which it is stored, and the one in which it is asked for.

Custom resources are converted as Kubernetes' ``None`` strategy does, by their ``apiVersion`` alone. Events of the
core group and of ``events.k8s.io`` are the same objects with other field names.
"""

from headwater.cluster.apiserver.kinds import EVENTS_V1
from headwater.cluster.apiserver.registry import Served
from headwater.cluster.store.documents import Document
from headwater.kube.meta.objects import Object

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
    obj["apiVersion"] = wanted
    return Document.of(obj, document.revision)


def to_storage(served: Served, obj: Object) -> Object:
    """Return an object in the version in which it is stored; ``obj`` is given up."""
    if served.resource == EVENTS_V1:
        obj = _rename(obj, tuple((theirs, ours) for ours, theirs in _EVENT_FIELDS))
    obj["apiVersion"] = served.writes
    return obj


def _rename(obj: Object, names: tuple[tuple[str, str], ...]) -> Object:
    for before, after in names:
        if before in obj:
            obj[after] = obj.pop(before)
    return obj
