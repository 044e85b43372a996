"""Server-side apply: whose fields an object has, and what an applied configuration makes of it.

Every write leaves its mark in ``metadata.managedFields``: an update owns what it changed, an apply owns what it says.
An apply may not change what somebody else owns, unless forced; and a field that it said last time, says no more, and
that nobody else owns, is removed. Pure functions over plain objects, by the rules of
``sigs.k8s.io/structured-merge-diff`` and ``k8s.io/apimachinery/pkg/util/managedfields``.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from headwater.kube.patch.apply_entries import (
    APPLY,
    UPDATE,
    Entry,
    Writer,
    capped,
    entries_before,
    identity_of,
    ordered,
    owned,
    read_entries,
)
from headwater.kube.patch.apply_sets import Fields, difference, intersection, members, path_text, union
from headwater.kube.patch.apply_shapes import Shape, empty_object, shape_of
from headwater.kube.patch.apply_values import compare, declared, fields_of, fitted, merge, remove
from headwater.kube.patch.errors import refuse_depth

__all__ = [
    "ApplyConflict",
    "Conflict",
    "Entry",
    "Shape",
    "Writer",
    "apply",
    "empty_object",
    "entries_before",
    "read_entries",
    "shape_of",
    "track",
]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_KUBECTL = "kubectl"
_BEFORE = "before-first-apply"
_LARGEST_ANNOTATION = 256 * 1024

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that an apply would change and another manager owns."""

    entry: Entry
    path: tuple[str, ...]

    @property
    def field(self) -> str:
        """The field as Kubernetes writes it."""
        return path_text(self.path)

    @property
    def owner(self) -> str:
        """The manager as Kubernetes writes it: ``"kubectl" using apps/v1 at 2026-01-02T03:04:05Z``."""
        entry = self.entry
        said = _quoted(entry.get("manager", ""))
        if entry.get("subresource"):
            said += f" with subresource {_quoted(entry['subresource'])}"
        if entry["operation"] == UPDATE:
            said += f" using {entry['apiVersion']}"
            if entry.get("time"):
                said += f" at {entry['time']}"
        return said


class ApplyConflict(Exception):  # noqa: N818 - the field's own name
    """An apply that would change what others own; it says what and whose."""

    def __init__(self, conflicts: list[Conflict]) -> None:
        self.conflicts = conflicts
        super().__init__(_message(conflicts))


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def _message(conflicts: list[Conflict]) -> str:
    if len(conflicts) == 1:
        only = conflicts[0]
        return f"Apply failed with 1 conflict: conflict with {only.owner}: {only.field}"
    by_owner: dict[str, list[str]] = {}
    for conflict in conflicts:
        by_owner.setdefault(conflict.owner, []).append(conflict.field)
    lines = [
        "\n".join([f"conflicts with {owner}:", *(f"- {field}" for field in fields)])
        for owner, fields in sorted(by_owner.items())
    ]
    return f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)


def track(shape: Shape, old: Object, new: Object, entries: list[Entry], writer: Writer) -> list[Entry]:
    """Return the entries after an update: the writer owns what it changed, nobody what was removed.

    The same list when nothing changed that anybody could own.
    """
    changed, removed = compare(shape, old, new)
    touched, gone = owned(changed or {}), owned(removed or {})
    if not touched and not gone:
        return entries
    taken = union(touched, gone)
    me = writer.identity(UPDATE)
    left: list[Entry] = []
    mine: Fields = {}
    for entry in entries:
        fields = difference(entry["fieldsV1"], taken)
        if identity_of(entry) == me and touched:
            mine = fields
        elif fields:
            left.append(entry if fields == entry["fieldsV1"] else {**entry, "fieldsV1": fields})
    if touched:
        left.append(writer.entry(UPDATE, union(mine, touched)))
    return ordered(capped(left))


