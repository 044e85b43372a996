"""The one error that every Kubernetes API call can end in: a ``Status`` with a reason and a message.

The server raises it, the HTTP layer writes it, both clients raise it again: the same object on either side of
the wire. Reasons and codes are those of ``k8s.io/apimachinery/pkg/api/errors``.
"""

from dataclasses import dataclass
from typing import Any

from headwater.kube.meta.objects import Object


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong with an object, and where."""

    field: str
    """The path as Kubernetes writes it: ``spec.template.spec.containers[0].image``."""
    message: str
    reason: str = "FieldValueInvalid"
    """``FieldValueRequired``, ``FieldValueInvalid``, ``FieldValueTypeInvalid``, ``FieldValueNotSupported``,
    ``FieldValueDuplicate``, ``FieldValueForbidden`` or ``FieldManagerConflict``."""


class StatusError(Exception):
    """A request that the API refused or could not serve."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}
        self.continue_token = ""
        """Goes on, inconsistently, where a list's own token is too old (``metadata.continue``)."""

    @property
    def status(self) -> Object:
        """The ``Status`` object as it goes over the wire."""
        body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continue_token} if self.continue_token else {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details:
            body["details"] = self.details
        body["code"] = self.code
        return body

    @classmethod
    def from_status(cls, status: Object) -> "StatusError":
        """Rebuild the error from a ``Status`` object that a server sent."""
        error = cls(
            int(status.get("code") or 500),
            str(status.get("reason") or "Unknown"),
            str(status.get("message") or ""),
            status.get("details"),
        )
        error.continue_token = str((status.get("metadata") or {}).get("continue") or "")
        return error


def _details(group: str, kind: str, name: str, causes: list[Cause] | None = None) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    details["kind"] = kind
    if causes:
        details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
    return details


def _qualified(group: str, plural: str) -> str:
    return f"{plural}.{group}" if group else plural


def not_found(group: str, plural: str, name: str) -> StatusError:
    """``jobs.batch "x" not found`` (404)."""
    message = f'{_qualified(group, plural)} "{name}" not found'
    return StatusError(404, "NotFound", message, _details(group, plural, name))


def already_exists(group: str, plural: str, name: str) -> StatusError:
    """``pods "x" already exists`` (409)."""
    message = f'{_qualified(group, plural)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, _details(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str = "") -> StatusError:
    """A write that was based on an older revision, or on a precondition that does not hold (409)."""
    why = why or ("the object has been modified; please apply your changes to the latest version and try again")
    message = f'Operation cannot be fulfilled on {_qualified(group, plural)} "{name}": {why}'
    return StatusError(409, "Conflict", message, _details(group, plural, name))


def invalid(group: str, kind: str, name: str, causes: list[Cause]) -> StatusError:
    """An object that the schema or a rule refuses, with every cause and its field path (422)."""
    said = [f"{c.field}: {c.message}" if c.field else c.message for c in causes]
    text = said[0] if len(said) == 1 else "[" + ", ".join(said) + "]"
    qualified = f"{kind}.{group}" if group else kind
    return StatusError(422, "Invalid", f'{qualified} "{name}" is invalid: {text}', _details(group, kind, name, causes))


def forbidden(group: str, plural: str, name: str, why: str) -> StatusError:
    """A request that the caller may not make, or that admission refuses (403)."""
    target = f'{_qualified(group, plural)} "{name}"' if name else _qualified(group, plural)
    return StatusError(403, "Forbidden", f"{target} is forbidden: {why}", _details(group, plural, name))


def unauthorized(message: str = "Unauthorized") -> StatusError:
    """A request whose credentials are missing or not accepted (401)."""
    return StatusError(401, "Unauthorized", message)


def bad_request(message: str) -> StatusError:
    """A request that cannot be understood (400)."""
    return StatusError(400, "BadRequest", message)


def expired(message: str) -> StatusError:
    """A resource version or a continue token that is older than the kept history (410)."""
    return StatusError(410, "Expired", message)


def method_not_allowed(group: str, plural: str, verb: str) -> StatusError:
    """A verb that the resource does not have (405)."""
    message = f"{verb} is not supported on resources of kind {_qualified(group, plural)!r}"
    return StatusError(405, "MethodNotAllowed", message, _details(group, plural, ""))


def unsupported_media_type(message: str) -> StatusError:
    """A body in a format that the server does not read (415)."""
    return StatusError(415, "UnsupportedMediaType", message)


def not_implemented(message: str) -> StatusError:
    """A feature that Kubernetes has and this server has not built yet; says which (501)."""
    return StatusError(501, "NotImplemented", message)


def unavailable(message: str) -> StatusError:
    """The server cannot serve this now: it is stopping, or the disk is full (503)."""
    return StatusError(503, "ServiceUnavailable", message)


def internal(message: str) -> StatusError:
    """A fault of the server (500)."""
    return StatusError(500, "InternalError", f"Internal error occurred: {message}")
