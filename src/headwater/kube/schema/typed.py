"""Kinds written as dataclasses: the CRD is generated from the type.

A kind is a dataclass with a ``spec``, mostly a ``status``, and optionally ``metadata: Metadata``. Types become the
schema, docstrings the descriptions that ``kubectl explain`` shows::

    @kind(group="example.dev", version="v1", plural="widgets", columns=[Column("Size", "integer", ".spec.size")])
    @dataclass(frozen=True)
    class Widget:
        \"\"\"A thing of some size.\"\"\"

        spec: WidgetSpec
        status: WidgetStatus = WidgetStatus()

The result is a structural schema as ``apiextensions.k8s.io/v1`` asks for.
"""

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar

from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import Resource
from headwater.kube.schema.fields import Field, Rule, camel_case, docs_of, fields_of, free_form, rule, unwrap
from headwater.kube.schema.wire import KIND, LoadError, dump, load

__all__ = [
    "Column",
    "LoadError",
    "Metadata",
    "Rule",
    "camel_case",
    "crd",
    "dump",
    "free_form",
    "kind",
    "load",
    "resource_of",
    "rule",
    "schema_of",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column:
    """A column that ``kubectl get`` prints."""

    name: str
    type: Literal["string", "integer", "number", "boolean", "date"]
    json_path: str
    """Such as ``.status.state``."""
    description: str = ""
    wide: bool = False
    """Shown by ``-o wide`` only."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The parts of ``metadata`` that reconcilers read. Declares nothing in the schema: the API server's own does."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[dict[str, Any], ...] = ()
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Declared:
    resource: Resource
    columns: tuple[Column, ...]
    singular: str


def kind(
    *,
    group: str,
    version: str,
    plural: str,
    name: str = "",
    singular: str = "",
    short_names: Sequence[str] = (),
    categories: Sequence[str] = (),
    columns: Sequence[Column] = (),
    scope: Literal["Namespaced", "Cluster"] = "Namespaced",
) -> Callable[[type[T]], type[T]]:
    """Declare a dataclass to be a kind. ``name`` is the kind's, where it is not that of the class."""

    def declare(cls: type[T]) -> type[T]:
        subresources = frozenset({"status"} if "status" in cls.__annotations__ else ())
        resource = Resource(
            group,
            version,
            name or cls.__name__,
            plural,
            scope == "Namespaced",
            tuple(short_names),
            tuple(categories),
            subresources,
        )
        setattr(cls, KIND, _Declared(resource, tuple(columns), singular or resource.kind.lower()))
        return cls

    return declare


def _declared(cls: type) -> _Declared:
    found: _Declared | None = getattr(cls, KIND, None)
    if found is None:
        raise TypeError(f"{cls.__name__} is not declared to be a kind: decorate it with @kind(...)")
    return found


def resource_of(cls: type) -> Resource:
    """Return how the API serves the kind. Raises ``TypeError`` when the class is none."""
    return _declared(cls).resource


def crd(cls: type) -> Object:
    """Return the ``CustomResourceDefinition`` of a kind. Raises ``TypeError`` on what has no schema."""
    declared = _declared(cls)
    resource = declared.resource
    names: dict[str, Any] = {
        "kind": resource.kind,
        "listKind": resource.list_kind,
        "plural": resource.plural,
        "singular": declared.singular,
    }
    if resource.short_names:
        names["shortNames"] = list(resource.short_names)
    if resource.categories:
        names["categories"] = list(resource.categories)
    version: dict[str, Any] = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root(cls)},
    }
    if "status" in resource.subresources:
        version["subresources"] = {"status": {}}
    if declared.columns:
        version["additionalPrinterColumns"] = [_column(column) for column in _with_age(declared.columns)]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.group_resource},
        "spec": {
            "group": resource.group,
            "names": names,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [version],
        },
    }


