"""Strategic merge patch: what ``kubectl apply``, ``edit``, ``set`` and ``patch`` send for built-in kinds.

Follows ``k8s.io/apimachinery/pkg/util/strategicpatch``. Objects merge by field, ``null`` removes. A list is replaced,
unless the schema says ``x-kubernetes-patch-strategy: merge``: then objects in it merge by their merge key, and
scalars are united. Directives inside the patch:

- ``$patch: replace`` puts the rest of the object (or of the list) in place of what is there; ``$patch: delete``
  removes the list item with that merge key, or everything in an object; ``$patch: merge`` is the default.
- ``$setElementOrder/<list>`` gives the order of a merged list: the keys of all items that the sender knows.
- ``$deleteFromPrimitiveList/<list>`` names the scalars to take out of a merged list.
- ``$retainKeys`` names the only fields of the object that stay (``Deployment.spec.strategy``, volumes).
"""

from collections import deque
from typing import Any, TypeAlias

from headwater.kube.patch.errors import PatchError, refuse_depth

Node: TypeAlias = dict[str, Any]

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE_SCALARS = "$deleteFromPrimitiveList/"
_EMPTY: Node = {}


def strategic_merge(document: Node, patch: Any, schema: Node) -> Node:
    """Return the document with the patch merged in.

    ``schema`` has its references resolved; merge keys and strategies are read from it. Raises ``PatchError`` with
    the field's path when the patch does not fit it.
    """
    if not isinstance(patch, dict):
        raise PatchError("a strategic merge patch must be a JSON object")
    refuse_depth(patch)
    return _object(document, patch, schema, "")


def _object(document: Node, patch: Node, schema: Node, path: str) -> Node:
    directive = patch.get(_DIRECTIVE)
    if directive is not None:
        rest = {key: value for key, value in patch.items() if key != _DIRECTIVE}
        if directive == "replace":
            return _stripped_object(rest, schema, path)
        if directive == "delete":
            return {}
        if directive != "merge":
            raise PatchError(f"{_at(path)}unknown $patch directive {directive!r}: use replace, delete or merge")
        patch = rest
    merged = _retained(document, patch, path) if _RETAIN in patch else dict(document)
    orders: dict[str, list[Any]] = {}
    for key, value in patch.items():
        if key == _RETAIN:
            continue
        if key.startswith(_ORDER):
            orders[key[len(_ORDER) :]] = _list(value, _join(path, key))
        elif key.startswith(_DELETE_SCALARS):
            name = key[len(_DELETE_SCALARS) :]
            gone = _list(value, _join(path, key))
            if isinstance(merged.get(name), list):
                at = _join(path, key)
                out = {_identity(item, None, at) for item in gone}
                merged[name] = [item for item in merged[name] if _identity(item, None, at) not in out]
        elif value is None:
            merged.pop(key, None)
    for key, value in patch.items():
        if value is None or key == _RETAIN or key.startswith((_ORDER, _DELETE_SCALARS)):
            continue
        child = _child(schema, key)
        at = _join(path, key)
        present = merged.get(key)
        if isinstance(value, dict):
            if isinstance(present, dict) and child.get("x-kubernetes-patch-strategy") != "replace":
                merged[key] = _object(present, value, child, at)
            elif value.get(_DIRECTIVE) == "delete":
                merged.pop(key, None)
            else:
                merged[key] = _stripped_object(value, child, at)
        elif isinstance(value, list) and _merges(child):
            order = orders.pop(key, None)
            merged[key] = _merged_list(present if isinstance(present, list) else [], value, child, order, at)
        elif isinstance(value, list):
            merged[key] = _stripped_list(value, child, at)
        else:
            merged[key] = value
    for key, order in orders.items():
        child = _child(schema, key)
        if isinstance(merged.get(key), list) and _merges(child):
            merged[key] = _ordered(merged[key], merged[key], order, child, _join(path, key))
    return merged


def _retained(document: Node, patch: Node, path: str) -> Node:
    retained = _list(patch[_RETAIN], _join(path, _RETAIN))
    for key, value in patch.items():
        if value is not None and not key.startswith("$") and key not in retained:
            raise PatchError(f"{_at(path)}$retainKeys must name every field that the patch sets, {key!r} is missing")
    return {key: value for key, value in document.items() if key in retained}


def _merged_list(present: list[Any], patch: list[Any], schema: Node, order: list[Any] | None, path: str) -> list[Any]:
    key = schema.get("x-kubernetes-patch-merge-key")
    objects = [item for item in patch if isinstance(item, dict)]
    if objects and len(objects) != len(patch):
        raise PatchError(f"{_at(path)}the items of a list must be all objects or all scalars")
    if objects:
        if key is None:
            raise PatchError(f"{_at(path)}this list has no merge key, so its items cannot be merged: replace the list")
        merged = _merged_objects(present, objects, schema, key, path)
    elif key is not None:
        if patch:
            raise PatchError(f"{_at(path)}the items of this list must be objects with the key {key!r}")
        merged = list(present)
    else:
        have = {_identity(item, None, path) for item in present}
        added = {_identity(item, None, path): item for item in patch}
        merged = [*present, *(item for identity, item in added.items() if identity not in have)]
    sent = [item for item in patch if not _is_directive(item)]
    if order is None:
        # As upstream: without an order of its own the patch's order counts, and what it adds comes first.
        return _ordered(present, merged, sent, schema, path)
    wanted = {_identity(item, key, path): place for place, item in enumerate(order)}
    places = [wanted.get(_identity(item, key, path), -1) for item in sent]
    if -1 in places or places != sorted(places):
        raise PatchError(f"{_at(path)}the patch's items are not in the order that $setElementOrder gives")
    return _ordered(present, merged, order, schema, path)


