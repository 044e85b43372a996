"""JSON merge patch (RFC 7386): what ``kubectl label``, ``annotate``, ``scale`` and ``patch --type merge`` send."""

from typing import Any

from headwater.kube.patch.errors import PatchError, refuse_depth


def merge_patch(document: dict[str, Any], patch: Any) -> dict[str, Any]:
    """Return the document with the patch merged in; ``null`` removes. Raises ``PatchError`` on a non-object."""
    if not isinstance(patch, dict):
        raise PatchError("a merge patch must be a JSON object")
    refuse_depth(patch)
    return _merge(document, patch)


def _merge(document: Any, patch: dict[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = _merge(merged.get(key), value)
        else:
            merged[key] = value
    return merged