def apply(
    shape: Shape,
    live: Object,
    config: Object,
    entries: list[Entry],
    writer: Writer,
    *,
    empty: Object,
    force: bool = False,
) -> tuple[Object, list[Entry]]:
    """Return the live object with a configuration applied to it, and the entries after that.

    ``live`` is ``empty`` for an object that does not exist yet; ``empty`` is what an object of the kind has when
    nothing is set. Raises ``ApplyConflict`` unless forced, and ``PatchError`` when the configuration does not fit the
    schema.
    """
    refuse_depth(config)
    if not entries and live is not empty:
        # Nobody was recorded so far: all that is there belongs to those who wrote before the first apply.
        before = Writer(_BEFORE, writer.api_version, writer.time, writer.subresource)
        entries = track(shape, empty, live, [], before)
    said = owned(fields_of(shape, config, strict=True))
    me = writer.identity(APPLY)
    others = [entry for entry in entries if identity_of(entry) != me]
    last = next((entry for entry in entries if identity_of(entry) == me), None)
    last_said = fitted(shape, last["fieldsV1"]) if last is not None else {}
    merged = _pruned(shape, merge(shape, live, config), said, last_said, others)
    changed, removed = compare(shape, live, merged)
    touched, gone = owned(changed or {}), owned(removed or {})
    if not force:
        allowed = _said_by_client_side_apply(shape, live, writer)
        conflicts = [
            Conflict(entry, path)
            for entry in others
            for path in members(difference(intersection(entry["fieldsV1"], touched), allowed))
        ]
        if conflicts:
            raise ApplyConflict(conflicts)
    taken = union(touched, gone)
    left: list[Entry] = []
    for entry in others:
        fields = difference(entry["fieldsV1"], taken) if taken else entry["fieldsV1"]
        if fields:
            left.append(entry if fields == entry["fieldsV1"] else {**entry, "fieldsV1": fields})
    if said:
        same = not taken and last is not None and said == last["fieldsV1"]
        left.append(writer.entry(APPLY, said, last.get("time") if last is not None and same else None))
    return _remembered(merged, config, writer), ordered(left)


def _pruned(shape: Shape, merged: Object, said: Fields, last: Fields, others: list[Entry]) -> Object:
    """Take away what the manager said last time, says no more, and nobody else owns."""
    if not difference(last, said):
        return merged
    managed = said
    for entry in others:
        managed = union(managed, entry["fieldsV1"])
    last, managed = declared(shape, last), declared(shape, managed)
    present = declared(shape, fields_of(shape, merged))
    rest = declared(shape, fields_of(shape, remove(shape, merged, last)))
    # What others own comes back, though it stands in something that goes.
    unowned = difference(difference(present, rest), managed)
    rest = declared(shape, fields_of(shape, remove(shape, merged, unowned)))
    # So does what nobody owns, unless it stands in something that goes.
    return remove(shape, merged, intersection(difference(present, rest), last))


def _annotations(obj: Object) -> Object:
    metadata = obj.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return annotations if isinstance(annotations, dict) else {}


def _said_by_client_side_apply(shape: Shape, live: Object, writer: Writer) -> Fields:
    """Return the fields that kubectl may take over, as the user applied them on the client's side before."""
    text = _annotations(live).get(LAST_APPLIED)
    if writer.manager != _KUBECTL or not text:
        return {}
    try:
        last = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(last, dict) or last.get("apiVersion") != writer.api_version:
        return {}
    changed, removed = compare(shape, last, live)
    return difference(fields_of(shape, last), union(changed or {}, removed or {}))


def _remembered(obj: Object, config: Object, writer: Writer) -> Object:
    """Keep kubectl's annotation, where there is one, in step with what kubectl applies on the server."""
    annotations = _annotations(obj)
    if writer.manager != _KUBECTL or not annotations.get(LAST_APPLIED):
        return obj
    metadata = {key: value for key, value in config.get("metadata", {}).items() if key != "managedFields"}
    if isinstance(metadata.get("annotations"), dict):
        metadata["annotations"] = {key: value for key, value in metadata["annotations"].items() if key != LAST_APPLIED}
    text = orjson.dumps({**config, "metadata": metadata}, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    size = sum(len(key) + len(str(value)) for key, value in annotations.items() if key != LAST_APPLIED) + len(text)
    kept = {**annotations, LAST_APPLIED: "" if size > _LARGEST_ANNOTATION else text}
    return {**obj, "metadata": {**obj["metadata"], "annotations": kept}}