def _merged_objects(present: list[Any], patch: list[Node], schema: Node, key: str, path: str) -> list[Any]:
    items = schema.get("items") or _EMPTY
    replacing = [item for item in patch if item.get(_DIRECTIVE) == "replace"]
    if replacing:
        # One item that says so replaces the whole list by the other items of the patch.
        for item in replacing:
            if len(item) > 1:
                raise PatchError(f"{_at(path)}an item with $patch: replace stands alone and has no other fields")
        kept = [item for item in patch if item.get(_DIRECTIVE) is None]
        return _stripped_list(kept, schema, path)
    for item in patch:
        if key not in item:
            raise PatchError(f"{_at(path)}an item has no {key!r}, which is this list's merge key")
    gone = {_identity(item, key, path) for item in patch if item.get(_DIRECTIVE) == "delete"}
    merged = [item for item in present if _identity(item, key, path) not in gone]
    places: dict[Any, int] = {}
    for place, item in enumerate(merged):
        places.setdefault(_identity(item, key, path), place)
    for item in patch:
        directive = item.get(_DIRECTIVE)
        where = f"{path}[{key}={item[key]}]"
        if directive == "delete":
            continue
        if directive not in (None, "merge"):
            raise PatchError(f"{_at(where)}unknown $patch directive {directive!r}: use replace, delete or merge")
        identity = _identity(item, key, path)
        if identity in places:
            merged[places[identity]] = _object(merged[places[identity]], item, items, where)
        else:
            places[identity] = len(merged)
            merged.append(_stripped_object(item, items, where))
    return merged


def _ordered(before: list[Any], merged: list[Any], order: list[Any], schema: Node, path: str) -> list[Any]:
    """Sort a merged list by the sender's order; items that only the server knows keep their neighbourhood.

    As upstream: the sender's items in the sender's order, the server's own items in theirs, and where the two
    meet, the order on the server decides.
    """
    key = schema.get("x-kubernetes-patch-merge-key")
    if key is not None and not all(isinstance(item, dict) and key in item for item in order):
        raise PatchError(f"{_at(path)}$setElementOrder must hold objects with the key {key!r}")
    wanted: dict[Any, int] = {}
    for place, item in enumerate(order):
        wanted.setdefault(_identity(item, key, path), place)
    places: dict[Any, int] = {}
    for place, item in enumerate(before):
        places.setdefault(_identity(item, key, path), place)
    known: list[tuple[Any, Any]] = []
    own: list[tuple[Any, Any]] = []
    for item in merged:
        identity = _identity(item, key, path)
        (known if identity in wanted else own).append((identity, item))
    known.sort(key=lambda pair: wanted[pair[0]])
    result: list[Any] = []
    left, right = deque(known), deque(own)
    while left and right:
        mine, theirs = places.get(left[0][0]), places.get(right[0][0])
        first = right if mine is not None and theirs is not None and theirs < mine else left
        result.append(first.popleft()[1])
    return result + [item for _, item in left] + [item for _, item in right]


def _identity(item: Any, key: str | None, path: str) -> Any:
    """Return what an item of a merged list is told apart by, as something hashable."""
    if key is not None:
        item = item.get(key) if isinstance(item, dict) else None
    if isinstance(item, dict | list):
        raise PatchError(f"{_at(path)}the items of a merged list are told apart by a scalar, not by {item!r}")
    return isinstance(item, bool), item


def _stripped_object(patch: Node, schema: Node, path: str) -> Node:
    """Return what the patch says where there was nothing before: itself, without directives and nulls."""
    directive = patch.get(_DIRECTIVE)
    if directive == "delete":
        return {}
    if directive not in (None, "replace", "merge"):
        raise PatchError(f"{_at(path)}unknown $patch directive {directive!r}: use replace, delete or merge")
    kept: Node = {}
    for key, value in patch.items():
        if value is None or key in (_DIRECTIVE, _RETAIN) or key.startswith((_ORDER, _DELETE_SCALARS)):
            continue
        child = _child(schema, key)
        if isinstance(value, dict):
            if value.get(_DIRECTIVE) == "delete":
                continue
            kept[key] = _stripped_object(value, child, _join(path, key))
        elif isinstance(value, list):
            kept[key] = _stripped_list(value, child, _join(path, key))
        else:
            kept[key] = value
    return kept


def _stripped_list(patch: list[Any], schema: Node, path: str) -> list[Any]:
    items = schema.get("items") or _EMPTY
    kept: list[Any] = []
    for index, item in enumerate(patch):
        if isinstance(item, dict):
            directive = item.get(_DIRECTIVE)
            if directive == "delete" or (directive == "replace" and len(item) == 1):
                continue
            kept.append(_stripped_object(item, items, f"{path}[{index}]"))
        else:
            kept.append(item)
    return kept


def _child(schema: Node, key: str) -> Node:
    properties = schema.get("properties")
    if properties and key in properties:
        child: Node = properties[key]
        return child
    additional = schema.get("additionalProperties")
    return additional if isinstance(additional, dict) else _EMPTY


def _merges(schema: Node) -> bool:
    return "merge" in str(schema.get("x-kubernetes-patch-strategy", "")).split(",")


def _is_directive(item: Any) -> bool:
    return isinstance(item, dict) and item.get(_DIRECTIVE) in ("delete", "replace")


def _list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise PatchError(f"{path} must be a list")
    return value


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _at(path: str) -> str:
    return f"{path}: " if path else ""
