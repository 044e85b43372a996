"""Strategic merge patch."""

from typing import Any

from headwater.kube.patch.errors import PatchError


def strategic_merge(document: dict[str, Any], patch: Any, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the patch merged in by the schema's merge keys."""
    raise PatchError("strategic merge is not built yet")
