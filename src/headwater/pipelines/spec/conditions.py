"""The expressions of a pipeline: conditions of tasks and selectors of values, both in CEL.

What ``kfp`` emits: ``inputs.parameter_values['x']`` compared by ``== != < <= > >=`` with a literal or another input,
``int()`` and ``double()`` around operands, ``!(…)`` and ``&&``; and ``parseJson(string_value)["key"]``. All of CEL is
accepted. The interpreter is loaded when a pipeline first has an expression.
"""

import json
import re
import sys
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any

_LONGEST = 4096
"""Characters. The interpreter works by recursion that nothing bounds: some ten thousand operators end the process."""
_MACRO = re.compile(r"\.\s*(?:map|filter|all|exists|exists_one|existsOne|transformList|transformMap)\s*\(")
"""One pass over an input takes as long as the input; nested ones take for ever, and cannot be interrupted."""


class ConditionError(ValueError):
    """An expression that cannot be read, or that has no value for these inputs."""


def check(expression: str) -> str | None:
    """Return what is wrong with an expression's syntax, or None."""
    try:
        _compiled(expression)
    except ConditionError as error:
        return str(error)
    return None


def evaluate(expression: str, parameters: Mapping[str, Any]) -> bool:
    """Tell whether a task's condition holds for its input parameters. Raises ``ConditionError``."""
    value = _run(expression, {"inputs": {"parameter_values": dict(parameters)}})
    if isinstance(value, bool):
        return value
    raise ConditionError(f"the condition {expression} is not true or false but {value!r}")


def evaluate_selector(expression: str, value: Any) -> Any:
    """Return the part of a value that the expression over ``string_value`` names. Raises ``ConditionError``."""
    text = value if isinstance(value, str) else json.dumps(value)
    return _run(expression, {"string_value": text})


@cache
def _interpreter() -> Any:
    """Load the interpreter alone: the package around it brings its own command line, 20 MB and 0.15 s."""
    name = "cel.cel"
    if name in sys.modules:
        return sys.modules[name]
    package = find_spec("cel")
    places = package.submodule_search_locations if package else None
    found = PathFinder.find_spec(name, list(places)) if places else None
    if found is None or found.loader is None:
        return import_module("cel")
    # It may be initialised once in a process: whoever imports the package later must find it.
    sys.modules[name] = module = module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _run(expression: str, variables: dict[str, Any]) -> Any:
    context = _interpreter().Context()
    context.update(variables)
    context.add_function("parseJson", json.loads)
    try:
        return _compiled(expression).execute(context)
    except ConditionError:
        raise
    except KeyError as error:
        raise ConditionError(f"{expression} cannot be evaluated: there is no value {error}") from None
    except Exception as error:
        reason = str(error).partition(".")[0] or type(error).__name__
        raise ConditionError(f"{expression} cannot be evaluated: {reason}") from None


@lru_cache(maxsize=512)
def _compiled(expression: str) -> Any:
    if len(expression) > _LONGEST:
        shown = f"{expression[:60]}…"
        raise ConditionError(f"{shown} is {len(expression)} characters long; the limit for an expression is {_LONGEST}")
    if len(_MACRO.findall(expression)) > 1:
        raise ConditionError(f"{expression} goes through lists more than once (map, filter, all, exists …)")
    try:
        return _interpreter().compile(expression)
    except ValueError as error:
        detail = next((line for line in str(error).splitlines() if "error" in line.lower()), str(error))
        detail = detail.rpartition("ERROR: ")[2].removeprefix("<input>:")
        raise ConditionError(f"{expression} is not a CEL expression: {detail}") from None
