"""From what a caller sent to an object that may be stored: schema, defaults, rules.

A built-in kind's object that does not fit its schema cannot be decoded (400), as with Kubernetes' own types; a
custom resource's is invalid (422). Unknown fields are dropped, reported or refused as ``fieldValidation`` says.
"""

from functools import cache

from headwater.cluster.apiserver.answers import WriteOptions
from headwater.cluster.apiserver.registry import Served
from headwater.kube.meta.errors import Cause, StatusError, bad_request, invalid
from headwater.kube.meta.objects import Object, name_of
from headwater.kube.meta.resources import Resource
from headwater.kube.schema.builtin import Schema, builtin
from headwater.kube.schema.defaults import default_object
from headwater.kube.schema.filling import apply_defaults
from headwater.kube.schema.validate import check

_ANYTHING: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@cache
def builtin_schema(resource: Resource) -> Schema:
    """Return the schema of a built-in kind."""
    return builtin().schema_of(resource.group, resource.version, resource.kind)


def schema_of(served: Served) -> Schema:
    """Return the schema of a served kind; read only."""
    if served.custom:
        return _ANYTHING if served.schema is None else served.schema
    return builtin_schema(served.resource)


def decode(served: Served, obj: Object, options: WriteOptions) -> Object:
    """Return the object with defaults and without unknown fields; ``obj`` is given up.

    Raises ``StatusError`` 400 for what cannot be decoded or has fields that strict validation refuses, 422 for a
    custom resource with wrong values.
    """
    resource = served.resource
    schema = schema_of(served)
    if served.custom:
        obj = apply_defaults(schema, obj)
    verdict = check(schema, obj)
    if verdict.unknown:
        _report_unknown(resource, verdict.strict_message, verdict.unknown, options)
    if verdict.causes:
        if served.custom:
            raise invalid(resource.group, resource.kind, name_of(obj), verdict.causes)
        raise undecodable(resource, _sentence(verdict.causes))
    if served.custom:
        return verdict.pruned
    return default_object(resource.group, resource.kind, verdict.pruned)


def check_rules(served: Served, obj: Object, old: Object | None) -> list[Cause]:
    """Return what the CEL rules of a custom resource refuse; ``old`` is the former state on an update."""
    rules = served.attributes.get("rules")
    return rules.check(obj, old) if rules is not None else []


def undecodable(resource: Resource, why: str) -> StatusError:
    """Return the error for a body that is not an object of its kind (400)."""
    return bad_request(f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {why}')


def _sentence(causes: list[Cause]) -> str:
    return ", ".join(f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in causes)


def _report_unknown(resource: Resource, message: str, unknown: list[str], options: WriteOptions) -> None:
    match options.field_validation:
        case "Strict":
            raise undecodable(resource, message)
        case "Warn":
            options.warnings.extend(f'unknown field "{path}"' for path in unknown)
