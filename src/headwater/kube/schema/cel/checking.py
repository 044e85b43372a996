"""What can be said of an expression before it is evaluated: undefined names and fields, wrong types, its worst cost.

Types come from schemas; where they are not known nothing is refused. Costs are estimated as upstream's are: a step
is one, looking at text a tenth of its length, a loop its body times the most items there can be.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from headwater.kube.schema.cel import tree
from headwater.kube.schema.cel.evaluation import unescape
from headwater.kube.schema.cel.functions import FUNCTIONS, TYPE_NAMES
from headwater.kube.schema.cel.types import BOOL, DYN, Type
from headwater.kube.schema.cel.values import CelSyntaxError, type_of

_NUMBERS = ("int", "uint", "double")
_ORDERED = (*_NUMBERS, "string", "bytes", "bool", "timestamp", "duration")
_SCALARS = frozenset((*_ORDERED, "null_type"))
_METHODS_OF_TEXT = frozenset(
    {
        *("startsWith", "endsWith", "matches", "charAt", "lowerAscii", "upperAscii", "replace", "split"),
        *("substring", "trim", "format", "find", "findAll"),
    }
)
_ADDED = {
    ("timestamp", "duration", "+"): "timestamp",
    ("duration", "timestamp", "+"): "timestamp",
    ("timestamp", "duration", "-"): "timestamp",
    ("timestamp", "timestamp", "-"): "duration",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of an expression."""

    type: Type
    cost: float
    """The most it can cost."""


def check(text: str, node: tree.Node, scope: Mapping[str, Type]) -> Checked:
    """Check an expression. Raises ``CelSyntaxError``."""
    return _Checker(text).visit(node, dict(scope))


