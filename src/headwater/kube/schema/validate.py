"""Checking an object against a schema: types, values, unknown fields, in one walk.

Messages, reasons and paths are those of Kubernetes' ``apiextensions-apiserver`` and ``kube-openapi``. Two dialects
differ where Kubernetes itself does. A built-in kind is decoded by Go's rules: ``null`` means absent. A custom
resource is validated as JSON: ``null`` is a value, allowed where ``nullable`` says so. Rules that no schema can say
are in ``rules``; CEL rules (``x-kubernetes-validations``) are evaluated by ``cel.rules``.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from headwater.kube.meta.errors import Cause
from headwater.kube.meta.objects import Object
from headwater.kube.meta.quantities import format_quantity, parse_quantity
from headwater.kube.schema.builtin import BUILTIN, OBJECT_META, Schema, builtin
from headwater.kube.schema.filling import apply_defaults
from headwater.kube.schema.scalars import check_number, check_text, invalid, named, same, show, wrong_type

__all__ = ["Verdict", "apply_defaults", "check"]

_DEPTH = 100
"""Nesting beyond this is refused instead of followed."""

_DROP = object()


@dataclass(slots=True)
class Verdict:
    """What a schema says of an object."""

    pruned: Object
    """The object without unknown fields. Shares structure with the original; it is the original if nothing went."""
    unknown: list[str] = field(default_factory=list)
    """Paths of the fields that the schema does not know."""
    causes: list[Cause] = field(default_factory=list)
    """What is wrong, in the order of the object's fields."""

    @property
    def strict_message(self) -> str:
        """What Kubernetes says of the unknown fields under strict validation, or an empty string."""
        if not self.unknown:
            return ""
        return "strict decoding error: " + ", ".join(f'unknown field "{path}"' for path in self.unknown)


def check(schema: Schema, obj: Object) -> Verdict:
    """Return what is wrong with an object, and the object without its unknown fields."""
    walk = _Walk(bool(schema.get(BUILTIN)))
    if not isinstance(obj, dict):
        walk.wrong_type("", "object", obj)
        return Verdict({}, [], walk.causes)
    pruned = walk.builtin_root(schema, obj) if walk.builtin else walk.resource(schema, obj, "", 0)
    return Verdict(pruned, walk.unknown, walk.causes)


