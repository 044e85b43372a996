"""Checking single values against a schema, and writing of them as Kubernetes does.

Formats and bounds as ``kube-openapi/pkg/validation`` checks them; patterns are Go's RE2, of which Python's syntax is
near enough once the anchors and the character classes are put right.
"""

import base64
import binascii
import math
import re
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from headwater.kube.meta.errors import Cause
from headwater.kube.schema.builtin import Schema

_INT32 = 2**31
_INT64 = 2**63
_SHOWN = 1000
"""Characters of a value that a message shows."""


def invalid(path: str, value: Any, message: str, reason: str = "FieldValueInvalid") -> Cause:
    """Return ``Invalid value: <value>: <message>``."""
    return Cause(path, f"Invalid value: {show(value)}: {message}", reason)


def wrong_type(path: str, expected: str, value: Any) -> Cause:
    """Return the cause for a value of another type than the schema's."""
    found = _type_name(value)
    message = f'{named(path)} must be of type {expected}: "{found}"'
    return invalid(path, found, message, "FieldValueTypeInvalid")


def named(path: str) -> str:
    """Name a field inside a message."""
    return f"{path} in body" if path else "body"


def show(value: Any) -> str:
    """Write a value as Go's ``field.Error`` does."""
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() else repr(value)
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def same(left: Any, right: Any) -> bool:
    """Compare as JSON: unlike in Python, ``true`` is not ``1``."""
    return bool(left == right) and isinstance(left, bool) is isinstance(right, bool)


def check_text(schema: Schema, value: str, path: str) -> list[Cause]:
    """Check a string's length, pattern and format."""
    causes: list[Cause] = []
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        message = f"Too long: may not be more than {schema['maxLength']} bytes"
        causes.append(Cause(path, message, "FieldValueTooLong"))
    if "minLength" in schema and len(value) < schema["minLength"]:
        causes.append(invalid(path, value, f"{named(path)} should be at least {schema['minLength']} chars long"))
    if "pattern" in schema:
        pattern = compile_pattern(schema["pattern"])
        if pattern is None:
            message = f"the schema's pattern '{schema['pattern']}' is not a regular expression"
            causes.append(invalid(path, value, message))
        elif not pattern.search(value):
            causes.append(invalid(path, value, f"{named(path)} should match '{schema['pattern']}'"))
    match schema.get("format"):
        case "date-time" if not _is_time(value):
            message = f'{named(path)} must be of type date-time: "{value}"'
            causes.append(invalid(path, value, message, "FieldValueTypeInvalid"))
        case "byte" if not _is_base64(value):
            # Without the value: it is mostly a secret.
            causes.append(Cause(path, "Invalid value: illegal base64 data", "FieldValueInvalid"))
    return causes


def check_number(schema: Schema, value: int | float, path: str) -> list[Cause]:
    """Check a number's size and bounds."""
    causes: list[Cause] = []
    match schema.get("format"):
        case "int32" if not -_INT32 <= value < _INT32:
            causes.append(invalid(path, value, f"{named(path)} must be of type int32", "FieldValueTypeInvalid"))
        case "int64" if not -_INT64 <= value < _INT64:
            causes.append(invalid(path, value, f"{named(path)} must be of type int64", "FieldValueTypeInvalid"))
    minimum, maximum = schema.get("minimum"), schema.get("maximum")
    if minimum is not None and (value <= minimum if schema.get("exclusiveMinimum") else value < minimum):
        bound = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        causes.append(invalid(path, value, f"{named(path)} should be {bound} {show(minimum)}"))
    if maximum is not None and (value >= maximum if schema.get("exclusiveMaximum") else value > maximum):
        bound = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        causes.append(invalid(path, value, f"{named(path)} should be {bound} {show(maximum)}"))
    multiple = schema.get("multipleOf")
    if multiple and not math.isclose(value / multiple, round(value / multiple), abs_tol=1e-9):
        causes.append(invalid(path, value, f"{named(path)} should be a multiple of {show(multiple)}"))
    return causes


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> re.Pattern[str] | None:
    """Compile a schema's pattern, which is written for Go's RE2, or return ``None`` when it is not one."""
    translated = re.sub(r"(?<!\\)((?:\\\\)*)\\z", r"\1\\Z", pattern)
    translated = re.sub(r"(?<!\\)((?:\\\\)*)\$(?=$|\)|\|)", r"\1\\Z", translated)
    try:
        return re.compile(translated, re.ASCII)
    except re.error:
        return None


def _type_name(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case int():
            return "integer"
        case float():
            return "number"
        case list():
            return "array"
    return "object"


def _is_time(value: str) -> bool:
    if len(value) < 20 or value[10] not in "Tt":
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
