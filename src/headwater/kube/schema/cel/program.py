"""An expression that was checked and can be evaluated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headwater.kube.schema.cel import syntax, tree
from headwater.kube.schema.cel.checking import check
from headwater.kube.schema.cel.evaluation import METER, CostError, Meter, Run, build
from headwater.kube.schema.cel.types import Type
from headwater.kube.schema.cel.values import CelError, CelSyntaxError

CALL_LIMIT = 10_000_000
"""What one evaluation may cost, as upstream's ``PerCallLimit`` does in its own units."""


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled expression."""

    text: str
    type: Type
    cost: float
    """The most it can cost, as far as its variables' types say."""
    names: frozenset[str]
    """The variables and functions' names that occur in it."""
    run: Run

    def evaluate(self, variables: Mapping[str, Any], meter: Meter | None = None) -> Any:
        """Return the value. Raises ``CelError``."""
        try:
            return self.run({**variables, METER: meter or Meter(CALL_LIMIT)})
        except RecursionError:
            raise CelError("the expression is nested too deep") from None
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            # What no function foresaw has no value either; it must not look like a fault of the server.
            raise CelError(f"{type(error).__name__}: {error}") from None


def compile_expression(text: str, scope: Mapping[str, Type], *, wanted: tuple[str, ...] = ()) -> Program:
    """Parse and check an expression over variables of these types; its own type must be one of ``wanted``.

    Raises ``CelSyntaxError``.
    """
    if not text.strip():
        raise CelSyntaxError(text, 0, "the expression is empty")
    try:
        node = syntax.parse(text)
        checked = check(text, node, scope)
        if wanted and checked.type.kind not in (*wanted, "dyn"):
            message = f"must evaluate to {' or '.join(wanted)}, but is {checked.type.named}"
            raise CelSyntaxError(text, 0, message)
        return Program(text, checked.type, checked.cost, _names(node), build(node))
    except RecursionError:
        raise CelSyntaxError(text, 0, "the expression is nested too deep") from None


def _names(node: Any) -> frozenset[str]:
    found: set[str] = set()
    pending: list[Any] = [node]
    while pending:
        one = pending.pop()
        if isinstance(one, tree.Name):
            found.add(one.name)
        if isinstance(one, tree.Node):
            pending += [getattr(one, name) for name in one.__slots__]
        elif isinstance(one, list | tuple):
            pending += one
    return frozenset(found)


__all__ = ["CALL_LIMIT", "CelError", "CelSyntaxError", "CostError", "Meter", "Program", "compile_expression"]
