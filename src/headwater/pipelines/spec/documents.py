"""From a file or a request to the two documents a pipeline is made of: its PipelineSpec and its PlatformSpec.

``kfp`` writes YAML with one document or two (the second holds what is particular to a platform); the API also takes
both inside one struct. Other things that people upload by mistake are named for what they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from headwater.kube.meta.nesting import is_deeper_than
from headwater.pipelines.spec.tree import SpecError

_DEEPEST = 500
"""Levels of a YAML document; a pipeline of twenty nested DAGs has about a hundred."""


@dataclass(frozen=True, slots=True)
class Documents:
    """A pipeline as it was submitted."""

    spec: Mapping[str, Any]
    platform: Mapping[str, Any] | None = None


def read_documents(text: str | bytes) -> Documents:
    """Read a compiled pipeline: YAML or JSON. Raises ``SpecError`` with the line where reading stopped."""
    data = text.encode() if isinstance(text, str) else text
    if not data.strip():
        raise SpecError(["the file is empty; expected a compiled pipeline in YAML or JSON"])
    if data.lstrip()[:1] == b"{":
        try:
            return split(orjson.loads(data))
        except orjson.JSONDecodeError as json_error:
            try:
                return _from_yaml(data)
            except SpecError:
                raise SpecError([f"the file is not JSON: {json_error}"]) from None
    return _from_yaml(data)


def _from_yaml(data: bytes) -> Documents:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if is_deeper_than(data, _DEEPEST):
        raise SpecError([f"the file is nested more than {_DEEPEST} levels deep"])
    try:
        found = [document for document in yaml.load_all(data, loader) if document is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise SpecError([f"the file is not YAML: {where}{error.problem or error.context}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise SpecError([f"the file is not YAML: {' '.join(str(error).split())}"]) from None
    if not found:
        raise SpecError(["the file holds no document; expected a compiled pipeline in YAML or JSON"])
    if len(found) == 1:
        return split(found[0])
    specs = [document for document in found if isinstance(document, Mapping) and "platforms" not in document]
    platforms = [document for document in found if isinstance(document, Mapping) and "platforms" in document]
    if len(specs) != 1 or len(platforms) > 1:
        message = "expected one PipelineSpec and at most one PlatformSpec"
        raise SpecError([f"the file holds {len(specs)} PipelineSpecs and {len(platforms)} PlatformSpecs; {message}"])
    return Documents(split(specs[0]).spec, platforms[0] if platforms else None)


def split(value: Any) -> Documents:
    """Take apart what a request or a file holds: a PipelineSpec, or both documents under their names.

    Raises ``SpecError`` for anything else.
    """
    if not isinstance(value, Mapping):
        raise SpecError([f"expected a compiled pipeline, found a {type(value).__name__}"])
    if "pipeline_spec" in value or "pipelineSpec" in value:
        spec = value.get("pipeline_spec", value.get("pipelineSpec"))
        platform = value.get("platform_spec", value.get("platformSpec"))
        if not isinstance(spec, Mapping) or not isinstance(platform, Mapping | None):
            raise SpecError(["pipeline_spec and platform_spec must each hold a document"])
        return Documents(spec, platform or None)
    if "root" in value or "pipelineInfo" in value or "pipeline_info" in value:
        return Documents(value)
    raise SpecError([_what_else(value)])


def _what_else(value: Mapping[str, Any]) -> str:
    kind = value.get("kind")
    if kind in ("Workflow", "WorkflowTemplate"):
        return (
            "this is an Argo Workflow (compiled by kfp 1.x), which Headwater does not run yet; "
            "compile it with kfp 2.x to get a PipelineSpec"
        )
    if kind:
        return f"this is a Kubernetes object of kind {kind}, not a compiled pipeline; apply it with kubectl"
    if "platforms" in value:
        return "this is only the platform half of a pipeline (a PlatformSpec); the PipelineSpec is missing"
    if "implementation" in value:
        return "this is a component definition, not a compiled pipeline; compile it with kfp 2.x"
    return "this is not a compiled pipeline: it has neither pipelineInfo nor root"
