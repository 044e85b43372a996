"""Custom resource definitions: what a valid one is, when it is served, and how it goes.

Follows ``apiextensions-apiserver``: names are accepted unless another definition of the group has them, an accepted
definition is established, and a deleted one first takes its objects with it. What makes one valid is in
``kube.schema.rules``, and its CEL rules in ``kube.schema.cel``. Conversion webhooks are not built yet and refused.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import orjson

from headwater.cluster.apiserver.registry import Column, Registry, ScalePaths, Served
from headwater.kube.meta.conditions import condition_is, set_condition
from headwater.kube.meta.errors import Cause
from headwater.kube.meta.objects import Object, is_deleting
from headwater.kube.meta.resources import Resource

CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_CLUSTER_SCOPE = "Cluster"


def validate(obj: Object) -> list[Cause]:
    """Return what of a valid definition is not built yet, and therefore refused rather than ignored."""
    conversion = obj["spec"].get("conversion") or {}
    if conversion.get("strategy", "None") == "None":
        return []
    message = "Forbidden: conversion webhooks are not built yet; only the strategy None is"
    return [Cause("spec.conversion.strategy", message, "FieldValueForbidden")]


def accept(obj: Object, old: Object | None, registry: Registry, now: datetime) -> None:
    """Write into a definition's status, in place, whether its names are free and it is therefore served."""
    metadata, spec = obj["metadata"], obj["spec"]
    if old is None:
        metadata["finalizers"] = [*(metadata.get("finalizers") or ()), CLEANUP_FINALIZER]
    status: dict[str, Any] = dict(obj.get("status") or {})
    conditions = [dict(condition) for condition in status.get("conditions") or ()]
    taken = _taken_name(spec, registry)
    if taken:
        set_condition(conditions, "NamesAccepted", "False", taken[0], taken[1], now)
        if not condition_is(obj, "Established"):
            set_condition(conditions, "Established", "False", "NotAccepted", "not all names are accepted", now)
    else:
        set_condition(conditions, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now)
        set_condition(conditions, "Established", "True", "InitialNamesAccepted", "the initial names are accepted", now)
        status["acceptedNames"] = spec["names"]
    stored = list(status.get("storedVersions") or ())
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    if storage not in stored:
        stored.append(storage)
    status["storedVersions"] = stored
    status["conditions"] = conditions
    status.setdefault("acceptedNames", {"plural": "", "kind": ""})
    obj["status"] = status


def _taken_name(spec: dict[str, Any], registry: Registry) -> tuple[str, str] | None:
    names = spec["names"]
    mine = {names["plural"], names["singular"], *(names.get("shortNames") or ())}
    for served in registry.all():
        other = served.resource
        if other.group != spec["group"] or other.plural == names["plural"]:
            continue
        for name in mine & {other.plural, served.singular, *other.short_names}:
            return "NameConflict", f'"{name}" is already in use by {other.group_resource}'
        if other.kind == names["kind"]:
            return "KindConflict", f'"{other.kind}" is already in use by {other.group_resource}'
    return None


def mark_terminating(obj: Object, now: datetime) -> None:
    """Say in a definition's status, in place, that its objects are being deleted."""
    status = dict(obj.get("status") or {})
    conditions = [dict(condition) for condition in status.get("conditions") or ()]
    message = "CustomResource deletion is in progress"
    set_condition(conditions, "Terminating", "True", "InstanceDeletionInProgress", message, now)
    status["conditions"] = conditions
    obj["status"] = status


def served_kinds(obj: Object) -> list[Served]:
    """Return the kinds that a stored definition makes the server serve, the storage version first."""
    if not condition_is(obj, "Established"):
        return []
    spec = obj["spec"]
    group, plural = spec["group"], spec["names"]["plural"]
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    ordered = sorted(spec["versions"], key=lambda version: not version.get("storage"))
    return [
        _served(spec, version, f"{plural}.{group}", f"{group}/{storage}", is_deleting(obj))
        for version in ordered
        if version.get("served")
    ]


def _served(spec: dict[str, Any], version: dict[str, Any], bucket: str, storage_version: str, ends: bool) -> Served:
    names = spec["names"]
    subresources = version.get("subresources") or {}
    paths = subresources.get("scale")
    resource = Resource(
        spec["group"],
        version["name"],
        names["kind"],
        names["plural"],
        spec["scope"] != _CLUSTER_SCOPE,
        tuple(names.get("shortNames") or ()),
        tuple(names.get("categories") or ()),
        frozenset(name for name in ("status", "scale") if name in subresources),
    )
    columns = tuple(
        Column(
            column["name"],
            column["type"],
            column["jsonPath"],
            column.get("format") or "",
            column.get("description") or "",
            column.get("priority") or 0,
        )
        for column in version.get("additionalPrinterColumns") or ()
    )
    scale = None
    if paths:
        scale = ScalePaths(paths["specReplicasPath"], paths["statusReplicasPath"], paths.get("labelSelectorPath") or "")
    deprecated = ""
    if version.get("deprecated"):
        default = f"{resource.api_version} {resource.kind} is deprecated"
        deprecated = version.get("deprecationWarning") or default
    return Served(
        resource,
        bucket,
        singular=names["singular"],
        storage_version=storage_version,
        schema=version["schema"]["openAPIV3Schema"],
        custom=True,
        columns=columns,
        scale=scale,
        selectable=frozenset(_selectable(version)),
        deprecated=deprecated,
        terminating=ends,
        attributes=_rules(version["schema"]["openAPIV3Schema"]),
    )


def _rules(schema: dict[str, Any]) -> dict[str, Any]:
    if b'"x-kubernetes-validations"' not in orjson.dumps(schema):
        return {}
    from headwater.kube.schema.cel.rules import Rules

    return {"rules": Rules(schema)}


def _selectable(version: dict[str, Any]) -> Iterable[str]:
    return (field["jsonPath"].removeprefix(".") for field in version.get("selectableFields") or ())
