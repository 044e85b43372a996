"""Which objects of a collection a request means: label and field selectors, pages, and what a watch makes of them.

Follows ``k8s.io/apiserver``: field selectors name only what a kind allows, a continue token carries the revision
of its first page, and an object that enters or leaves a selection is ADDED or DELETED for that watcher.
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from headwater.cluster.apiserver.answers import WatchItem
from headwater.cluster.apiserver.registry import Served
from headwater.cluster.store.buckets import Change
from headwater.cluster.store.documents import Document
from headwater.kube.meta.errors import bad_request
from headwater.kube.meta.objects import Object
from headwater.kube.meta.selectors import FieldSelector, LabelSelector

_ALWAYS = frozenset({"metadata.name", "metadata.namespace"})


@dataclass(frozen=True, slots=True)
class Selection:
    """The selectors of one request."""

    labels: LabelSelector
    fields: FieldSelector
    read_field: Callable[[Object, str], str]

    @classmethod
    def parse(cls, served: Served, label_selector: str, field_selector: str) -> "Selection":
        """Read both selectors. Raises ``StatusError`` 400, also for a field that the kind does not offer."""
        try:
            labels = LabelSelector.parse(label_selector)
            fields = FieldSelector.parse(field_selector)
        except ValueError as error:
            raise bad_request(str(error)) from error
        allowed = served.selectable | _ALWAYS
        for requirement in fields.requirements:
            if requirement.field not in allowed:
                known = ", ".join(sorted(allowed))
                raise bad_request(f'field label not supported: "{requirement.field}" (known are {known})')
        return cls(labels, fields, _reader(served))

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self.labels.empty and self.fields.empty

    @property
    def name(self) -> str:
        """The one name that can be selected, or an empty string."""
        for requirement in self.fields.requirements:
            if requirement.field == "metadata.name" and requirement.equal:
                return requirement.value
        return ""

    def matches(self, document: Document) -> bool:
        """Tell whether an object is selected."""
        if not self.labels.empty and not self.labels.matches(document.labels):
            return False
        if self.fields.empty:
            return True
        obj = document.object
        return self.fields.matches(lambda field: self.read_field(obj, field))

    def see(self, change: Change) -> WatchItem | None:
        """Return what a change is for this selection: nothing, or an object that came, changed or went."""
        if self.everything:
            if change.removed:
                return WatchItem("DELETED", change.document)
            return WatchItem("MODIFIED" if change.previous is not None else "ADDED", change.document)
        was_in = change.previous is not None and self.matches(change.previous)
        is_in = not change.removed and self.matches(change.document)
        if is_in:
            return WatchItem("MODIFIED" if was_in else "ADDED", change.document)
        if not was_in or change.previous is None:
            return None
        if change.removed:
            return WatchItem("DELETED", change.document)
        # It left the selection: its watcher gets the state it knew, at the revision of the change.
        last = change.previous.copy()
        last["metadata"]["resourceVersion"] = str(change.revision)
        return WatchItem("DELETED", Document.of(last, change.revision))


def selected_name(field_selector: str) -> str:
    """Return the one name that a field selector means, else an empty string.

    Such a list is authorized as one for that name, which a rule with ``resourceNames`` can allow.
    """
    if "metadata.name" not in field_selector:
        return ""
    try:
        requirements = FieldSelector.parse(field_selector).requirements
    except ValueError:
        return ""
    names = (each.value for each in requirements if each.field == "metadata.name" and each.equal)
    return next(names, "")


def field_of(obj: Object, path: str) -> str:
    """Return a field by its dotted path as text; an absent one is empty."""
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _event_field(obj: Object, path: str) -> str:
    if path == "source":
        return field_of(obj, "source.component") or field_of(obj, "reportingComponent")
    if path == "reportingComponent":
        return field_of(obj, "reportingComponent") or field_of(obj, "source.component")
    return field_of(obj, path)


def _field_or_zero(obj: Object, path: str) -> str:
    """Read a field whose absence means a value of its own."""
    match path:
        case "status.successful":
            return field_of(obj, "status.succeeded") or "0"
        case "spec.unschedulable" | "spec.hostNetwork":
            return field_of(obj, path) or "false"
    return field_of(obj, path)


def _reader(served: Served) -> Callable[[Object, str], str]:
    if not served.selectable:
        return field_of
    return _event_field if served.bucket == "events" else _field_or_zero


LATEST = -1
"""The revision in a token that goes on with the newest state, when that of the first page is gone."""


def write_continue(revision: int, last_name: str) -> str:
    """Return the token that continues a list behind a name, as of a revision (``LATEST``: whatever is there)."""
    token = orjson.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": last_name})
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def read_continue(token: str) -> tuple[int, str]:
    """Return the revision and the last name of a token. Raises ``StatusError`` 400."""
    try:
        decoded = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        revision, start = decoded["rv"], decoded["start"]
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise bad_request("continue key is not valid: it was not made by this server") from error
    if not isinstance(revision, int) or (revision < 1 and revision != LATEST) or not isinstance(start, str):
        raise bad_request("continue key is not valid: it was not made by this server")
    return revision, start


def read_revision(text: str) -> int:
    """Return a resource version as a number. Raises ``StatusError`` 400."""
    if not (text.isascii() and text.isdigit()):
        raise bad_request(f'Invalid value: "{text}": resourceVersion: it must be a number that this server gave out')
    return int(text)
