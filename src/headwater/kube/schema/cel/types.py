"""What is known of a value before there is one: its type, from a schema, and how large it can be."""

from dataclasses import dataclass, field
from typing import Any

from headwater.kube.schema.builtin import Schema

REQUEST_BYTES = 3 * 1024 * 1024
"""The largest request: what bounds a list or a text that its schema does not."""


@dataclass(frozen=True, slots=True)
class Type:
    """A static type. ``dyn`` may be anything."""

    kind: str
    element: "Type | None" = None
    """Of a list's items or a map's values."""
    schema: Schema | None = field(default=None, compare=False)
    """Of an object with known fields."""
    size: int = field(default=REQUEST_BYTES, compare=False)
    """The most items, entries or characters."""
    root: bool = False

    def field(self, name: str) -> "Type | None":
        """Return the type of an object's field, or ``None`` when it has no such field."""
        properties = (self.schema or {}).get("properties") or {}
        if self.root:
            if name in ("apiVersion", "kind"):
                return STRING
            if name == "metadata":
                return _METADATA
        return type_of_schema(properties[name]) if name in properties else None

    @property
    def named(self) -> str:
        """The type as messages name it."""
        if self.kind in ("list", "map"):
            inner = self.element.named if self.element else "dyn"
            return f"list({inner})" if self.kind == "list" else f"map(string, {inner})"
        return self.kind


DYN = Type("dyn")
STRING = Type("string")
BOOL = Type("bool", size=1)
_METADATA = Type(
    "object", schema={"properties": {"name": {"type": "string"}, "generateName": {"type": "string"}}}, size=2
)


def type_of_schema(schema: Schema, *, root: bool = False) -> Type:
    """Return the type of the values that a structural schema allows."""
    if schema.get("x-kubernetes-int-or-string"):
        return DYN
    kind = schema.get("type")
    root = root or bool(schema.get("x-kubernetes-embedded-resource"))
    match kind:
        case "object":
            additional = schema.get("additionalProperties")
            if isinstance(additional, dict):
                return Type("map", type_of_schema(additional), size=_bound(schema, "maxProperties", additional))
            return Type("object", schema=schema, size=len(schema.get("properties") or ()) + 1, root=root)
        case "array":
            items = schema.get("items")
            items = items if isinstance(items, dict) else {}
            return Type("list", type_of_schema(items), size=_bound(schema, "maxItems", items))
        case "string":
            match schema.get("format"):
                case "date-time" | "date":
                    return Type("timestamp", size=30)
                case "duration":
                    return Type("duration", size=30)
                case "byte":
                    return Type("bytes", size=schema.get("maxLength", REQUEST_BYTES))
            if schema.get("enum"):
                return Type("string", size=max(len(str(value)) for value in schema["enum"]))
            return Type("string", size=schema.get("maxLength", REQUEST_BYTES))
        case "integer":
            return Type("int", size=1)
        case "number":
            return Type("double", size=1)
        case "boolean":
            return BOOL
    return DYN


def _bound(schema: Schema, key: str, child: Schema) -> int:
    bound = schema.get(key)
    return bound if isinstance(bound, int) else REQUEST_BYTES // (_smallest(child) + 1)


def _smallest(schema: Schema) -> int:
    """Return the fewest bytes that a value takes."""
    match schema.get("type"):
        case "object":
            required = [name for name in schema.get("required") or () if name in (schema.get("properties") or {})]
            return 2 + sum(len(name) + 4 + _smallest(schema["properties"][name]) for name in required)
        case "string" | "array":
            return 2 + int(schema.get("minLength", 0))
        case "boolean":
            return 4
    return 1


def value_of(schema: Schema, value: Any) -> Any:
    """Return a JSON value as the language sees it: numbers as doubles, dates as timestamps.

    Shares structure with the original where nothing differs.
    """
    from headwater.kube.schema.cel.functions import duration, timestamp
    from headwater.kube.schema.cel.values import CelError

    match schema.get("type"):
        case "number":
            return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        case "string":
            convert = {"date-time": timestamp, "duration": duration}.get(schema.get("format", ""))
            if convert is not None and isinstance(value, str):
                try:
                    return convert(value)
                except CelError:
                    return value
            return value
        case "array":
            items = schema.get("items")
            if isinstance(items, dict) and isinstance(value, list):
                made = [value_of(items, item) for item in value]
                return made if any(new is not old for new, old in zip(made, value, strict=True)) else value
            return value
    if not isinstance(value, dict):
        return value
    result = value
    properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
    for key, item in value.items():
        child = properties.get(key, additional)
        if isinstance(child, dict):
            made_one = value_of(child, item)
            if made_one is not item:
                if result is value:
                    result = dict(value)
                result[key] = made_one
    return result
