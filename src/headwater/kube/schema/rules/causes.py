"""Making causes with Kubernetes' wording (``k8s.io/apimachinery/pkg/util/validation/field``)."""

from collections.abc import Iterable
from typing import Any

from headwater.kube.meta.errors import Cause
from headwater.kube.schema.scalars import invalid, show

__all__ = [
    "IMMUTABLE",
    "at_least",
    "duplicate",
    "forbidden",
    "invalid",
    "not_found",
    "one_of",
    "port",
    "required",
    "unchanged",
    "unsupported",
]

IMMUTABLE = "field is immutable"


def required(field: str, message: str = "") -> Cause:
    """Return ``Required value[: <message>]``."""
    return Cause(field, f"Required value: {message}" if message else "Required value", "FieldValueRequired")


def duplicate(field: str, value: Any) -> Cause:
    """Return ``Duplicate value: <value>``."""
    return Cause(field, f"Duplicate value: {show(value)}", "FieldValueDuplicate")


def not_found(field: str, value: Any) -> Cause:
    """Return ``Not found: <value>``, for a name inside an object that nothing in it has."""
    return Cause(field, f"Not found: {show(value)}", "FieldValueNotFound")


def forbidden(field: str, message: str) -> Cause:
    """Return ``Forbidden: <message>``."""
    return Cause(field, f"Forbidden: {message}", "FieldValueForbidden")


def unsupported(field: str, value: Any, supported: Iterable[str]) -> Cause:
    """Return ``Unsupported value: <value>: supported values: …``."""
    values = ", ".join(f'"{name}"' for name in supported)
    return Cause(field, f"Unsupported value: {show(value)}: supported values: {values}", "FieldValueNotSupported")


def one_of(field: str, value: Any, supported: Iterable[str]) -> list[Cause]:
    """Check an enumeration; an absent value is fine."""
    supported = list(supported)
    return [] if value is None or value in supported else [unsupported(field, value, supported)]


def at_least(field: str, value: Any, minimum: int) -> list[Cause]:
    """Check a lower bound; an absent value is fine."""
    if value is None or value >= minimum:
        return []
    return [invalid(field, value, f"must be greater than or equal to {minimum}")]


def port(field: str, value: Any) -> list[Cause]:
    """Check a port number; an absent value is fine."""
    if value is None or (isinstance(value, int) and 1 <= value <= 65535):
        return []
    return [invalid(field, value, "must be between 1 and 65535, inclusive")]


def unchanged(field: str, old: Any, new: Any) -> list[Cause]:
    """Check that a field that may not change has not."""
    return [] if old == new else [invalid(field, new, IMMUTABLE)]
