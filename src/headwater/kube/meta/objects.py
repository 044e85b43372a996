"""Reading the parts that every Kubernetes object has.

On the wire and in the store an object is a plain ``dict`` in the shape that its API defines. These functions
name the handful of paths that generic code reads, so that it does not spell them out in many places.
"""

from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]
"""A Kubernetes object as decoded JSON: ``apiVersion``, ``kind``, ``metadata`` and the kind's own fields."""


def name_of(obj: Object) -> str:
    """Return ``metadata.name``, or an empty string."""
    value: str = obj.get("metadata", {}).get("name") or ""
    return value


def namespace_of(obj: Object) -> str:
    """Return ``metadata.namespace``, or an empty string for a cluster-scoped object."""
    value: str = obj.get("metadata", {}).get("namespace") or ""
    return value


def uid_of(obj: Object) -> str:
    """Return ``metadata.uid``, or an empty string."""
    value: str = obj.get("metadata", {}).get("uid") or ""
    return value


def version_of(obj: Object) -> str:
    """Return ``metadata.resourceVersion``, or an empty string."""
    value: str = obj.get("metadata", {}).get("resourceVersion") or ""
    return value


def labels_of(obj: Object) -> dict[str, str]:
    """Return ``metadata.labels``, or an empty dict that is not part of the object."""
    value: dict[str, str] = obj.get("metadata", {}).get("labels") or {}
    return value


def annotations_of(obj: Object) -> dict[str, str]:
    """Return ``metadata.annotations``, or an empty dict that is not part of the object."""
    value: dict[str, str] = obj.get("metadata", {}).get("annotations") or {}
    return value


def is_deleting(obj: Object) -> bool:
    """Tell whether the object's deletion has been asked for (``metadata.deletionTimestamp`` is set)."""
    return bool(obj.get("metadata", {}).get("deletionTimestamp"))
