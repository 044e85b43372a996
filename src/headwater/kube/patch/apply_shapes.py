"""How the values of a kind merge and who can own what of them, as its schema says.

A ``Shape`` is one node of a schema seen by server-side apply: an object merges by its fields unless the schema calls
it atomic; a list is atomic unless it is declared a set or a map (``x-kubernetes-list-type``, or the older
``x-kubernetes-patch-strategy``). What no schema describes is deduced from the value: objects merge, lists are atomic.
Shapes are made as values are walked, so that a kind costs what its objects use.
"""

from typing import Any, TypeAlias

import orjson

from headwater.kube.patch.apply_sets import key_step, value_step

Schema: TypeAlias = dict[str, Any]

_ABSENT = object()

_KEY_DEFAULTS = {"protocol": "TCP"}
"""Defaults of list keys that the published schemas leave out; upstream has this one (container and service ports)."""

_VALUE_STRUCTS = frozenset(
    {"metadata", "spec", "status", "template", "jobTemplate", "strategy", "updateStrategy", "involvedObject", "source"}
)
"""Fields that Kubernetes' own types hold by value: they exist in an object that has nothing set."""


class Shape:
    """What server-side apply needs to know of one node of a schema."""

    __slots__ = (
        "_children",
        "_open",
        "_others",
        "_schemas",
        "_shared",
        "atomic",
        "by_value",
        "keys",
        "schema",
        "steps",
    )

    def __init__(self, schema: Schema, shared: dict[int, "Shape"]) -> None:
        self.schema = schema
        self._shared = shared
        self._children: dict[str, Shape] = {}
        self._schemas: Schema = schema.get("properties") or {}
        self.steps: dict[str, tuple[str, Shape]] = {}
        """What ``at`` returned for declared fields; read it directly where speed matters."""
        self._others: Shape | None = None
        self._open = _is_open(schema)
        list_type, keys = _list_type(schema)
        is_list = schema.get("type") == "array"
        self.by_value = list_type == "set"
        """Items of this list are told apart by their value."""
        self.keys: tuple[tuple[str, Any], ...] = keys
        """Items of this list are told apart by these fields, given with their defaults."""
        self.atomic = list_type == "atomic" if is_list else schema.get("x-kubernetes-map-type") == "atomic"
        """Owned and replaced as a whole."""

    def field(self, name: str) -> "Shape | None":
        """Return the shape of a field that the schema declares, or ``None``."""
        child = self._children.get(name)
        if child is None and name in self._schemas:
            child = self._children[name] = self._of(self._schemas[name])
        return child

    def at(self, name: str) -> "tuple[str, Shape]":
        """Return the step to a field and the shape of what is there, deduced where the schema does not say."""
        child = self.field(name)
        if child is None:
            return "f:" + name, self.others or DEDUCED
        found = self.steps[name] = ("f:" + name, child)
        return found

    @property
    def others(self) -> "Shape | None":
        """The shape of a map's values or a list's items; ``None`` where no undeclared field may be."""
        if self._others is None:
            inner = self.schema.get("items") if self.schema.get("type") == "array" else None
            inner = inner or self.schema.get("additionalProperties")
            if isinstance(inner, dict):
                self._others = self._of(inner)
            elif self._open:
                self._others = DEDUCED
        return self._others

    def define(self, name: str, shape: "Shape") -> None:
        """Say what a field is, whatever the schema says (the metadata of a custom resource)."""
        self.steps.pop(name, None)
        self._children[name] = shape

    def _of(self, schema: Schema) -> "Shape":
        known = self._shared.get(id(schema))
        if known is None:
            known = self._shared[id(schema)] = Shape(schema, self._shared)
        return known

    def step(self, item: Any) -> str | None:
        """Return the step to an item of this list, ``None`` when it cannot be told apart from the others."""
        try:
            return self._step(item)
        except TypeError:
            # A number beyond 64 bits, which only YAML can bring.
            return None

    def _step(self, item: Any) -> str | None:
        if self.by_value:
            return None if isinstance(item, dict | list) or item is None else value_step(item)
        if not isinstance(item, dict):
            return None
        found: dict[str, Any] = {}
        given = False
        for name, default in self.keys:
            value = item.get(name)
            if value is not None:
                given = True
            elif default is _ABSENT:
                return None
            else:
                value = default
            if isinstance(value, dict | list):
                return None
            found[name] = value
        return key_step(found) if given else None


def _is_open(schema: Schema) -> bool:
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return True
    additional = schema.get("additionalProperties")
    return additional is True or not (schema.get("type") or schema.get("properties"))


def _list_type(schema: Schema) -> tuple[str, tuple[tuple[str, Any], ...]]:
    names: list[str] = []
    list_type = schema.get("x-kubernetes-list-type")
    if list_type == "map":
        names = schema.get("x-kubernetes-list-map-keys") or []
    elif list_type is None and "merge" in str(schema.get("x-kubernetes-patch-strategy", "")).split(","):
        key = schema.get("x-kubernetes-patch-merge-key")
        list_type = "map" if key else "set"
        names = [key] if key else []
    if list_type not in ("map", "set") or (list_type == "map" and not names):
        return "atomic", ()
    properties = (schema.get("items") or {}).get("properties") or {}
    keys = tuple(
        (name, (properties.get(name) or {}).get("default", _KEY_DEFAULTS.get(name, _ABSENT))) for name in sorted(names)
    )
    return list_type, keys


DEDUCED = Shape({"x-kubernetes-preserve-unknown-fields": True}, {})
"""Anything: what no schema describes."""


def shape_of(schema: Schema, metadata: "Shape | None" = None) -> Shape:
    """Return the shape of a kind. A custom resource's needs the shape of ``metadata``, which its schema leaves open."""
    shape = Shape(schema, {})
    if metadata is not None:
        shape.define("metadata", metadata)
        for name in ("apiVersion", "kind"):
            shape.define(name, _TEXT)
    return shape


_TEXT = Shape({"type": "string"}, {})


def empty_object(schema: Schema) -> Schema:
    """Return what a built-in kind's object has when nothing is set, as far as ownership can see it.

    Structures held by value and required lists are there from the beginning, so nobody comes to own them by
    creating the object; only what is in them.
    """
    found: Schema = {}
    required = schema.get("required") or ()
    for name, child in (schema.get("properties") or {}).items():
        if child.get("properties") and (name in _VALUE_STRUCTS or name in required):
            found[name] = empty_object(child)
        elif name in required and child.get("type") in ("array", "object"):
            found[name] = [] if child["type"] == "array" else {}
    return orjson.loads(orjson.dumps(found)) if found else {}
