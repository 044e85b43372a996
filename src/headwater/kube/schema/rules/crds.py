"""The rules for custom resource definitions, whose schemas must be structural.

Follows ``apiextensions-apiserver/pkg/apis/apiextensions/validation`` and the structural schema's definition:
every field has a type, and logical operators only restrict what stands outside of them.
"""

import re
from typing import Any

import orjson

from headwater.kube.meta.errors import Cause
from headwater.kube.meta.names import is_dns_1035_label, is_dns_subdomain
from headwater.kube.meta.objects import Object
from headwater.kube.schema.rules.causes import (
    duplicate,
    forbidden,
    invalid,
    one_of,
    required,
    unchanged,
    unsupported,
)
from headwater.kube.schema.scalars import compile_pattern
from headwater.kube.schema.validate import check

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_SCHEMA = "schema.openAPIV3Schema"
_COLUMN_TYPES = ("integer", "number", "string", "boolean", "date")
_OPERATORS = ("allOf", "anyOf", "oneOf")


def _crd(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    names = spec.get("names") or {}
    group, plural = spec.get("group", ""), names.get("plural", "")
    causes: list[Cause] = []
    name = (obj.get("metadata") or {}).get("name")
    if name != f"{plural}.{group}":
        causes.append(invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    if not group:
        causes.append(required("spec.group"))
    elif wrong := is_dns_subdomain(group):
        causes.append(invalid("spec.group", group, wrong))
    elif "." not in group:
        causes.append(invalid("spec.group", group, "should be a domain with at least one dot"))
    causes += one_of("spec.scope", spec.get("scope"), ("Cluster", "Namespaced"))
    causes += _names(names)
    return causes + _versions(spec.get("versions") or [])


def _names(names: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    for key in ("plural", "singular", "kind", "listKind"):
        value = names.get(key)
        if not value:
            causes.append(required(f"spec.names.{key}"))
        elif wrong := is_dns_1035_label(value.lower()):
            causes.append(invalid(f"spec.names.{key}", value, wrong))
    causes += [
        invalid(f"spec.names.{key}", names[key], "must be lower case")
        for key in ("plural", "singular")
        if names.get(key) and names[key] != names[key].lower()
    ]
    for index, short in enumerate(names.get("shortNames") or ()):
        if wrong := is_dns_1035_label(short):
            causes.append(invalid(f"spec.names.shortNames[{index}]", short, wrong))
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        causes.append(invalid("spec.names.listKind", names["listKind"], "kind and listKind may not be the same"))
    return causes


def _versions(versions: list[dict[str, Any]]) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, version in enumerate(versions):
        at = f"spec.versions[{index}]"
        name = version.get("name") or ""
        if wrong := is_dns_1035_label(name):
            causes.append(invalid(f"{at}.name", name, wrong))
        elif name in seen:
            causes.append(duplicate(f"{at}.name", name))
        seen.add(name)
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is None:
            causes.append(required(f"{at}.{_SCHEMA}", "schemas are required"))
        else:
            wrong_schema = check_structural(schema, f"{at}.{_SCHEMA}")
            causes += wrong_schema or _expressions(schema, f"{at}.{_SCHEMA}")
        for number, column in enumerate(version.get("additionalPrinterColumns") or ()):
            where = f"{at}.additionalPrinterColumns[{number}]"
            if column.get("type") not in _COLUMN_TYPES:
                causes.append(unsupported(f"{where}.type", column.get("type"), _COLUMN_TYPES))
            if not str(column.get("jsonPath", "")).startswith((".", "{.")):
                causes.append(
                    invalid(f"{where}.jsonPath", column.get("jsonPath"), "must be a simple json path starting with .")
                )
    if sum(bool(version.get("storage")) for version in versions) != 1:
        listed = [version.get("name") for version in versions]
        causes.append(invalid("spec.versions", listed, "must have exactly one version marked as storage version"))
    return causes


def _expressions(schema: Any, path: str) -> list[Cause]:
    """Return what is wrong with CEL rules; the language is loaded only for a schema that has some."""
    if b'"x-kubernetes-validations"' not in orjson.dumps(schema):
        return []
    from headwater.kube.schema.cel.rules import check_rules

    return check_rules(schema, path)


def check_structural(schema: Any, path: str) -> list[Cause]:
    """Return what keeps a custom resource's schema from being structural."""
    if not isinstance(schema, dict):
        return [invalid(path, schema, "must be an object")]
    causes: list[Cause] = []
    if schema.get("type") != "object":
        if not schema.get("type"):
            causes.append(required(f"{path}.type", "must not be empty at the root"))
        else:
            causes.append(invalid(f"{path}.type", schema["type"], "must be object at the root"))
    return causes + _structural(schema, path, 0, "", root=True)


def _structural(schema: dict[str, Any], path: str, depth: int, what: str, *, root: bool = False) -> list[Cause]:
    if depth > 60:
        return [forbidden(path, "nested more than 60 levels deep")]
    causes = _values(schema, path)
    kind = schema.get("type")
    if kind is None and not root:
        if not (schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")):
            causes.append(required(f"{path}.type", f"must not be empty for specified {what}"))
    elif kind is not None and kind not in _TYPES:
        causes.append(unsupported(f"{path}.type", kind, _TYPES))
    if schema.get("$ref"):
        causes.append(forbidden(f"{path}.$ref", "$ref is not supported"))
    if schema.get("uniqueItems"):
        causes.append(
            forbidden(
                f"{path}.uniqueItems",
                "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            )
        )
    properties, additional = schema.get("properties"), schema.get("additionalProperties")
    if properties and additional:
        causes.append(
            forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
        )
    for name, child in (properties or {}).items():
        at = f"{path}.properties[{name}]"
        if not isinstance(child, dict):
            causes.append(invalid(at, child, "must be an object"))
        elif not (root and name in ("apiVersion", "kind", "metadata")):
            causes += _structural(child, at, depth + 1, "object fields")
    if isinstance(additional, dict):
        causes += _structural(additional, f"{path}.additionalProperties", depth + 1, "object fields")
    items = schema.get("items")
    if isinstance(items, dict):
        causes += _structural(items, f"{path}.items", depth + 1, "array items")
    elif isinstance(items, list):
        causes.append(forbidden(f"{path}.items", "items must be a schema object and not an array"))
    elif kind == "array":
        causes.append(required(f"{path}.items", "must be specified"))
    causes += _list_keys(schema, path)
    if not schema.get("x-kubernetes-int-or-string"):
        causes += _operators(schema, path)
    return causes


def _values(schema: dict[str, Any], path: str) -> list[Cause]:
    causes: list[Cause] = []
    pattern = schema.get("pattern")
    if pattern is not None and compile_pattern(pattern) is None:
        causes.append(invalid(f"{path}.pattern", pattern, "must be a valid regular expression"))
    if "default" in schema:
        wrapper = {"type": "object", "properties": {"default": {**schema, "default": None}}}
        verdict = check(wrapper, {"default": schema["default"]})
        causes += [
            Cause(
                f"{path}.{cause.field}",
                re.sub(r"default(\S*) in body", f"{path}.default\\1 in body", cause.message),
                cause.reason,
            )
            for cause in verdict.causes
        ]
        causes += [invalid(f"{path}.{field}", "", "must be a known field") for field in verdict.unknown]
    return causes


def _list_keys(schema: dict[str, Any], path: str) -> list[Cause]:
    kind = schema.get("x-kubernetes-list-type")
    keys = schema.get("x-kubernetes-list-map-keys") or []
    causes = one_of(f"{path}.x-kubernetes-list-type", kind, ("atomic", "map", "set"))
    if kind == "map" and not keys:
        causes.append(
            required(f"{path}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map")
        )
    items = schema.get("items")
    if kind == "map" and isinstance(items, dict):
        for key in keys:
            field = (items.get("properties") or {}).get(key)
            if field is None:
                causes.append(
                    invalid(
                        f"{path}.x-kubernetes-list-map-keys", keys, "entries have to be defined in items.properties"
                    )
                )
            elif key not in (items.get("required") or ()) and "default" not in field:
                causes.append(
                    required(
                        f"{path}.items.properties[{key}].default",
                        "this property is in x-kubernetes-list-map-keys, "
                        "so it must have a default or be a required property",
                    )
                )
    return causes


def _operators(schema: dict[str, Any], path: str) -> list[Cause]:
    """Types, defaults and descriptions stand outside of logical operators."""
    causes: list[Cause] = []
    branches = [
        (f"{path}.{key}[{index}]", one) for key in _OPERATORS for index, one in enumerate(schema.get(key) or ())
    ]
    if isinstance(schema.get("not"), dict):
        branches.append((f"{path}.not", schema["not"]))
    for at, branch in branches:
        if not isinstance(branch, dict):
            causes.append(invalid(at, branch, "must be an object"))
            continue
        outside = ("default", "additionalProperties", "nullable")
        causes += [
            forbidden(f"{at}.{key}", "must be undefined to be structural")
            for key in outside
            if branch.get(key) is not None
        ]
        if branch.get("type"):
            causes.append(forbidden(f"{at}.type", "must be empty to be structural"))
        causes += _operators(branch, at)
    return causes


def _crd_update(old: Object, new: Object) -> list[Cause]:
    before, after = old.get("spec") or {}, new.get("spec") or {}
    causes = unchanged("spec.group", before.get("group"), after.get("group"))
    causes += unchanged("spec.scope", before.get("scope"), after.get("scope"))
    for key in ("plural", "kind"):
        was, now = (before.get("names") or {}).get(key), (after.get("names") or {}).get(key)
        causes += unchanged(f"spec.names.{key}", was, now)
    served = {version.get("name") for version in after.get("versions") or ()}
    stored = (old.get("status") or {}).get("storedVersions") or ()
    for index, version in enumerate(stored):
        if version not in served:
            message = "must appear in spec.versions"
            causes.append(invalid(f"status.storedVersions[{index}]", version, message))
    return causes


CREATE = {("apiextensions.k8s.io", "CustomResourceDefinition"): _crd}
UPDATE = {("apiextensions.k8s.io", "CustomResourceDefinition"): _crd_update}
