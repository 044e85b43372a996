"""Parameter values: making them fit their declared type, writing them as text, and taking parts of them.

On the wire a value is a ``google.protobuf.Value``, which has one kind of number; here integers are ``int``. Text is
written as the Kubeflow Pipelines launcher writes it into a command line: whole numbers without a fraction, lists and
structs as compact JSON.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from headwater.pipelines.spec.conditions import evaluate_selector
from headwater.pipelines.spec.tree import ParameterType

_INPUT = re.compile(r"\{\{\$\.inputs\.parameters\[(?:'([^']*)'|\"([^\"]*)\")\]\}\}")
_NAME = re.compile(r"\{\{(\$\.[a-z_]+)\}\}")
_SELECTOR = re.compile(r'parseJson\(string_value\)((?:\["[^"\\]*"\]|\[\d+\])+)')
_STEP = re.compile(r'\["([^"]*)"\]|\[(\d+)\]')


def describe(value: Any) -> str:
    """Say what a value is, for an error message: its type and a short form of it."""
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", list: "list", dict: "struct"}
    text = json.dumps(value, default=str)
    return f"the {kinds.get(type(value), type(value).__name__)} {text if len(text) <= 60 else text[:57] + '...'}"


def coerce(value: Any, wanted: ParameterType) -> Any:
    """Return the value as the declared type has it; null stays null.

    Text that holds exactly a number, a boolean or JSON is read as such where one is wanted (the ``kfp`` command line
    sends all parameters as text), and a primitive becomes text where text is wanted. Raises ``ValueError`` otherwise.
    """
    if value is None:
        return None
    try:
        return _COERCE[wanted](value)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"expected {wanted}, got {describe(value)}") from None


def _integer(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            return int(value.strip())
        except ValueError:
            value = float(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise TypeError


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise TypeError


def _json(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if isinstance(value, str):
            value = json.loads(value)
        if isinstance(value, kind):
            return value
        raise TypeError

    return read


_COERCE: Mapping[ParameterType, Callable[[Any], Any]] = {
    ParameterType.INTEGER: _integer,
    ParameterType.DOUBLE: _double,
    ParameterType.BOOLEAN: _boolean,
    ParameterType.STRING: lambda value: to_text(value),
    ParameterType.LIST: _json(list),
    ParameterType.STRUCT: _json(dict),
    ParameterType.FINAL_STATUS: _json(dict),
}


def to_text(value: Any) -> str:
    """Write a value as it appears in a command line or in the middle of a string."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def from_file(data: bytes, wanted: ParameterType) -> Any:
    """Read an output parameter from the file that a step wrote. Raises ``ValueError``."""
    text = data.decode("utf-8", errors="replace")
    return coerce(text if wanted is ParameterType.STRING else text.strip(), wanted)


def select(value: Any, selector: str) -> Any:
    """Take the part of a value that a ``parameterExpressionSelector`` names; an empty selector takes all of it.

    Raises ``ValueError`` when the value has no such part.
    """
    if not selector:
        return value
    plain = _SELECTOR.fullmatch(selector.strip())
    if plain is None:
        return evaluate_selector(selector, value)
    part = value
    if isinstance(part, str):
        try:
            part = json.loads(part)
        except ValueError:
            raise ValueError(f"{describe(value)} is not JSON, so {selector} has no meaning") from None
    for step in _STEP.finditer(plain[1]):
        name, index = step.groups()
        try:
            part = part[name] if index is None else part[int(index)]
        except (KeyError, IndexError, TypeError):
            raise ValueError(f"{describe(value)} has no element {index if name is None else name!r}") from None
    return part


def substitute(value: Any, parameters: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    """Replace placeholders in the strings of a value, however deep.

    ``parameters`` answer ``{{$.inputs.parameters['x']}}`` and ``names`` answer ``{{$.pipeline_job_name}}`` and its
    like, by the text between the braces. A string that is one placeholder and nothing else takes the parameter's
    value, type and all. Placeholders that neither knows stay.
    """
    if isinstance(value, str):
        if "{{$." not in value:
            return value
        whole = _INPUT.fullmatch(value)
        if whole is not None:
            return parameters.get(whole[1] if whole[1] is not None else whole[2], value)

        def parameter(found: re.Match[str]) -> str:
            name = found[1] if found[1] is not None else found[2]
            return to_text(parameters[name]) if name in parameters else found[0]

        return _NAME.sub(lambda found: names.get(found[1], found[0]), _INPUT.sub(parameter, value))
    if isinstance(value, list):
        return [substitute(item, parameters, names) for item in value]
    if isinstance(value, Mapping):
        return {substitute(k, parameters, names): substitute(v, parameters, names) for k, v in value.items()}
    return value


def placeholders(value: Any) -> set[str]:
    """Return the names of the input parameters that a value's strings mention."""
    if isinstance(value, str):
        return {single or double for single, double in _INPUT.findall(value)}
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple)):
        return set().union(*(placeholders(item) for item in value))
    return set()
