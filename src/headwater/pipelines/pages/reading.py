"""Reading what may not be there: records that are missing, and stored pipelines that cannot be understood."""

from collections.abc import Mapping
from typing import Any

from headwater.kube.meta.errors import StatusError
from headwater.pipelines.spec.loading import load
from headwater.pipelines.spec.tree import Pipeline, SpecError


def missing(what: str, name: str, where: str, place: str) -> StatusError:
    """Return a 404 that says what is not where, for a person."""
    return StatusError(404, "NotFound", f"There is no {what} “{name}” in the {where} “{place}”.")


def read_pipeline(spec: Mapping[str, Any] | None, platform: Mapping[str, Any] | None) -> tuple[Pipeline | None, str]:
    """Read a stored pipeline for drawing; the second part says why it could not be read."""
    if spec is None:
        return None, "The pipeline's specification is not stored."
    try:
        return load(spec, platform), ""
    except SpecError as error:
        return None, str(error)
