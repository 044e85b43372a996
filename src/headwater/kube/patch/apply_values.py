"""Objects seen by server-side apply: what fields they have, how two differ, how one merges into another.

Pure walks over plain values along a ``Shape``, by the rules of ``sigs.k8s.io/structured-merge-diff``'s ``typed``
package. Nothing here knows of owners. No argument is changed; results share what did not change.
"""

from typing import Any

from headwater.kube.patch.apply_sets import LEAF, Fields, field_step, is_member, node_of, path_text
from headwater.kube.patch.apply_shapes import DEDUCED, Shape
from headwater.kube.patch.errors import PatchError

Path = tuple[str, ...]

_CONTAINERS = (dict, list)


def fields_of(shape: Shape, value: dict[str, Any], *, strict: bool = False) -> Fields:
    """Return the fields that an object sets.

    With ``strict``, as for a configuration that is applied, raises ``PatchError`` on a field that the schema does not
    have and on list items that cannot be told apart.
    """
    return _fields(shape, value, (), strict) or {}


def _fields(shape: Shape, value: Any, path: Path, strict: bool) -> Fields | None:
    """Return what is set at and below a value, ``None`` when that is nothing; the value itself only if a leaf."""
    if shape.atomic:
        return LEAF
    if isinstance(value, dict):
        if not value:
            return LEAF if path else None
        below: Fields = {}
        for name, child in value.items():
            step = field_step(name)
            inner = shape.field(name)
            declared = inner is not None
            if inner is None:
                inner = shape.others
                if inner is None:
                    if strict:
                        raise PatchError(f"{path_text((*path, step))}: field not declared in schema")
                    inner = DEDUCED
            node = _fields(inner, child, (*path, step), strict)
            if not declared:
                node = node_of(node or {}, True) if node is None or not is_member(node) else node
            if node is not None:
                below[step] = node
        return below or None
    if isinstance(value, list):
        items = _items(shape, value, path, strict)
        if items is None:
            return LEAF
        of_items = shape.others or DEDUCED
        below = {}
        for step, item in items.items():
            node = _fields(of_items, item, (*path, step), strict) if isinstance(item, dict | list) else None
            below[step] = LEAF if not node else ({".": LEAF, **node} if "." not in node else node)
        return below or None
    return LEAF


def _items(shape: Shape, value: list[Any], path: Path = (), strict: bool = False) -> dict[str, Any] | None:
    """Return a list's items by their steps, ``None`` for a list that can only be taken as a whole."""
    if not (shape.by_value or shape.keys):
        return None
    found: dict[str, Any] = {}
    for index, item in enumerate(value):
        step = shape.step(item)
        if step is None:
            if strict:
                raise PatchError(f"{path_text(path)}: element {index}: {_why_unknown(shape)}")
            return None
        if step in found:
            if strict:
                raise PatchError(f"{path_text(path)}: duplicate entries for key {path_text((step,))}")
            continue
        found[step] = item
    return found


def _why_unknown(shape: Shape) -> str:
    if shape.by_value:
        return "the items of a set must be text, numbers or truth values"
    names = ", ".join(f'"{name}"' for name, _ in shape.keys)
    return f"associative list with keys has an element that omits key field {names} (and doesn't have default value)"


def everything(shape: Shape, value: Any) -> Fields:
    """Return a value that came or went as a whole: itself, and all fields in it."""
    if not value or shape.atomic or not isinstance(value, _CONTAINERS):
        return LEAF
    below: Fields = {".": LEAF}
    if isinstance(value, dict):
        steps = shape.steps
        for name, child in value.items():
            step, inner = steps.get(name) or shape.at(name)
            below[step] = everything(inner, child) if child and isinstance(child, _CONTAINERS) else LEAF
        return below
    items = _items(shape, value)
    if items is None:
        return LEAF
    of_items = shape.others or DEDUCED
    for step, item in items.items():
        below[step] = everything(of_items, item)
    return below


def compare(shape: Shape, old: Any, new: Any) -> tuple[Fields | None, Fields | None]:
    """Return the fields that were added or changed, and those that were removed, from one value to the next."""
    if shape.atomic:
        return (None if _equal(old, new) else LEAF), None
    if isinstance(old, dict) and isinstance(new, dict):
        return _compare_objects(shape, old, new)
    if isinstance(old, list) and isinstance(new, list):
        before, after = _items(shape, old), _items(shape, new)
        if before is not None and after is not None and (before or after):
            return _compare_items(shape, before, after)
        return (None if _equal(old, new) else LEAF), None
    if isinstance(old, dict | list) or isinstance(new, dict | list):
        return (everything(shape, new), everything(shape, old) if old else None)
    return (None if _equal(old, new) else LEAF), None


