"""JSON patch (RFC 6902) with JSON pointers (RFC 6901): what ``kubectl patch --type json`` sends."""

from collections.abc import Callable
from typing import Any

import orjson

from headwater.kube.patch.errors import PatchError, refuse_depth

_MAX_OPERATIONS = 10_000
"""As the API server's own limit, so that one request cannot keep it busy."""

_MAX_COPIED = 3 * 1024 * 1024
"""Bytes that the copy operations of one patch may add, likewise."""


def json_patch(document: dict[str, Any], operations: Any) -> dict[str, Any]:
    """Return the document with the operations applied, all of them or none.

    Raises ``PatchError`` naming the operation that is malformed, points nowhere, or is a failed ``test``.
    """
    if not isinstance(operations, list):
        raise PatchError("a JSON patch must be a list of operations")
    if len(operations) > _MAX_OPERATIONS:
        raise PatchError(f"a JSON patch may have at most {_MAX_OPERATIONS} operations, this has {len(operations)}")
    refuse_depth(operations)
    result: Any = document
    copied = 0
    for index, operation in enumerate(operations):
        try:
            if isinstance(operation, dict) and operation.get("op") == "copy":
                copied += len(orjson.dumps(_get(result, _pointer(operation, "from"))))
                if copied > _MAX_COPIED:
                    raise PatchError(f"the copy operations of a patch may copy at most {_MAX_COPIED} bytes")
            result = _apply(result, operation)
        except PatchError as error:
            raise PatchError(f"operation {index}: {error}") from None
    if not isinstance(result, dict):
        raise PatchError("the patched document is not an object any more")
    return result


def _apply(document: Any, operation: Any) -> Any:
    if not isinstance(operation, dict):
        raise PatchError("an operation must be an object with 'op' and 'path'")
    name = operation.get("op")
    path = _pointer(operation, "path")
    match name:
        case "add":
            return _set(document, path, _value(operation), _insert)
        case "replace":
            return _set(document, path, _value(operation), _replace)
        case "remove":
            return _remove(document, path)
        case "test":
            if not _equal(_get(document, path), _value(operation)):
                raise PatchError(f"testing path '{_text(path)}' failed: the value is different")
            return document
        case "copy":
            # A copy of its own, so that nothing stands in the document twice.
            value = orjson.loads(orjson.dumps(_get(document, _pointer(operation, "from"))))
            return _set(document, path, value, _insert)
        case "move":
            source = _pointer(operation, "from")
            if path[: len(source)] == source and path != source:
                raise PatchError(f"cannot move '{_text(source)}' into itself")
            value = _get(document, source)
            return _set(_remove(document, source), path, value, _insert) if source != path else document
    raise PatchError(f"unknown op {name!r}; there are add, remove, replace, move, copy and test")


def _value(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise PatchError(f"{operation['op']} at '{operation['path']}' has no 'value'")
    return operation["value"]


def _pointer(operation: dict[str, Any], key: str) -> tuple[str, ...]:
    text = operation.get(key)
    if not isinstance(text, str):
        raise PatchError(f"'{key}' must be a JSON pointer such as '/metadata/labels/app'")
    if text == "":
        return ()
    if not text.startswith("/"):
        raise PatchError(f"'{text}' is not a JSON pointer: it must start with '/'")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))


def _text(path: tuple[str, ...]) -> str:
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def _missing(path: tuple[str, ...]) -> PatchError:
    return PatchError(f"there is nothing at '{_text(path)}'")


def _index(container: list[Any], part: str, path: tuple[str, ...], *, end: bool = False) -> int:
    if not (part.isascii() and part.isdigit()) or (len(part) > 1 and part[0] == "0"):
        raise PatchError(f"'{part}' in '{_text(path)}' is not an index of a list")
    index = int(part)
    if index > len(container) - (0 if end else 1):
        raise PatchError(f"index {index} in '{_text(path)}' is out of bounds: the list has {len(container)} items")
    return index


def _get(document: Any, path: tuple[str, ...]) -> Any:
    node = document
    for part in path:
        if isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, list):
            node = node[_index(node, part, path)]
        else:
            raise _missing(path)
    return node


def _set(
    document: Any,
    path: tuple[str, ...],
    value: Any,
    write: Callable[[Any, str, Any, tuple[str, ...]], None],
) -> Any:
    refuse_depth(value, len(path))
    if not path:
        return value
    return _edit(document, path, 0, lambda container: write(container, path[-1], value, path))


def _remove(document: Any, path: tuple[str, ...]) -> Any:
    if not path:
        raise PatchError("the whole document cannot be removed")

    def drop(container: Any) -> None:
        if isinstance(container, list):
            del container[_index(container, path[-1], path)]
        elif path[-1] in container:
            del container[path[-1]]
        else:
            raise _missing(path)

    return _edit(document, path, 0, drop)


def _edit(node: Any, path: tuple[str, ...], depth: int, change: Callable[[Any], None]) -> Any:
    """Copy the containers along the path, and let ``change`` alter the innermost of them."""
    if not isinstance(node, dict | list):
        raise _missing(path)
    copy: Any = node.copy()
    if depth == len(path) - 1:
        change(copy)
        return copy
    part = path[depth]
    if isinstance(copy, list):
        index = _index(copy, part, path)
        copy[index] = _edit(copy[index], path, depth + 1, change)
    elif part in copy:
        copy[part] = _edit(copy[part], path, depth + 1, change)
    else:
        raise _missing(path[: depth + 1])
    return copy


def _insert(container: Any, part: str, value: Any, path: tuple[str, ...]) -> None:
    if isinstance(container, list):
        container.insert(len(container) if part == "-" else _index(container, part, path, end=True), value)
    else:
        container[part] = value


def _replace(container: Any, part: str, value: Any, path: tuple[str, ...]) -> None:
    if isinstance(container, list):
        container[_index(container, part, path)] = value
    elif part in container:
        container[part] = value
    else:
        raise _missing(path)


def _equal(left: Any, right: Any) -> bool:
    """Compare as JSON: unlike Python, ``true`` is not ``1``."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)