def _with_age(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """A kind with columns of its own loses the age column, which everybody expects: put it back."""
    if any(column.json_path == ".metadata.creationTimestamp" for column in columns):
        return columns
    return (*columns, Column("Age", "date", ".metadata.creationTimestamp"))


def _column(column: Column) -> dict[str, Any]:
    written: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
    if column.description:
        written["description"] = column.description
    if column.wide:
        written["priority"] = 1
    return written


_ROOT = {
    "apiVersion": {
        "type": "string",
        "description": "The group and version of this object's schema.",
    },
    "kind": {"type": "string", "description": "The kind of this object."},
    "metadata": {"type": "object"},
}


def _root(cls: type) -> dict[str, Any]:
    schema = schema_of(cls)
    properties = {name: value for name, value in schema.get("properties", {}).items() if name not in _ROOT}
    schema["properties"] = {name: dict(value) for name, value in _ROOT.items()} | properties
    if "required" in schema:
        schema["required"] = [name for name in schema["required"] if name != "metadata"]
        if not schema["required"]:
            del schema["required"]
    return schema


def schema_of(cls: type) -> dict[str, Any]:
    """Return the schema of a dataclass. Raises ``TypeError`` on a field whose type has no schema."""
    return _class(cls, ())


def _class(cls: type, within: tuple[type, ...]) -> dict[str, Any]:
    if cls in within:
        raise TypeError(f"{cls.__name__} contains itself, which a CRD's schema cannot say: make the field free form")
    docs = docs_of(cls)
    schema: dict[str, Any] = {"type": "object"}
    if "" in docs:
        schema["description"] = docs[""]
    properties: dict[str, Any] = {}
    for declared in fields_of(cls):
        if declared.type is Metadata:
            continue
        try:
            properties[declared.wire] = _field_schema(declared, docs.get(declared.name, ""), (*within, cls))
        except TypeError as error:
            raise TypeError(f"{cls.__name__}.{declared.name}: {error}") from None
    schema["properties"] = properties
    required = [declared.wire for declared in fields_of(cls) if declared.required and declared.wire in properties]
    if required:
        schema["required"] = required
    return schema


def _field_schema(declared: Field, doc: str, within: tuple[type, ...]) -> dict[str, Any]:
    schema = _type(declared.type, within, free=bool(declared.keywords.get("x-kubernetes-preserve-unknown-fields")))
    if doc:
        schema["description"] = doc
    return schema | declared.keywords


_SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer", "format": "int64"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"},
}
_ANYTHING: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}


def _type(hint: Any, within: tuple[type, ...], *, free: bool = False) -> dict[str, Any]:
    hint, rules = unwrap(hint)
    keywords = {key: value for found in rules for key, value in found.keywords.items()}
    free = free or bool(keywords.get("x-kubernetes-preserve-unknown-fields"))
    return _bare(hint, within, free) | keywords


def _bare(hint: Any, within: tuple[type, ...], free: bool) -> dict[str, Any]:
    if hint in _SCALARS:
        return dict(_SCALARS[hint])
    if hint is Any:
        return dict(_ANYTHING)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        inner = [argument for argument in arguments if argument is not type(None)]
        if len(inner) == 1:
            return _type(inner[0], within, free=free)
        if set(inner) == {int, str}:
            return {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
        raise TypeError(f"a field of one of several types ({hint}) has no structural schema")
    if hint in (dict, Mapping) or origin in (dict, Mapping):
        if free or not arguments or arguments[1] is Any:
            return {"type": "object", **_ANYTHING}
        return {"type": "object", "additionalProperties": _type(arguments[1], within)}
    if origin in (list, Sequence) or (origin is tuple and arguments[1:] == (...,)):
        return {"type": "array", "items": _type(arguments[0], within)}
    if isinstance(hint, type):
        if issubclass(hint, enum.Enum):
            return {"type": "string", "enum": [member.value for member in hint]}
        if dataclasses.is_dataclass(hint):
            return {"type": "object", **_ANYTHING} if free else _class(hint, within)
    raise TypeError(f"the type {hint!r} has no schema")