class _Checker:
    def __init__(self, text: str) -> None:
        self.text = text

    def wrong(self, node: tree.Node, message: str) -> CelSyntaxError:
        return CelSyntaxError(self.text, node.at, message)

    def visit(self, node: tree.Node, scope: dict[str, Type]) -> Checked:
        match node:
            case tree.Literal():
                kind = {"google.protobuf.Timestamp": "timestamp"}.get(type_of(node.value), type_of(node.value))
                size = len(node.value) if isinstance(node.value, str | bytes) else 1
                return Checked(Type(kind, size=size), 0)
            case tree.Name():
                if node.name in scope:
                    return Checked(scope[node.name], 1)
                if node.name in TYPE_NAMES:
                    return Checked(Type("type"), 1)
                raise self.wrong(node, f"undeclared reference to '{node.name}' (in container '')")
            case tree.Select():
                return self.select(node, scope)
            case tree.Index():
                return self.index(node, scope)
            case tree.Call():
                return self.call(node, scope)
            case tree.ListOf():
                items = [self.visit(item, scope) for item in node.items]
                element = items[0].type if items and all(item.type == items[0].type for item in items) else DYN
                return Checked(Type("list", element, size=len(items)), 10 + sum(item.cost for item in items))
            case tree.MapOf():
                entries = [self.visit(part, scope) for entry in node.entries for part in entry]
                return Checked(Type("map", DYN, size=len(node.entries)), 30 + sum(entry.cost for entry in entries))
            case tree.Loop():
                return self.loop(node, scope)
            case tree.Bind():
                value = self.visit(node.value, scope)
                bound = DYN if node.optional else value.type
                body = self.visit(node.body, {**scope, node.name: bound})
                return Checked(DYN if node.optional else body.type, value.cost + body.cost)
        raise AssertionError(node)

    def select(self, node: tree.Select, scope: dict[str, Type]) -> Checked:
        operand = self.visit(node.operand, scope)
        found = DYN
        match operand.type.kind:
            case "object":
                child = operand.type.field(unescape(node.field)) or operand.type.field(node.field)
                if child is None:
                    raise self.wrong(node, f"undefined field '{node.field}'")
                found = child
            case "map":
                found = operand.type.element or DYN
            case "dyn":
                pass
            case kind:
                raise self.wrong(node, f"type '{kind}' does not support field selection")
        if node.test:
            found = BOOL
        return Checked(DYN if node.optional else found, operand.cost + 1)

    def index(self, node: tree.Index, scope: dict[str, Type]) -> Checked:
        operand, index = self.visit(node.operand, scope), self.visit(node.index, scope)
        if operand.type.kind == "list" and index.type.kind not in ("int", "uint", "double", "dyn"):
            raise self.wrong(node, f"found no matching overload for '_[_]' applied to '({operand.type.named}, string)'")
        if operand.type.kind in _SCALARS:
            raise self.wrong(node, f"found no matching overload for '_[_]' applied to '({operand.type.named})'")
        element = operand.type.element if operand.type.kind in ("list", "map") else None
        return Checked(DYN if node.optional else element or DYN, operand.cost + index.cost + 1)

    def loop(self, node: tree.Loop, scope: dict[str, Type]) -> Checked:
        operand = self.visit(node.operand, scope)
        kind = operand.type.kind
        if kind not in ("list", "map", "dyn", "object"):
            raise self.wrong(
                node, f"expression of type '{kind}' cannot be range of a comprehension (must be list, map, or dynamic)"
            )
        element = operand.type.element or DYN
        key = Type("string") if kind == "map" else DYN
        if len(node.variables) == 2:
            index = Type("int") if kind == "list" else key
            inner = {**scope, node.variables[0]: index, node.variables[1]: element}
        else:
            inner = {**scope, node.variables[0]: element if kind == "list" else key}
        body = self.visit(node.body, inner)
        cost = body.cost
        if node.condition is not None:
            cost += self.visit(node.condition, inner).cost
        if node.kind in ("all", "exists", "exists_one", "existsOne", "filter") and body.type.kind not in (
            "bool",
            "dyn",
        ):
            raise self.wrong(node.body, f"expected type 'bool' but found '{body.type.named}'")
        count = operand.type.size if kind != "dyn" else 1
        total = operand.cost + count * (cost + 2) + 1
        if node.kind in ("map", "transformList"):
            return Checked(Type("list", body.type, size=count), total)
        if node.kind == "filter":
            return Checked(Type("list", element if kind == "list" else key, size=count), total)
        return Checked(Type("map", DYN, size=count) if node.kind == "transformMap" else BOOL, total)

    def call(self, node: tree.Call, scope: dict[str, Type]) -> Checked:
        parts = [node.target, *node.args] if node.target is not None else node.args
        args = [self.visit(part, scope) for part in parts if part is not None]
        cost = sum(arg.cost for arg in args) + 1
        types = [arg.type for arg in args]
        name = node.function
        match name:
            case "_&&_" | "_||_" | "!_":
                if any(each.kind not in ("bool", "dyn") for each in types):
                    raise self.overload(node, types)
                return Checked(BOOL, cost)
            case "_?_:_":
                if types[0].kind not in ("bool", "dyn"):
                    raise self.overload(node, types)
                longest = max(args[1].cost, args[2].cost)
                return Checked(types[1] if types[1] == types[2] else DYN, args[0].cost + longest + 1)
            case "_==_" | "_!=_":
                left, right = types
                if {left.kind, right.kind} <= _SCALARS and left.kind != right.kind:
                    null = "null_type" in (left.kind, right.kind)
                    if not null:
                        raise self.overload(node, types)
                return Checked(BOOL, cost + _least_size(left, right) / 10)
            case "_<_" | "_<=_" | "_>_" | "_>=_":
                left, right = types
                bad = any(each.kind not in (*_ORDERED, "dyn") for each in types)
                mixed = left.kind != right.kind and "dyn" not in (left.kind, right.kind)
                if bad or (mixed and not (left.kind in _NUMBERS and right.kind in _NUMBERS)):
                    raise self.overload(node, types)
                return Checked(BOOL, cost + _least_size(left, right) / 10)
            case "_+_" | "_-_" | "_*_" | "_/_" | "_%_":
                return Checked(self.arithmetic(node, types[0], types[1]), cost + self.joined(name, types) / 10)
            case "-_":
                if types[0].kind not in ("int", "double", "dyn"):
                    raise self.overload(node, types)
                return Checked(types[0], cost)
            case "@in":
                if types[1].kind not in ("list", "map", "dyn", "object"):
                    raise self.overload(node, types)
                return Checked(BOOL, cost + (types[1].size if types[1].kind == "list" else 1))
        function = FUNCTIONS.get(name)
        if function is None:
            raise self.wrong(node, f"undeclared reference to '{name}' (in container '')")
        least, most = function.arity
        if not least <= len(types) <= most or (
            name in _METHODS_OF_TEXT and (types[0].kind in _SCALARS and types[0].kind != "string")
        ):
            raise self.overload(node, types)
        return Checked(_result(name, function.result, types), cost + _work(name, types))

    def arithmetic(self, node: tree.Call, left: Type, right: Type) -> Type:
        operator = node.function[1]
        if "dyn" in (left.kind, right.kind):
            return DYN
        if (added := _ADDED.get((left.kind, right.kind, operator))) is not None:
            return Type(added)
        kinds: tuple[str, ...] = ("int", "uint") if operator == "%" else _NUMBERS
        if operator == "+":
            kinds += ("string", "bytes", "list", "duration")
        elif operator == "-":
            kinds += ("duration",)
        if left.kind != right.kind or left.kind not in kinds:
            raise self.overload(node, [left, right])
        size = left.size + right.size if operator == "+" else left.size
        return Type(left.kind, left.element if left.element == right.element else DYN, size=size)

    @staticmethod
    def joined(name: str, types: list[Type]) -> int:
        sized = name == "_+_" and types[0].kind in ("string", "bytes", "list")
        return types[0].size + types[1].size if sized else 0

    def overload(self, node: tree.Call, types: list[Type]) -> CelSyntaxError:
        named = ", ".join(each.named for each in types)
        return self.wrong(node, f"found no matching overload for '{node.function}' applied to '({named})'")


def _least_size(left: Type, right: Type) -> int:
    sizes = [each.size for each in (left, right) if each.kind in ("string", "bytes", "list", "map")]
    return min(sizes) if sizes else 0


def _result(name: str, result: str, types: list[Type]) -> Type:
    first = types[0] if types else DYN
    if name in ("replace", "lowerAscii", "upperAscii", "trim", "substring", "find", "string"):
        return Type("string", size=first.size if first.kind == "string" else 100)
    if name in ("split", "findAll"):
        return Type("list", Type("string", size=first.size), size=first.size)
    if name in ("min", "max", "sum") and first.kind == "list":
        return first.element or DYN
    if name in ("sort", "distinct", "slice", "reverse") and first.kind == "list":
        return first
    if result == "list":
        return Type("list", DYN, size=first.size)
    return DYN if result == "dyn" else Type(result, size=100 if result == "string" else 1)


def _work(name: str, types: list[Type]) -> float:
    """Return what a function costs beyond its call."""
    if name == "size" or not types:
        return 0
    sized = [each.size for each in types if each.kind in ("string", "bytes", "list")]
    if name in ("matches", "find", "findAll") and len(sized) >= 2:
        return (sized[0] / 10 + 1) * (sized[1] / 4)
    if name == "contains" and len(sized) >= 2:
        return sized[0] / 10 * max(1, sized[1] / 10) if sized[1] < 1000 else sized[0] / 10
    return sum(sized) / 10
