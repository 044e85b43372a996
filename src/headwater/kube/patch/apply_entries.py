"""The entries of ``metadata.managedFields``: who is in them, how they are read, ordered and kept few.

An entry is told apart by its manager, operation and subresource, and an update's also by its API version. Follows
``k8s.io/apimachinery/pkg/util/managedfields``.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

from headwater.kube.patch.apply_sets import Fields, difference, read_fields, union
from headwater.kube.patch.errors import PatchError

Entry: TypeAlias = dict[str, Any]
Identity: TypeAlias = tuple[str, str, str, str]

APPLY = "Apply"
UPDATE = "Update"

MOST_UPDATERS = 10
"""How many entries of updates an object may have before the oldest are put together."""

_OLDEST = "ancient-changes"

_OF_METADATA: Fields = {
    f"f:{name}": {}
    for name in (
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    )
}
_NOBODYS: Fields = {"f:apiVersion": {}, "f:kind": {}, "f:metadata": {".": {}, **_OF_METADATA}}


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes an object, in which version, through which subresource, and when."""

    manager: str
    api_version: str
    time: str
    """RFC 3339, in seconds."""
    subresource: str = ""

    def identity(self, operation: str) -> Identity:
        """Return what tells this writer's entry apart."""
        return (self.manager, operation, "" if operation == APPLY else self.api_version, self.subresource)

    def entry(self, operation: str, fields: Fields, time: str | None = None) -> Entry:
        """Return this writer's entry."""
        entry: Entry = {"manager": self.manager, "operation": operation, "apiVersion": self.api_version}
        entry |= {"time": time or self.time, "fieldsType": "FieldsV1", "fieldsV1": fields}
        if self.subresource:
            entry["subresource"] = self.subresource
        return entry


def identity_of(entry: Entry) -> Identity:
    """Return what tells an entry apart."""
    operation = entry["operation"]
    version = "" if operation == APPLY else entry["apiVersion"]
    return (entry.get("manager", ""), operation, version, entry.get("subresource", ""))


def owned(fields: Fields) -> Fields:
    """Return a set without the fields that nobody owns: identity, and what the server itself writes."""
    if "f:apiVersion" in fields or "f:kind" in fields or "f:metadata" in fields:
        return difference(fields, _NOBODYS)
    return fields


def read_entries(value: Any) -> list[Entry] | None:
    """Return the entries that a client sent, canonical; ``None`` when they make no sense."""
    if not isinstance(value, list):
        return None
    found: dict[Identity, Entry] = {}
    for entry in value:
        if not isinstance(entry, dict) or entry.get("operation") not in (APPLY, UPDATE):
            return None
        texts = ("manager", "apiVersion", "time", "subresource")
        if any(not isinstance(entry.get(name) or "", str) for name in texts) or not entry.get("apiVersion"):
            return None
        if entry.get("fieldsType") != "FieldsV1":
            return None
        try:
            fields = owned(read_fields(entry.get("fieldsV1") or {}))
        except PatchError:
            return None
        if fields:
            kept = {name: entry[name] for name in ("manager", "operation", *texts[1:3]) if entry.get(name)}
            kept |= {"fieldsType": "FieldsV1", "fieldsV1": fields}
            if entry.get("subresource"):
                kept["subresource"] = entry["subresource"]
            found[identity_of(kept)] = kept
    return ordered(list(found.values()))


def entries_before(live: Any, sent: Any, *, subresource: str = "") -> list[Entry]:
    """Return the entries that an update starts from.

    Those of the object that was sent, so that clients may edit them; the live ones when it has none, has nonsense, or
    is a subresource; none when it asks for a reset by one empty entry (``managedFields: [{}]``).
    """
    if not subresource and sent != live:
        if sent == [{}]:
            return []
        entries = read_entries(sent) if sent else None
        if entries:
            return entries
    return live or []


def ordered(entries: list[Entry]) -> list[Entry]:
    """Sort entries as upstream: appliers first, then by time and name."""
    if len(entries) < 2:
        return entries
    return sorted(entries, key=lambda entry: (entry["operation"], entry.get("time") or "", *identity_of(entry)))


def capped(entries: list[Entry]) -> list[Entry]:
    """Put the oldest updates together while there are more than ``MOST_UPDATERS`` of them."""
    updates = [entry for entry in entries if entry["operation"] == UPDATE]
    excess = len(updates) - MOST_UPDATERS
    if excess <= 0:
        return entries
    updates.sort(key=lambda entry: (entry.get("time") or "", *identity_of(entry)))
    gone: list[Entry] = []
    merged: dict[str, Entry] = {}
    for entry in updates:
        version = entry["apiVersion"]
        if version not in merged:
            merged[version] = entry
            continue
        first = merged[version]
        if not any(first is each for each in gone):
            gone.append(first)
        gone.append(entry)
        fields = union(first["fieldsV1"], entry["fieldsV1"])
        merged[version] = {**entry, "manager": _OLDEST, "fieldsV1": fields}
        merged[version].pop("subresource", None)
        excess -= 1
        if not excess:
            break
    kept = [entry for entry in entries if not any(entry is each for each in gone)]
    return kept + [entry for entry in merged.values() if entry.get("manager") == _OLDEST and entry not in kept]
