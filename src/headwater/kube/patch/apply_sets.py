"""Sets of fields in the form in which ``metadata.managedFields`` holds them (``FieldsV1``).

A set is a tree of plain dictionaries, kept and computed as it goes over the wire: a key is a step (``f:name`` a field,
``k:{...}`` a list item by its keys, ``v:...`` a list item by its value), its value is what lies below. A node is in
the set itself when it is empty or holds the key ``.``; the root is never in it. Trees are shared and never changed.
Follows ``sigs.k8s.io/structured-merge-diff``'s ``fieldpath.Set``.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import orjson

from headwater.kube.patch.errors import MAX_DEPTH, PatchError

Fields: TypeAlias = dict[str, Any]

SELF = "."
LEAF: Fields = {}


def is_member(node: Fields) -> bool:
    """Whether a node below the root is in the set itself, and not only things below it."""
    return not node or SELF in node


def field_step(name: str) -> str:
    """Return the step to a field of an object."""
    return "f:" + name


def value_step(value: Any) -> str:
    """Return the step to an item of a list that is a set."""
    return "v:" + orjson.dumps(value).decode()


def key_step(keys: dict[str, Any]) -> str:
    """Return the step to an item of a list that is a map; ``keys`` are sorted by name."""
    return "k:" + orjson.dumps(keys).decode()


def node_of(below: Fields, member: bool) -> Fields | None:
    """Make a node of what is below it; ``None`` when the set has nothing there."""
    if not member:
        return below or None
    return {SELF: LEAF, **below} if below else LEAF


def union(left: Fields, right: Fields) -> Fields:
    """Return what is in either set."""
    if not left:
        return right
    if not right:
        return left
    return _joined(left, right)


def _joined(left: Fields, right: Fields) -> Fields:
    out = dict(left)
    for step, node in right.items():
        present = out.get(step)
        out[step] = node if present is None else _united(present, node)
    return out


def _united(left: Fields, right: Fields) -> Fields:
    if left == right:
        return left
    if not left:
        return right if SELF in right else {SELF: LEAF, **right}
    if not right:
        return left if SELF in left else {SELF: LEAF, **left}
    return _joined(left, right)


def difference(left: Fields, right: Fields) -> Fields:
    """Return what is in ``left`` and not in ``right``; taking a node away leaves what is below it."""
    if not right:
        return left
    return _without(left, right) or {}


def _without(left: Fields, right: Fields) -> Fields | None:
    out: Fields = {}
    for step, node in left.items():
        other = right.get(step)
        if other is None:
            out[step] = node
        elif step != SELF:
            left_over = _less(node, other)
            if left_over is not None:
                out[step] = left_over
    if len(out) == 1 and SELF in out:
        return LEAF
    return out or None


def _less(left: Fields, right: Fields) -> Fields | None:
    if not right:
        if SELF not in left:
            return left or None
        return {step: node for step, node in left.items() if step != SELF} or None
    if not left:
        return None if SELF in right else left
    return _without(left, right)


def intersection(left: Fields, right: Fields) -> Fields:
    """Return what is in both sets."""
    return _shared(left, right, False) or {}


def _shared(left: Fields, right: Fields, member: bool) -> Fields | None:
    below: Fields = {}
    for step, node in left.items():
        other = right.get(step)
        if other is None or step == SELF:
            continue
        both = _shared(node, other, is_member(node) and is_member(other))
        if both is not None:
            below[step] = both
    return node_of(below, member)


def members(fields: Fields) -> Iterator[tuple[str, ...]]:
    """Yield the paths that are in the set, sorted as a tree."""
    stack: list[tuple[tuple[str, ...], Fields]] = [((), fields)]
    while stack:
        path, node = stack.pop()
        if path and is_member(node):
            yield path
        stack.extend((*[((*path, step), node[step]) for step in sorted(node, reverse=True) if step != SELF],))


def path_text(path: tuple[str, ...]) -> str:
    """Write a path as conflicts do: ``.spec.containers[name="main"].image``."""
    said = ""
    for step in path:
        kind, value = step[0], step[2:]
        if kind == "f":
            said += f".{value}"
        elif kind == "k":
            keys = orjson.loads(value)
            said += "[" + ",".join(f"{key}={orjson.dumps(keys[key]).decode()}" for key in sorted(keys)) + "]"
        elif kind == "v":
            said += f"[={value}]"
        else:
            said += f"[{value}]"
    return said


def read_fields(value: Any) -> Fields:
    """Check and copy a set that a client sent, with its steps in the canonical form. Raises ``PatchError``."""
    return _read(value, 0)


def _read(value: Any, depth: int) -> Fields:
    if not isinstance(value, dict):
        raise PatchError(f"a set of fields must be made of objects, not of {type(value).__name__}")
    if depth > MAX_DEPTH:
        raise PatchError(f"a set of fields may be nested at most {MAX_DEPTH} levels deep")
    out: Fields = {}
    for step, node in value.items():
        if step == SELF:
            if depth:
                out[SELF] = LEAF
            continue
        out[_canonical(step)] = _read(node, depth + 1)
    return LEAF if len(out) == 1 and SELF in out else out


def _canonical(step: str) -> str:
    kind, colon, value = step[:1], step[1:2], step[2:]
    if colon != ":" or kind not in ("f", "k", "v", "i"):
        raise PatchError(f"{step!r} is no step of a set of fields: it must begin with f:, k:, v: or i:")
    if kind == "f":
        return step
    try:
        decoded = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise PatchError(f"{step!r} is no step of a set of fields: {error.msg}") from error
    if kind == "k" and not (isinstance(decoded, dict) and decoded):
        raise PatchError(f"{step!r} is no step of a set of fields: k: must be followed by an object")
    return f"{kind}:{orjson.dumps(decoded, option=orjson.OPT_SORT_KEYS).decode()}"
