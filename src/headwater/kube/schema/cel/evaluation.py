"""From the tree of an expression to a function that evaluates it.

Each node becomes a closure. Work is metered: a program that costs more than its budget ends in an error, as
upstream's runtime cost limit demands; a unit is one step, or ten characters of text looked at.
"""

from collections.abc import Callable
from typing import Any

from headwater.kube.schema.cel import syntax, tree
from headwater.kube.schema.cel.functions import FUNCTIONS, TYPE_NAMES
from headwater.kube.schema.cel.kubernetes import Askable
from headwater.kube.schema.cel.values import (
    NONE,
    CelError,
    Optional,
    arithmetic,
    compare,
    contains,
    equal,
    negate,
    no_overload,
    type_of,
)

Env = dict[str, Any]
Run = Callable[[Env], Any]
METER = "@meter"


class Meter:
    """Counts what an evaluation costs."""

    __slots__ = ("left", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.left = limit

    @property
    def used(self) -> int:
        """What has been spent."""
        return self.limit - self.left

    def spend(self, cost: int) -> None:
        """Count. Raises ``CelError`` when the budget is used up."""
        self.left -= cost
        if self.left < 0:
            raise CostError("operation cancelled: actual cost limit exceeded")


class CostError(CelError):
    """An evaluation that was ended since it cost too much; nothing absorbs this error."""


class Lazy:
    """A variable that is evaluated when it is first looked at."""

    __slots__ = ("_made", "_make", "_value")

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made = False
        self._value: Any = None

    def get(self) -> Any:
        """Return the value. Raises ``CelError``."""
        if not self._made:
            self._value = self._make()
            self._made = True
        return self._value


def build(node: tree.Node) -> Run:
    """Return the function that evaluates a tree."""
    match node:
        case tree.Literal():
            value = node.value
            return lambda env: value
        case tree.Name():
            return _name(node.name)
        case tree.Select():
            return _select(node)
        case tree.Index():
            return _index(node)
        case tree.Call():
            return _call(node)
        case tree.ListOf():
            return _list(node)
        case tree.MapOf():
            return _map(node)
        case tree.Loop():
            return _loop(node)
        case tree.Bind():
            return _bind(node)
    raise AssertionError(node)


def _name(name: str) -> Run:
    constant = TYPE_NAMES.get(name)

    def run(env: Env) -> Any:
        try:
            value = env[name]
        except KeyError:
            if constant is not None:
                return constant
            raise CelError(f"no such attribute(s): {name}") from None
        return value.get() if type(value) is Lazy else value

    return run


def unescape(field: str) -> str:
    """Undo the escaping by which Kubernetes makes any property a CEL identifier."""
    for escaped, plain in (("__dot__", "."), ("__dash__", "-"), ("__slash__", "/")):
        field = field.replace(escaped, plain)
    if field.startswith("__") and field.endswith("__") and field[2:-2] in _KEYWORDS:
        return field[2:-2]
    return field.replace("__underscores__", "__")


_KEYWORDS = syntax.RESERVED | {"true", "false", "null", "in"}


def _select(node: tree.Select) -> Run:
    operand, field = build(node.operand), node.field
    plain = unescape(field) if "__" in field else field

    def find(value: Any) -> Any:
        """Return the field, or ``_MISSING``."""
        if isinstance(value, dict):
            if plain in value:
                found = value[plain]
                return found.get() if type(found) is Lazy else found
            return value.get(field, _MISSING) if plain is not field else _MISSING
        if isinstance(value, Optional):
            return find(value.value) if value.present else _MISSING
        if isinstance(value, Askable):
            return value.select(field)
        raise no_overload(f"select '{field}'", value)

    if node.test:
        return lambda env: find(operand(env)) is not _MISSING

    if node.optional:

        def maybe(env: Env) -> Any:
            found = find(operand(env))
            return NONE if found is _MISSING else _wrap(found)

        return maybe

    def run(env: Env) -> Any:
        value = operand(env)
        found = find(value)
        if isinstance(value, Optional):
            return NONE if found is _MISSING else _wrap(found)
        if found is _MISSING:
            raise CelError(f"no such key: {field}")
        return found

    return run


_MISSING: Any = object()


def _wrap(value: Any) -> Optional:
    return value if isinstance(value, Optional) else Optional(value, True)


def _index(node: tree.Index) -> Run:
    operand, index, optional = build(node.operand), build(node.index), node.optional

    def run(env: Env) -> Any:
        value, key = operand(env), index(env)
        lenient = optional
        if isinstance(value, Optional):
            if not value.present:
                return NONE
            value, lenient = value.value, True
        found = _MISSING
        if isinstance(value, list):
            if isinstance(key, bool) or not isinstance(key, int | float) or key != int(key):
                raise no_overload("_[_]", value, key)
            if 0 <= key < len(value):
                found = value[int(key)]
            elif not lenient:
                raise CelError(f"index out of bounds: {key}")
        elif isinstance(value, dict):
            try:
                found = value.get(key, _MISSING) if not isinstance(key, bool) or key in value else _MISSING
            except TypeError:
                raise no_overload("_[_]", value, key) from None
            if found is _MISSING and not lenient:
                raise CelError(f"no such key: {key}")
        else:
            raise no_overload("_[_]", value, key)
        if lenient:
            return NONE if found is _MISSING else _wrap(found)
        return found

    return run


def _truth(value: Any, what: str) -> bool:
    if value is True or value is False:
        return bool(value)
    raise no_overload(what, value)


def _call(node: tree.Call) -> Run:
    name = node.function
    args = [build(arg) for arg in node.args]
    if node.target is not None:
        return _function(name, [build(node.target), *args])
    match name:
        case "_&&_" | "_||_":
            return _logical(args[0], args[1], absorbing=name == "_||_", name=name)
        case "_?_:_":
            condition, then, other = args
            return lambda env: then(env) if _truth(condition(env), "_?_:_") else other(env)
        case "!_":
            return lambda env: not _truth(args[0](env), "!_")
        case "-_":
            return lambda env: negate(args[0](env))
        case "@in":
            return lambda env: _in(args[0](env), args[1](env), env)
        case "_==_" | "_!=_":
            left, right = args
            if name == "_==_":
                return lambda env: equal(left(env), right(env))
            return lambda env: not equal(left(env), right(env))
        case "_<_":
            return lambda env: compare(args[0](env), args[1](env)) < 0
        case "_<=_":
            return lambda env: compare(args[0](env), args[1](env)) <= 0
        case "_>_":
            return lambda env: compare(args[0](env), args[1](env)) > 0
        case "_>=_":
            return lambda env: compare(args[0](env), args[1](env)) >= 0
        case "_+_" | "_-_" | "_*_" | "_/_" | "_%_":
            return _operation(name[1], args[0], args[1])
    return _function(name, args)


def _operation(operator: str, left: Run, right: Run) -> Run:
    def run(env: Env) -> Any:
        value = arithmetic(operator, left(env), right(env))
        if isinstance(value, str | bytes):
            env[METER].spend(len(value) // 10)
        elif isinstance(value, list):
            env[METER].spend(len(value))
        return value

    return run


def _logical(left: Run, right: Run, *, absorbing: bool, name: str) -> Run:
    def run(env: Env) -> bool:
        try:
            first = _truth(left(env), name)
        except CostError:
            raise
        except CelError:
            if _truth(right(env), name) is absorbing:
                return absorbing
            raise
        return absorbing if first is absorbing else _truth(right(env), name)

    return run


def _in(value: Any, where: Any, env: Env) -> bool:
    if isinstance(where, list):
        env[METER].spend(len(where))
        return contains(where, value)
    if isinstance(where, dict):
        try:
            return value in where
        except TypeError:
            return False
    raise no_overload("@in", value, where)


def _function(name: str, args: list[Run]) -> Run:
    function = FUNCTIONS.get(name)
    if function is None:
        raise CelError(f"undeclared reference to '{name}'")
    implementation: Callable[..., Any] = function.run

    def run(env: Env) -> Any:
        values = [arg(env) for arg in args]
        cost = 1
        for value in values:
            if isinstance(value, str | bytes | list):
                cost += len(value) // 10
        env[METER].spend(cost)
        try:
            return implementation(*values)
        except CelError:
            raise
        except (TypeError, AttributeError):
            raise no_overload(name, *values) from None
        except (ValueError, ArithmeticError, LookupError) as error:
            raise CelError(f"{name}: {error}") from None

    return run


def _list(node: tree.ListOf) -> Run:
    items = [build(item) for item in node.items]
    if not node.optional:
        return lambda env: [item(env) for item in items]

    def run(env: Env) -> list[Any]:
        found = []
        for number, item in enumerate(items):
            value = item(env)
            if number not in node.optional:
                found.append(value)
            elif not isinstance(value, Optional):
                raise no_overload("optional list element", value)
            elif value.present:
                found.append(value.value)
        return found

    return run


def _map(node: tree.MapOf) -> Run:
    entries = [(build(key), build(value)) for key, value in node.entries]

    def run(env: Env) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for number, (key, make) in enumerate(entries):
            name, value = key(env), make(env)
            if not isinstance(name, str | int | bool):
                raise CelError(f"unsupported key type: {type_of(name)}")
            if number in node.optional:
                if not isinstance(value, Optional):
                    raise no_overload("optional map entry", value)
                if not value.present:
                    continue
                value = value.value
            if name in found:
                raise CelError(f"insert failed: key {name} already exists")
            found[name] = value
        return found

    return run


def size_of(node: tree.Node) -> int:
    """Return how many steps a tree is, without loops inside it."""
    match node:
        case tree.Select():
            return 1 + size_of(node.operand)
        case tree.Index():
            return 1 + size_of(node.operand) + size_of(node.index)
        case tree.Call():
            return 1 + sum(map(size_of, node.args)) + (size_of(node.target) if node.target else 0)
        case tree.ListOf():
            return 1 + sum(map(size_of, node.items))
        case tree.MapOf():
            return 1 + sum(size_of(key) + size_of(value) for key, value in node.entries)
        case tree.Loop():
            return 1 + size_of(node.operand)
        case tree.Bind():
            return 1 + size_of(node.value) + size_of(node.body)
    return 1


def _loop(node: tree.Loop) -> Run:
    operand, body = build(node.operand), build(node.body)
    condition = build(node.condition) if node.condition else None
    first = node.variables[0]
    second = node.variables[1] if len(node.variables) > 1 else None
    step = size_of(node.body) + (size_of(node.condition) if node.condition else 0)
    kind = node.kind

    def run(env: Env) -> Any:
        value = operand(env)
        if not isinstance(value, list | dict):
            raise no_overload(kind, value)
        inner = dict(env)
        meter: Meter = env[METER]

        def each() -> Any:
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in pairs:
                meter.spend(step)
                if second is not None:
                    inner[first], inner[second] = key, item
                else:
                    inner[first] = key if isinstance(value, dict) else item
                yield key

        return _COMPREHENSIONS[kind](each(), inner, first, condition, body)

    return run


def _all(steps: Any, env: Env, _first: str, _condition: Run | None, body: Run, *, absorbing: bool = False) -> bool:
    failed: CelError | None = None
    for _ in steps:
        try:
            if _truth(body(env), "_&&_") is absorbing:
                return absorbing
        except CostError:
            raise
        except CelError as error:
            failed = error
    if failed is not None:
        raise failed
    return not absorbing


def _exists(steps: Any, env: Env, first: str, condition: Run | None, body: Run) -> bool:
    return _all(steps, env, first, condition, body, absorbing=True)


def _exists_one(steps: Any, env: Env, _first: str, _condition: Run | None, body: Run) -> bool:
    return sum(_truth(body(env), "exists_one") for _ in steps) == 1


def _mapped(steps: Any, env: Env, _first: str, condition: Run | None, body: Run) -> list[Any]:
    return [body(env) for _ in steps if condition is None or _truth(condition(env), "map")]


def _filtered(steps: Any, env: Env, first: str, _condition: Run | None, body: Run) -> list[Any]:
    return [env[first] for _ in steps if _truth(body(env), "filter")]


def _map_values(steps: Any, env: Env, _first: str, condition: Run | None, body: Run) -> dict[Any, Any]:
    return {key: body(env) for key in steps if condition is None or _truth(condition(env), "transformMap")}


_COMPREHENSIONS: dict[str, Callable[[Any, Env, str, Run | None, Run], Any]] = {
    "all": _all,
    "exists": _exists,
    "exists_one": _exists_one,
    "existsOne": _exists_one,
    "map": _mapped,
    "filter": _filtered,
    "transformList": _mapped,
    "transformMap": _map_values,
}


def _bind(node: tree.Bind) -> Run:
    value, body, name, how = build(node.value), build(node.body), node.name, node.optional

    def run(env: Env) -> Any:
        bound = value(env)
        if not how:
            return body({**env, name: bound})
        if not isinstance(bound, Optional):
            raise no_overload(how, bound)
        if not bound.present:
            return NONE
        found = body({**env, name: bound.value})
        return found if how == "optFlatMap" else Optional(found, True)

    return run
