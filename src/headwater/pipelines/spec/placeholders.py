"""Command lines: the placeholders that ``kfp.dsl.placeholders`` writes, replaced by what they stand for.

A command is a template that is read once: what a placeholder brings in is never looked at again, so that text which
happens to look like a placeholder, or like Kubernetes' ``$(NAME)``, reaches the program as it is.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from headwater.pipelines.spec.values import to_text

_PLACEHOLDER = re.compile(r"\{\{\$([^{}]*)\}\}")
_REFERENCE = re.compile(
    r"\.(inputs|outputs)\.(parameters|artifacts)\[(?:'([^']*)'|\"([^\"]*)\")\]"
    r"(?:\.(uri|path|name|metadata|output_file|value)(?:\[(?:'([^']*)'|\"([^\"]*)\")\])?)?"
)
_STRUCTURES = ('{"Concat":', '{"IfPresent":')


class Template:
    """Replaces placeholders for one attempt of a step."""

    def __init__(
        self, executor_input: Mapping[str, Any], names: Mapping[str, str], path_of: Callable[[str], str]
    ) -> None:
        self._input = executor_input
        self._names = names
        self._path_of = path_of
        inputs = executor_input.get("inputs", {})
        self._parameters: Mapping[str, Any] = inputs.get("parameterValues", {})
        self._present = self._parameters.keys() | inputs.get("artifacts", {}).keys()

    def arguments(self, elements: Iterable[str]) -> list[str]:
        """Return a command or its arguments; an element may become several (``IfPresent``) or none."""
        made: list[str] = []
        for element in elements:
            if element.startswith(_STRUCTURES):
                try:
                    structure = json.loads(element)
                except ValueError:
                    structure = element
                made += self._structure(structure)
            else:
                made += self._one(element)
        return made

    def text(self, template: str) -> str:
        """Return a string with its placeholders replaced; what is absent becomes nothing."""
        return "".join(self._one(template))

    def _structure(self, value: Any) -> list[str]:
        if isinstance(value, str):
            return self._one(value)
        if isinstance(value, list):
            return [text for item in value for text in self._structure(item)]
        if isinstance(value, Mapping) and "Concat" in value:
            return ["".join(self._structure(value["Concat"]))]
        if isinstance(value, Mapping) and "IfPresent" in value:
            choice = value["IfPresent"]
            return self._structure(choice.get("Then" if choice.get("InputName") in self._present else "Else") or [])
        return [to_text(value)]

    def _one(self, template: str) -> list[str]:
        if "{{$" not in template:
            return [template]
        whole = _PLACEHOLDER.fullmatch(template)
        if whole is not None:
            text = self._value(whole[1])
            return [] if text is None else [_literal(text)]
        return [_PLACEHOLDER.sub(lambda found: _literal(self._value(found[1]) or ""), template)]

    def _value(self, inside: str) -> str | None:
        """Return what stands for ``{{$inside}}``; None for an input that the step did not get."""
        if inside == "":
            return orjson.dumps(self._input).decode()
        if inside == ".outputs.output_file":
            return str(self._input["outputs"]["outputFile"])
        name = self._names.get(f"${inside}")
        if name is not None:
            return name
        reference = _REFERENCE.fullmatch(inside)
        if reference is None:
            return f"{{{{${inside}}}}}"
        side, kind, single, double, attribute, key_single, key_double = reference.groups()
        name = single if single is not None else double
        if kind == "parameters":
            if side == "inputs":
                return to_text(self._parameters[name]) if name in self._parameters else None
            output = self._input["outputs"].get("parameters", {}).get(name)
            return None if output is None else str(output["outputFile"])
        artifacts = self._input[side].get("artifacts", {}).get(name)
        if artifacts is None:
            return None
        if attribute is None:
            return orjson.dumps(artifacts["artifacts"]).decode()
        return self._attribute(artifacts["artifacts"][0], attribute, key_single if key_double is None else key_double)

    def _attribute(self, artifact: Mapping[str, Any], attribute: str, key: str | None) -> str | None:
        if attribute == "path":
            return self._path_of(artifact["uri"])
        if attribute == "metadata":
            metadata = artifact.get("metadata") or {}
            return to_text(metadata if key is None else metadata.get(key))
        return str(artifact.get(attribute, ""))


def _literal(text: str) -> str:
    """Keep Kubernetes from expanding ``$(NAME)`` in text that is data; ``$$`` stands for one dollar there."""
    return text.replace("$", "$$") if "$(" in text or "$$" in text else text