def _compare_objects(shape: Shape, old: dict[str, Any], new: dict[str, Any]) -> tuple[Fields | None, Fields | None]:
    changed: Fields = {}
    removed: Fields = {}
    steps = shape.steps
    for name, value in new.items():
        if name in old:
            before = old[name]
            if before is value or (before == value and not isinstance(value, bool | int)):
                continue
            step, inner = steps.get(name) or shape.at(name)
            node, gone = compare(inner, before, value)
            if node is not None:
                changed[step] = node
            if gone is not None:
                removed[step] = gone
        else:
            step, inner = steps.get(name) or shape.at(name)
            changed[step] = everything(inner, value)
    for name, value in old.items():
        if name not in new:
            step, inner = shape.at(name)
            removed[step] = everything(inner, value)
    return changed or None, removed or None


def _compare_items(shape: Shape, before: dict[str, Any], after: dict[str, Any]) -> tuple[Fields | None, Fields | None]:
    changed: Fields = {}
    removed: Fields = {}
    of_items = shape.others or DEDUCED
    for step, item in after.items():
        if step not in before:
            changed[step] = everything(of_items, item)
        elif before[step] != item:
            node, gone = compare(of_items, before[step], item)
            if node is not None:
                changed[step] = node
            if gone is not None:
                removed[step] = gone
    for step, item in before.items():
        if step not in after:
            removed[step] = everything(of_items, item)
    return changed or None, removed or None


def _equal(left: Any, right: Any) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def merge(shape: Shape, live: Any, config: Any) -> Any:
    """Return the live value with a configuration merged in: the configuration wins, what it leaves out stays."""
    if shape.atomic:
        return config
    if isinstance(live, dict) and isinstance(config, dict):
        merged = dict(live)
        for name, value in config.items():
            present = merged.get(name)
            if isinstance(value, dict | list) and present is not None:
                merged[name] = merge(shape.field(name) or shape.others or DEDUCED, present, value)
            else:
                merged[name] = value
        return merged
    if isinstance(live, list) and isinstance(config, list):
        wanted = _items(shape, config)
        if wanted is not None:
            return _merge_lists(shape, live, wanted)
    return config


def _merge_lists(shape: Shape, live: list[Any], wanted: dict[str, Any]) -> list[Any]:
    """Merge item by item. The configuration's items keep its order, the others their place among them."""
    of_items = shape.others or DEDUCED
    steps = [shape.step(item) for item in live]
    present: dict[str | None, Any] = {}
    for step, item in zip(steps, live, strict=True):
        present.setdefault(step, item)
    shared = [step for step in wanted if step in present]
    merged: list[Any] = []
    place = met = 0
    for step, item in wanted.items():
        awaited = shared[met] if met < len(shared) else None
        # What only the live list has stands before the next item that both have.
        while place < len(live) and (steps[place] not in wanted or steps[place] != awaited):
            if steps[place] not in wanted:
                merged.append(live[place])
            place += 1
        if step in present:
            merged.append(merge(of_items, present[step], item))
            met += 1
        else:
            merged.append(item)
    merged.extend(item for step, item in zip(steps[place:], live[place:], strict=True) if step not in wanted)
    return merged


def remove(shape: Shape, value: dict[str, Any], fields: Fields) -> dict[str, Any]:
    """Return an object without the fields in a set; what is in a removed field goes with it."""
    kept = _remaining(shape, value, fields)
    return kept if isinstance(kept, dict) else {}


def _remaining(shape: Shape, value: Any, fields: Fields) -> Any:
    if shape.atomic:
        return value
    if isinstance(value, dict):
        kept: dict[str, Any] = {}
        for name, child in value.items():
            node = fields.get("f:" + name)
            if node is None:
                kept[name] = child
            elif not is_member(node):
                left = _remaining(shape.field(name) or shape.others or DEDUCED, child, node)
                if left is not None or child is None:
                    kept[name] = left
        return kept or None
    if isinstance(value, list) and (shape.by_value or shape.keys):
        of_items = shape.others or DEDUCED
        items: list[Any] = []
        for item in value:
            node = fields.get(shape.step(item) or "")
            if node is None:
                items.append(item)
            elif not is_member(node):
                left = _remaining(of_items, item, node)
                if left is not None:
                    items.append(left)
        return items or None
    return value


def declared(shape: Shape, fields: Fields) -> Fields:
    """Return the set with every declared field that it has something in added to it.

    So a structure whose last field is taken away goes too. Upstream: ``EnsureNamedFieldsAreMembers``.
    """
    out: Fields = {}
    for step, node in fields.items():
        if not node:
            out[step] = node
            continue
        field = shape.field(step[2:]) if step[0] == "f" else None
        inner = declared(field or shape.others or DEDUCED, node)
        out[step] = {".": LEAF, **inner} if field is not None and "." not in inner else inner
    return out


def fitted(shape: Shape, fields: Fields) -> Fields:
    """Return a set as today's schema allows it: who owned part of what is now atomic owns it whole."""
    out: Fields = {}
    for step, node in fields.items():
        if node:
            child = (shape.field(step[2:]) if step[0] == "f" else None) or shape.others or DEDUCED
            node = LEAF if child.atomic else fitted(child, node)
        out[step] = node
    return out
