"""What the server itself writes into an object's metadata, and what a caller may not change there.

Pure functions on plain objects, by the rules of ``k8s.io/apiserver/pkg/registry/rest`` (``BeforeCreate``,
``BeforeUpdate``). ``metadata.managedFields`` is kept by ``ownership``.
"""

import random
from collections.abc import Callable
from datetime import datetime
from typing import Any

from headwater.cluster.apiserver.registry import Served
from headwater.kube.meta.errors import Cause, bad_request, conflict, invalid
from headwater.kube.meta.objects import Object, name_of, uid_of
from headwater.kube.meta.time import format_time

_SERVER_OWNED = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
_NOT_KEPT = ("selfLink",)


def check_body(served: Served, obj: Any, namespace: str, name: str = "") -> Object:
    """Check that a body is an object of the kind, namespace and name it was sent to, and complete those.

    Raises ``StatusError`` 400.
    """
    resource = served.resource
    if not isinstance(obj, dict):
        raise bad_request("the body of the request must be an object")
    version, kind = obj.get("apiVersion"), obj.get("kind")
    if version and version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({resource.api_version})"
        )
    if kind and kind != resource.kind:
        raise bad_request(f"the kind in the data ({kind}) does not match the expected kind ({resource.kind})")
    obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
    metadata = obj.get("metadata")
    if metadata is None:
        metadata = obj["metadata"] = {}
    if not isinstance(metadata, dict):
        raise bad_request("metadata must be an object")
    sent = metadata.get("namespace")
    if resource.namespaced:
        if sent and sent != namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
                f' ("{sent}" is not "{namespace}")'
            )
        metadata["namespace"] = namespace
    elif sent:
        raise bad_request(f'{resource.plural} have no namespace, but the object names "{sent}"')
    else:
        metadata.pop("namespace", None)
    if name:
        if metadata.get("name") and metadata["name"] != name:
            raise bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )
        metadata["name"] = name
    return obj


def random_uids() -> Callable[[], str]:
    """Return a source of random UUIDs (version 4), a tenth of the cost of ``uuid.uuid4``, which every create pays."""
    draw = random.Random().getrandbits  # noqa: S311 - identities, not secrets

    def new() -> str:
        text = f"{draw(128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[draw(2)]}{text[17:20]}-{text[20:]}"

    return new


def prepare_create(served: Served, obj: Object, *, uid: str, now: datetime) -> None:
    """Give a new object its identity. Raises ``StatusError`` 400 when it claims a revision."""
    metadata = obj["metadata"]
    if metadata.get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    for key in (*_SERVER_OWNED, *_NOT_KEPT, "resourceVersion"):
        metadata.pop(key, None)
    metadata["uid"] = uid
    metadata["creationTimestamp"] = format_time(now)
    if served.has_generation:
        metadata["generation"] = 1
    if served.has_status:
        obj.pop("status", None)


def prepare_update(served: Served, old: Object, new: Object) -> None:
    """Keep what a caller may not change, and count a change of the desired state.

    Raises ``StatusError`` 409 when the object is meant to be another one than the stored, 422 when a finalizer is
    added to an object that is being deleted.
    """
    before, metadata = old["metadata"], new["metadata"]
    check_preconditions(served, old, uid=metadata.get("uid") or "")
    for key in _NOT_KEPT:
        metadata.pop(key, None)
    for key in ("name", "namespace", "generateName", *_SERVER_OWNED):
        if key in before:
            metadata[key] = before[key]
        else:
            metadata.pop(key, None)
    for key in ("labels", "annotations", "finalizers", "ownerReferences"):
        if not metadata.get(key):
            metadata.pop(key, None)
    if "deletionTimestamp" in before:
        added = [each for each in metadata.get("finalizers") or () if each not in (before.get("finalizers") or ())]
        if added:
            text = "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers "
            said = text + "[" + ", ".join(f'"{each}"' for each in added) + "]"
            cause = Cause("metadata.finalizers", said, "FieldValueForbidden")
            raise invalid(served.resource.group, served.resource.kind, name_of(old), [cause])
    if served.has_generation and desired(old) != desired(new):
        metadata["generation"] = (before.get("generation") or 0) + 1


def desired(obj: Object) -> Object:
    """Return what of an object is neither metadata nor status."""
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")}


def take_status(served: Served, old: Object, new: Object) -> Object:
    """Return the old object with the new one's status.

    Its metadata counts as precondition; labels and annotations are taken too, but not of custom resources, as upstream.
    """
    metadata = dict(old["metadata"])
    if not served.custom:
        for key in ("labels", "annotations"):
            if key in new["metadata"]:
                metadata[key] = new["metadata"][key]
            else:
                metadata.pop(key, None)
    for key in ("uid", "resourceVersion"):
        if new["metadata"].get(key):
            metadata[key] = new["metadata"][key]
    result = {**old, "metadata": metadata}
    if "status" in new:
        result["status"] = new["status"]
    else:
        result.pop("status", None)
    return result


def check_preconditions(served: Served, current: Object, *, uid: str = "", resource_version: str = "") -> None:
    """Raise ``StatusError`` 409 unless the object is the one, and in the revision, that the caller means."""
    resource = served.resource
    if uid and uid != uid_of(current):
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {uid_of(current)}"
        raise conflict(resource.group, resource.plural, name_of(current), why)
    actual = current["metadata"].get("resourceVersion", "")
    if resource_version and resource_version != actual:
        why = f"Precondition failed: ResourceVersion in precondition: {resource_version}, in object meta: {actual}"
        raise conflict(resource.group, resource.plural, name_of(current), why)
