"""Who owns the fields of an object: keeps ``metadata.managedFields`` in every write, and applies configurations.

The rules are ``kube.patch.apply``'s; this module knows the served kinds, reads a request's manager, and says in
Kubernetes' words what cannot be applied. As upstream, ownership is decided on the decoded and defaulted object, before
admission changes it; an object that has no managers (stored before they were kept, or reset) gets its first by an
apply.
"""

from functools import cache
from typing import Any

from headwater.cluster.apiserver.answers import Warnings, WriteOptions
from headwater.cluster.apiserver.registry import Served
from headwater.cluster.apiserver.schemas import builtin_schema, schema_of
from headwater.kube.client import PatchType
from headwater.kube.meta.errors import Cause, StatusError, bad_request, invalid
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import Resource
from headwater.kube.patch import PatchError
from headwater.kube.patch.apply import (
    ApplyConflict,
    Entry,
    Shape,
    Writer,
    apply,
    empty_object,
    entries_before,
    read_entries,
    shape_of,
    track,
)
from headwater.kube.schema.builtin import OBJECT_META, builtin

_LONGEST_MANAGER = 128
_NOTHING: Object = {}

_custom_shapes: dict[Resource, tuple[Any, Shape]] = {}


@cache
def _builtin_shape(resource: Resource) -> tuple[Shape, Object]:
    schema = builtin_schema(resource)
    return shape_of(schema), empty_object(schema)


@cache
def _metadata_shape() -> Shape:
    return shape_of(builtin().definition(OBJECT_META))


def shape_and_empty(served: Served) -> tuple[Shape, Object]:
    """Return how a kind merges, and what its object has when nothing is set."""
    if not served.custom:
        return _builtin_shape(served.resource)
    schema = schema_of(served)
    known = _custom_shapes.get(served.resource)
    if known is None or known[0] is not schema:
        # One for each kind: a definition that changes replaces it.
        known = _custom_shapes[served.resource] = (schema, shape_of(schema, _metadata_shape()))
    return known[1], _NOTHING


def check_manager(options: WriteOptions, kind: str, patch_type: PatchType | None = None) -> None:
    """Check ``fieldManager`` and ``force`` of a request. Raises ``StatusError`` 422."""
    causes: list[Cause] = []
    manager = options.field_manager
    if patch_type is PatchType.APPLY and not manager:
        causes.append(Cause("fieldManager", "Required value: is required for apply patch", "FieldValueRequired"))
    if len(manager.encode()) > _LONGEST_MANAGER:
        causes.append(Cause("fieldManager", f"Too long: may not be more than {_LONGEST_MANAGER} bytes"))
    if not manager.isprintable():
        said = f"Invalid value: {manager!r}: should only contain printable characters"
        causes.append(Cause("fieldManager", said))
    if options.force and patch_type is not PatchType.APPLY:
        causes.append(Cause("force", "Forbidden: may not be specified for non-apply patch", "FieldValueForbidden"))
    if causes:
        raise invalid("meta.k8s.io", kind, "", causes)


def of_creation(served: Served, obj: Object, sent: Any, writer: Writer) -> list[Entry]:
    """Return the entries of a new object; ``sent`` are those that came with it."""
    shape, empty = shape_and_empty(served)
    return track(shape, empty, obj, read_entries(sent) or [], writer)


def of_update(served: Served, old: Object, new: Object, sent: Any, writer: Writer) -> list[Entry]:
    """Return the entries after an update, both states in the version that was asked for."""
    live = old["metadata"].get("managedFields")
    entries = entries_before(live, sent, subresource=writer.subresource)
    if not entries:
        return []
    return track(shape_and_empty(served)[0], old, new, entries, writer)


def mend(obj: Object, entries: list[Entry] | None, warnings: Warnings) -> None:
    """Put the entries back that admission spoiled, and say so; what it merely changed stays."""
    metadata = obj["metadata"]
    now = metadata.get("managedFields")
    if not now or now == entries:
        return
    read = read_entries(now)
    if read is not None:
        metadata["managedFields"] = read
        return
    warnings.append(
        ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating "
        "admission controller; the managers from before it were kept"
    )
    if entries:
        metadata["managedFields"] = entries
    else:
        del metadata["managedFields"]


def check_config(wanted: Resource, config: Any) -> Object:
    """Return an applied configuration without what cannot be applied. Raises ``StatusError`` 400."""
    if not isinstance(config, dict):
        raise bad_request("the patch must be an object")
    if not config.get("apiVersion") or not config.get("kind"):
        raise bad_request(
            "an applied configuration must say what it is: "
            f"set apiVersion: {wanted.api_version} and kind: {wanted.kind}"
        )
    if config["apiVersion"] != wanted.api_version:
        raise bad_request(
            "Incorrect version specified in apply patch. "
            f"Specified patch version: {config['apiVersion']}, expected: {wanted.api_version}"
        )
    metadata = {} if config.get("metadata") is None else config["metadata"]
    if not isinstance(metadata, dict):
        raise bad_request("metadata must be an object")
    if metadata.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    return {**config, "metadata": metadata}


def applied(
    served: Served, live: Object | None, config: Object, writer: Writer, *, name: str, force: bool = False
) -> Object:
    """Return the object that an applied configuration leads to, with its entries; ``live=None`` when it is new.

    Of the configuration only the status counts for ``status``, and everything else otherwise. Raises ``StatusError``
    400 when it does not fit the schema, 409 with the fields and their managers on a conflict; ``name`` is for these.
    """
    shape, empty = shape_and_empty(served)
    if writer.subresource == "status":
        config = {key: config[key] for key in ("apiVersion", "kind", "status") if key in config}
    elif served.has_status:
        config = {key: value for key, value in config.items() if key != "status"}
    entries = (live or {}).get("metadata", {}).get("managedFields") or []
    start = _NOTHING
    if live is not None:
        start = {**live, "metadata": {key: value for key, value in live["metadata"].items() if key != "managedFields"}}
    try:
        obj, entries = apply(
            shape, start, config, entries, writer, empty=empty if live is not None else start, force=force
        )
    except PatchError as error:
        what = f"{name}; {served.resource.api_version}, Kind={served.resource.kind}"
        raise bad_request(f"failed to create typed patch object ({what}): {error}") from error
    except ApplyConflict as error:
        causes = [
            {"reason": "FieldManagerConflict", "message": f"conflict with {each.owner}", "field": each.field}
            for each in error.conflicts
        ]
        raise StatusError(409, "Conflict", str(error), {"causes": causes}) from error
    return {**obj, "metadata": {**obj["metadata"], "managedFields": entries}}
