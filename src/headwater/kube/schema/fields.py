"""The fields of a dataclass as they stand on the wire: names, types, rules, descriptions.

What ``typed`` generates a CRD's schema from, and ``wire`` reads and writes objects by. A field is called in camel
case on the wire, is required when it has no default, and is described by the docstring below it.
"""

import dataclasses
import sys
import typing
from dataclasses import MISSING, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ast


@dataclass(frozen=True, slots=True)
class Rule:
    """What an annotation says of a field beyond its type."""

    keywords: dict[str, Any] = field(default_factory=dict)
    """Keywords of the schema, as they stand in it."""
    wire: str = ""
    """The field's name on the wire, where camel case is not it."""


def rule(
    *,
    description: str | None = None,
    default: Any = None,
    enum: typing.Sequence[Any] | None = None,
    pattern: str | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    min_items: int | None = None,
    max_items: int | None = None,
    format: str | None = None,  # noqa: A002 - the keyword's own name
    nullable: bool | None = None,
    list_keys: typing.Sequence[str] | None = None,
    wire: str = "",
) -> Rule:
    """Say more of a field, inside its ``Annotated``: a pattern, bounds, a description.

    ``default`` is filled in by the API server; ``list_keys`` makes a list a map by these (wire) keys.
    """
    keywords = {
        "description": description,
        "default": default,
        "enum": None if enum is None else list(enum),
        "pattern": pattern,
        "minimum": minimum,
        "maximum": maximum,
        "minLength": min_length,
        "maxLength": max_length,
        "minItems": min_items,
        "maxItems": max_items,
        "format": format,
        "nullable": nullable,
    }
    if list_keys is not None:
        keywords |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(list_keys)}
    return Rule({key: value for key, value in keywords.items() if value is not None}, wire)


def free_form() -> Rule:
    """Let a field hold what its sender likes: to stand inside its ``Annotated``."""
    return Rule({"x-kubernetes-preserve-unknown-fields": True})


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a dataclass."""

    name: str
    wire: str
    type: Any
    """The annotation without ``Annotated``; may still be a union with ``None``."""
    keywords: dict[str, Any]
    required: bool
    default: Any
    """The default's value, or ``dataclasses.MISSING``; that of a factory is made once, to compare with."""


def camel_case(name: str) -> str:
    """Return ``run_id`` as ``runId``; a trailing underscore, as in ``type_``, is not part of the name."""
    head, *rest = name.strip("_").split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


@cache
def fields_of(cls: type) -> tuple[Field, ...]:
    """Return the fields of a dataclass. Raises ``TypeError`` when it is none."""
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls!r} is not a dataclass")
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple(_field(declared, hints[declared.name]) for declared in dataclasses.fields(cls))


def _field(declared: "dataclasses.Field[Any]", hint: Any) -> Field:
    hint, rules = unwrap(hint)
    keywords = {key: value for found in rules for key, value in found.keywords.items()}
    wire = next((found.wire for found in rules if found.wire), "") or camel_case(declared.name)
    default = declared.default
    if declared.default_factory is not MISSING:
        default = declared.default_factory()
    required = default is MISSING and "default" not in keywords
    return Field(declared.name, wire, hint, keywords, required, default)


def unwrap(hint: Any) -> tuple[Any, list[Rule]]:
    """Take ``Annotated`` off a type; return it with the rules that stood there."""
    if typing.get_origin(hint) is typing.Annotated:
        inner, *extras = typing.get_args(hint)
        return inner, [extra for extra in extras if isinstance(extra, Rule)]
    return hint, []


def docs_of(cls: type) -> dict[str, str]:
    """Return the description of a class (under the empty key) and of its fields, from its docstrings.

    Reads the module's source; a class without a source has its own docstring only.
    """
    own = cls.__dict__.get("__doc__") or ""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        docs |= _module_docs(base.__module__).get(base.__qualname__.replace(".<locals>", ""), {})
    # What @dataclass writes for a class without a docstring describes nothing.
    docs[""] = "" if own.startswith(f"{cls.__name__}(") else _flowing(own)
    return {name: text for name, text in docs.items() if text}


@cache
def _module_docs(module: str) -> dict[str, dict[str, str]]:
    source = getattr(sys.modules.get(module), "__file__", None)
    if not source or not source.endswith(".py"):
        return {}
    import ast  # needed to generate a CRD only, and slow to import

    docs: dict[str, dict[str, str]] = {}
    _collect(ast.parse(Path(source).read_text(encoding="utf-8")), "", docs)
    return docs


def _collect(node: "ast.AST", prefix: str, docs: dict[str, dict[str, str]]) -> None:
    import ast

    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            _collect(child, f"{prefix}{child.name}.", docs)
        elif isinstance(child, ast.ClassDef):
            docs[f"{prefix}{child.name}"] = _attribute_docs(child)
            _collect(child, f"{prefix}{child.name}.", docs)


def _attribute_docs(node: "ast.ClassDef") -> dict[str, str]:
    import ast

    docs: dict[str, str] = {}
    for statement, following in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and isinstance(following.value.value, str)
        ):
            docs[statement.target.id] = _flowing(following.value.value)
    return docs


def _flowing(text: str) -> str:
    """Join a docstring's lines within its paragraphs: clients wrap descriptions themselves."""
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
