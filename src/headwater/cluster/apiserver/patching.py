"""Applying a patch body to an object by its media type, with Kubernetes' errors."""

from typing import Any

from headwater.cluster.apiserver.registry import Served
from headwater.cluster.apiserver.schemas import builtin_schema
from headwater.kube.client import PatchType
from headwater.kube.meta.errors import StatusError, bad_request, unsupported_media_type
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import Resource
from headwater.kube.patch import PatchError, json_patch, merge_patch, strategic_merge


def check_patch(served: Served, patch: Any, patch_type: PatchType) -> None:
    """Raise ``StatusError`` 400, 415 or 501 for a patch that cannot be applied to anything of the kind."""
    if patch_type is PatchType.STRATEGIC and served.custom:
        raise unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json-patch+json, application/merge-patch+json"
        )
    if patch_type is PatchType.JSON and not isinstance(patch, list):
        raise bad_request("a JSON patch must be a list of operations")
    if patch_type is not PatchType.JSON and not isinstance(patch, dict):
        raise bad_request("the patch must be an object")


def apply_patch(resource: Resource, obj: Object, patch: Any, patch_type: PatchType) -> Object:
    """Return the patched object. Raises ``StatusError`` 400 or 422."""
    try:
        match patch_type:
            case PatchType.JSON:
                patched = json_patch(obj, patch)
            case PatchType.STRATEGIC:
                patched = strategic_merge(obj, patch, builtin_schema(resource))
            case _:
                patched = merge_patch(obj, patch)
    except PatchError as error:
        if patch_type is PatchType.JSON:
            raise StatusError(422, "Invalid", f"the JSON patch cannot be applied: {error}") from error
        raise bad_request(f"the patch cannot be applied: {error}") from error
    if not isinstance(patched, dict):
        raise bad_request("the patch leaves no object")
    return patched