class _Walk:
    def __init__(self, is_builtin: bool) -> None:
        self.builtin = is_builtin
        self.in_status = False
        self.in_branch = False
        self.unknown: list[str] = []
        self.causes: list[Cause] = []

    # Causes

    def invalid(self, path: str, value: Any, message: str) -> None:
        self.causes.append(invalid(path, value, message))

    def wrong_type(self, path: str, expected: str, value: Any) -> None:
        self.causes.append(wrong_type(path, expected, value))

    def required(self, path: str) -> None:
        self.causes.append(Cause(path, "Required value", "FieldValueRequired"))

    # Objects

    def builtin_root(self, schema: Schema, obj: Object) -> Object:
        properties: dict[str, Schema] = schema.get("properties", {})
        for key in ("apiVersion", "kind"):
            if key in properties and not isinstance(obj.get(key, ""), str):
                self.wrong_type(key, "string", obj[key])
        return self.mapping(schema, obj, "", 0, root=True)

    def resource(self, schema: Schema, obj: Object, path: str, depth: int) -> Object:
        """Walk an object that has ``apiVersion``, ``kind`` and ``metadata``, whatever its schema says of them."""
        for key in ("apiVersion", "kind"):
            if key not in obj:
                if path:
                    self.required(f"{path}.{key}")
            elif not isinstance(obj[key], str):
                self.wrong_type(_join(path, key), "string", obj[key])
        pruned = self.mapping(schema, obj, path, depth, resource=True)
        metadata = obj.get("metadata")
        if metadata is not None:
            if not isinstance(metadata, dict):
                self.wrong_type(_join(path, "metadata"), "object", metadata)
            else:
                inner = _Walk(True)
                kept = inner.mapping(builtin().definition(OBJECT_META), metadata, _join(path, "metadata"), depth + 1)
                self.unknown += inner.unknown
                self.causes += inner.causes
                extra = schema.get("properties", {}).get("metadata", {}).get("properties", {})
                for name, rules in extra.items():
                    if name in metadata:
                        self.node(rules, metadata[name], f"{_join(path, 'metadata')}.{name}", depth + 1)
                if kept is not metadata:
                    pruned = {**pruned, "metadata": kept}
        return pruned

    def mapping(
        self, schema: Schema, obj: Object, path: str, depth: int, *, root: bool = False, resource: bool = False
    ) -> Object:
        if depth > _DEPTH:
            self.invalid(path, "object", f"nested more than {_DEPTH} levels deep")
            return obj
        properties: dict[str, Schema] | None = schema.get("properties")
        additional = schema.get("additionalProperties")
        keep_unknown = self.in_branch or additional is True or bool(schema.get("x-kubernetes-preserve-unknown-fields"))
        result = obj
        for key, value in obj.items():
            if resource and key in ("apiVersion", "kind", "metadata"):
                continue
            child = properties.get(key) if properties else None
            if child is None:
                if isinstance(additional, dict):
                    child = additional
                    if value is None and self.builtin:
                        value = _ZERO.get(additional.get("type", ""), _DROP)
                elif keep_unknown:
                    self.depth(value, _join(path, key), depth + 1)
                    continue
                else:
                    self.unknown.append(_join(path, key))
                    if result is obj:
                        result = dict(obj)
                    del result[key]
                    continue
            if value is None and self.builtin:
                kept = self.absent(schema, key, child)
            elif value is _DROP:
                kept = _DROP
            else:
                if root and key == "status":
                    self.in_status = True
                kept = self.node(child, value, _join(path, key), depth + 1)
                if root and key == "status":
                    self.in_status = False
            if kept is not obj[key]:
                if result is obj:
                    result = dict(obj)
                if kept is _DROP:
                    del result[key]
                else:
                    result[key] = kept
        self.missing(schema, obj, path)
        if "minProperties" in schema and len(obj) < schema["minProperties"]:
            self.invalid(path, obj, f"{named(path)} should have at least {schema['minProperties']} properties")
        if "maxProperties" in schema and len(obj) > schema["maxProperties"]:
            self.too_many(path, len(obj), schema["maxProperties"])
        return result

    def absent(self, schema: Schema, key: str, child: Schema) -> Any:
        """Go reads ``null`` as nothing; a required list is then an empty one."""
        if child.get("type") == "array" and key in schema.get("required", ()):
            return []
        return _DROP

    def missing(self, schema: Schema, obj: Object, path: str) -> None:
        for key in schema.get("required", ()):
            if key in obj and not (
                obj[key] is None and self.builtin and schema.get("properties", {}).get(key, {}).get("type") != "array"
            ):
                continue
            if not self.in_status:
                self.required(_join(path, key))

    def too_many(self, path: str, count: int, most: int) -> None:
        self.causes.append(Cause(path, f"Too many: {count}: must have at most {most} items", "FieldValueTooMany"))

    # Any value

    def node(self, schema: Schema, value: Any, path: str, depth: int) -> Any:
        """Check one value; return it without what the schema does not know."""
        kind = schema.get("type")
        if value is None:
            if schema.get("nullable") or (kind is None and not schema.get("x-kubernetes-int-or-string")):
                return None
            self.wrong_type(path, kind or "integer,string", None)
            return None
        result = value
        match kind:
            case "object":
                if not isinstance(value, dict):
                    self.wrong_type(path, "object", value)
                    return value
                if schema.get("x-kubernetes-embedded-resource"):
                    result = self.resource(schema, value, path, depth)
                else:
                    result = self.mapping(schema, value, path, depth)
            case "array":
                if not isinstance(value, list):
                    self.wrong_type(path, "array", value)
                    return value
                result = self.sequence(schema, value, path, depth)
            case "string":
                if not isinstance(value, str):
                    self.wrong_type(path, "string", value)
                    return value
                if len(schema) > 1:
                    self.causes += check_text(schema, value, path)
            case "integer":
                if isinstance(value, float) and not self.builtin and value.is_integer():
                    result = value = int(value)
                if not isinstance(value, int) or isinstance(value, bool):
                    self.wrong_type(path, "integer", value)
                    return value
                self.causes += check_number(schema, value, path)
            case "number":
                if not isinstance(value, int | float) or isinstance(value, bool):
                    self.wrong_type(path, "number", value)
                    return value
                self.causes += check_number(schema, value, path)
            case "boolean":
                if not isinstance(value, bool):
                    self.wrong_type(path, "boolean", value)
                    return value
            case None:
                result = self.untyped(schema, value, path, depth)
        if "enum" in schema and not any(same(value, allowed) for allowed in schema["enum"]):
            supported = ", ".join(show(allowed) for allowed in schema["enum"] if allowed is not None)
            self.causes.append(
                Cause(
                    path, f"Unsupported value: {show(value)}: supported values: {supported}", "FieldValueNotSupported"
                )
            )
        if not self.builtin:
            self.combined(schema, value, path, depth)
        return result

    def untyped(self, schema: Schema, value: Any, path: str, depth: int) -> Any:
        if schema.get("x-kubernetes-int-or-string"):
            if not isinstance(value, int | str) or isinstance(value, bool):
                self.wrong_type(path, "integer,string", value)
            elif isinstance(value, int):
                self.causes += check_number({"format": "int32", **schema} if self.builtin else schema, value, path)
            else:
                self.causes += check_text({**schema, "format": ""}, value, path)
            return value
        if schema.get("format") == "quantity":
            return self.quantity(value, path)
        if not schema:
            self.depth(value, path, depth)
            return value
        if isinstance(value, dict):
            if not self.in_branch and not _OBJECT_KEYWORDS & schema.keys():
                self.depth(value, path, depth)
                return value
            return self.mapping(schema, value, path, depth)
        if isinstance(value, list):
            return self.sequence(schema, value, path, depth)
        if isinstance(value, str):
            self.causes += check_text(schema, value, path)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self.causes += check_number(schema, value, path)
        return value

    def depth(self, value: Any, path: str, depth: int) -> None:
        """Refuse what is nested without end where the schema lets anything stand."""
        level = [value]
        while level := [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]:
            depth += 1
            if depth > _DEPTH:
                self.invalid(path, "object", f"nested more than {_DEPTH} levels deep")
                return

    def quantity(self, value: Any, path: str) -> Any:
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            self.wrong_type(path, "string", value)
            return value
        try:
            amount = parse_quantity(value)
        except ValueError as error:
            self.invalid(path, value, str(error))
            return value
        return value if isinstance(value, str) else format_quantity(amount)

    def sequence(self, schema: Schema, value: list[Any], path: str, depth: int) -> list[Any]:
        if depth > _DEPTH:
            self.invalid(path, "array", f"nested more than {_DEPTH} levels deep")
            return value
        result = value
        items = schema.get("items")
        if isinstance(items, dict):
            for index, item in enumerate(value):
                kept = self.node(items, item, f"{path}[{index}]", depth + 1)
                if kept is not item:
                    if result is value:
                        result = list(value)
                    result[index] = kept
        if "minItems" in schema and len(value) < schema["minItems"]:
            self.invalid(path, value, f"{named(path)} should have at least {schema['minItems']} items")
        if "maxItems" in schema and len(value) > schema["maxItems"]:
            self.too_many(path, len(value), schema["maxItems"])
        if not self.builtin and schema.get("x-kubernetes-list-type") in ("set", "map"):
            self.duplicates(schema, value, path)
        return result

    def duplicates(self, schema: Schema, value: list[Any], path: str) -> None:
        keys = schema.get("x-kubernetes-list-map-keys")
        defaults = {
            key: rules["default"]
            for key, rules in schema.get("items", {}).get("properties", {}).items()
            if key in (keys or ()) and "default" in rules
        }
        seen: set[bytes] = set()
        for index, item in enumerate(value):
            identity = item
            if keys and isinstance(item, dict):
                identity = {key: item.get(key, defaults.get(key)) for key in keys}
            encoded = orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)
            if encoded in seen:
                message = f"Duplicate value: {show(identity)}"
                self.causes.append(Cause(f"{path}[{index}]", message, "FieldValueDuplicate"))
            seen.add(encoded)

    # allOf, anyOf, oneOf, not: they restrict values; a structural schema's fields are all outside of them.

    def combined(self, schema: Schema, value: Any, path: str, depth: int) -> None:
        if "allOf" in schema:
            for branch in schema["allOf"]:
                self.causes += self.branch(branch, value, path, depth)
        if schema.get("anyOf") and not schema.get("x-kubernetes-int-or-string"):
            tried = [self.branch(branch, value, path, depth) for branch in schema["anyOf"]]
            if all(tried):
                self.invalid(path, value, f"{named(path)} must validate at least one schema (anyOf)")
                self.causes += tried[0]
        if schema.get("oneOf") and not schema.get("x-kubernetes-int-or-string"):
            tried = [self.branch(branch, value, path, depth) for branch in schema["oneOf"]]
            passed = sum(not causes for causes in tried)
            if passed != 1:
                found = "Found none valid" if not passed else f"Found {passed} valid alternatives"
                message = f"{named(path)} must validate one and only one schema (oneOf). {found}"
                self.invalid(path, value, message)
                if not passed:
                    self.causes += tried[0]
        if "not" in schema and not self.branch(schema["not"], value, path, depth):
            self.invalid(path, value, f"{named(path)} must not validate the schema (not)")

    def branch(self, schema: Schema, value: Any, path: str, depth: int) -> list[Cause]:
        """Return what is wrong by a schema that stands inside a logical operator, where unknown fields are fine."""
        walk = _Walk(False)
        walk.in_branch = True
        if depth > _DEPTH:
            walk.invalid(path, "schema", f"nested more than {_DEPTH} levels deep")
        else:
            walk.node(schema, value, path, depth + 1)
        return walk.causes


_OBJECT_KEYWORDS = {"properties", "additionalProperties", "required", "minProperties", "maxProperties"}

_ZERO: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False}


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
