"""The rules for every object's metadata."""

from collections.abc import Callable
from typing import Any

from headwater.kube.meta.errors import Cause
from headwater.kube.meta.names import (
    is_dns_1035_label,
    is_dns_label,
    is_dns_subdomain,
    is_label_key,
    is_label_value,
    is_path_segment,
)
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import Resource
from headwater.kube.schema.rules.causes import forbidden, invalid, required, unchanged

_ANNOTATION_BYTES = 256 * 1024

_NAME_RULES: dict[tuple[str, str], Callable[[str], str | None]] = {
    ("", "Namespace"): is_dns_label,
    ("", "Service"): is_dns_1035_label,
    ("apps", "StatefulSet"): is_dns_label,
    ("rbac.authorization.k8s.io", "Role"): is_path_segment,
    ("rbac.authorization.k8s.io", "RoleBinding"): is_path_segment,
    ("rbac.authorization.k8s.io", "ClusterRole"): is_path_segment,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): is_path_segment,
}


def check_metadata(resource: Resource, obj: Object) -> list[Cause]:
    """Return what is wrong with the metadata of an object of this kind."""
    metadata: dict[str, Any] = obj.get("metadata") or {}
    causes = _name(resource, metadata)
    namespace = metadata.get("namespace")
    if resource.namespaced:
        if not namespace:
            causes.append(required("metadata.namespace"))
        elif wrong := is_dns_label(namespace):
            causes.append(invalid("metadata.namespace", namespace, wrong))
    elif namespace:
        causes.append(forbidden("metadata.namespace", "not allowed on this type"))
    causes += check_labels(metadata.get("labels"), "metadata.labels")
    causes += _annotations(metadata.get("annotations"))
    for finalizer in metadata.get("finalizers") or ():
        if wrong := is_label_key(finalizer):
            causes.append(invalid("metadata.finalizers", finalizer, wrong))
        elif "/" not in finalizer and finalizer not in ("orphan", "foregroundDeletion", "kubernetes"):
            causes.append(
                invalid(
                    "metadata.finalizers",
                    finalizer,
                    "name is neither a standard finalizer name nor is it fully qualified",
                )
            )
    return causes + _owners(metadata.get("ownerReferences") or [])


def _name(resource: Resource, metadata: dict[str, Any]) -> list[Cause]:
    rule = _NAME_RULES.get((resource.group, resource.kind), is_dns_subdomain)
    name, prefix = metadata.get("name"), metadata.get("generateName")
    causes = []
    if prefix and (wrong := rule(prefix[:-1] + "a" if prefix.endswith("-") else prefix)):
        causes.append(invalid("metadata.generateName", prefix, wrong))
    if not name:
        causes.append(required("metadata.name", "name or generateName is required"))
    elif wrong := rule(name):
        causes.append(invalid("metadata.name", name, wrong))
    return causes


def check_labels(labels: Any, field: str) -> list[Cause]:
    """Return what is wrong with a map of labels."""
    causes = []
    for key, value in (labels or {}).items():
        if wrong := is_label_key(key):
            causes.append(invalid(field, key, wrong))
        if wrong := is_label_value(value):
            causes.append(invalid(field, value, wrong))
    return causes


def _annotations(annotations: Any) -> list[Cause]:
    causes = []
    size = 0
    for key, value in (annotations or {}).items():
        size += len(key.encode()) + len(value.encode())
        if wrong := is_label_key(key.lower()):
            causes.append(invalid("metadata.annotations", key, wrong))
    if size > _ANNOTATION_BYTES:
        message = f"Too long: may not be more than {_ANNOTATION_BYTES} bytes"
        causes.append(Cause("metadata.annotations", message, "FieldValueTooLong"))
    return causes


def _owners(references: list[dict[str, Any]]) -> list[Cause]:
    causes = []
    controllers = []
    for index, reference in enumerate(references):
        path = f"metadata.ownerReferences[{index}]"
        for key in ("apiVersion", "kind", "name", "uid"):
            if not reference.get(key):
                what = "version" if key == "apiVersion" else key
                causes.append(invalid(f"{path}.{key}", reference.get(key, ""), f"{what} must not be empty"))
        if reference.get("controller"):
            controllers.append(f"{reference.get('kind')}/{reference.get('name')}")
    if len(controllers) > 1:
        message = (
            'Only one reference can have Controller set to true. Found "true" in references for '
            f"{controllers[0]} and {controllers[1]}"
        )
        causes.append(invalid("metadata.ownerReferences", references, message))
    return causes


def check_metadata_update(resource: Resource, old: Object, new: Object) -> list[Cause]:
    """Return what is wrong with the changed metadata of an object: its own rules, and what may not change."""
    before: dict[str, Any] = old.get("metadata") or {}
    after: dict[str, Any] = new.get("metadata") or {}
    causes: list[Cause] = []
    for key in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if after.get(key) is not None or key in ("name", "namespace"):
            causes += unchanged(f"metadata.{key}", before.get(key), after.get(key))
    if before.get("deletionTimestamp"):
        added = [name for name in after.get("finalizers") or () if name not in (before.get("finalizers") or ())]
        if added:
            message = f"no new finalizers can be added if the object is being deleted, found new finalizers {added}"
            causes.append(forbidden("metadata.finalizers", message))
    same = ("labels", "annotations", "finalizers", "ownerReferences")
    if any(before.get(key) != after.get(key) for key in same):
        causes += check_metadata(resource, new)
    return causes
