"""The defaults that a custom resource's schema carries.

Follows ``apiextensions-apiserver/pkg/apiserver/schema/defaulting``: defaults go in from the outside to the inside,
so that a default object gets the defaults of its own fields.
"""

from typing import Any

import orjson

from headwater.kube.meta.objects import Object
from headwater.kube.schema.builtin import Schema

_DEPTH = 100


def apply_defaults(schema: Schema, obj: Object) -> Object:
    """Return a custom resource with the schema's defaults filled in.

    A ``null`` in a field that may not be null counts as absent, as in Kubernetes. Shares structure with the
    original, which stays as it is. Defaults are copied, so that objects never share them.
    """
    result = _default(schema, obj, 0)
    return result if isinstance(result, dict) else obj


def _default(schema: Schema, value: Any, depth: int) -> Any:
    if depth > _DEPTH:
        return value
    if isinstance(value, list):
        items = schema.get("items")
        if not isinstance(items, dict):
            return value
        filled = [_default(items, item, depth + 1) for item in value]
        return filled if any(new is not old for new, old in zip(filled, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    result = value
    properties: dict[str, Schema] = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    for key, child in properties.items():
        present = key in value
        if present and value[key] is None and not child.get("nullable") and _refuses_null(child):
            result = dict(result)
            del result[key]
            present = False
        if not present:
            if "default" in child:
                result = dict(result) if result is value else result
                result[key] = _default(child, orjson.loads(orjson.dumps(child["default"])), depth + 1)
            continue
        new = _default(child, value[key], depth + 1)
        if new is not value[key]:
            result = dict(result) if result is value else result
            result[key] = new
    if isinstance(additional, dict):
        for key, item in value.items():
            if key in properties:
                continue
            new = _default(additional, item, depth + 1)
            if new is not item:
                result = dict(result) if result is value else result
                result[key] = new
    return result


def _refuses_null(schema: Schema) -> bool:
    return "type" in schema or bool(schema.get("x-kubernetes-int-or-string")) or "default" in schema
