"""The error that a patch ends in which does not fit the document, or is none; and how deep one may be nested."""

from typing import Any

MAX_DEPTH = 200
"""Levels of nesting, far more than any kind has, and few enough for every recursion over an object."""


class PatchError(ValueError):
    """A patch that cannot be understood or applied; the message says where and why."""


def refuse_depth(value: Any, above: int = 0) -> None:
    """Raise ``PatchError`` when a value that stands below this many levels is nested too deeply."""
    level = [value]
    depth = above
    while level:
        if depth > MAX_DEPTH:
            raise PatchError(f"a patch may be nested at most {MAX_DEPTH} levels deep")
        inside: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                inside += [child for child in node.values() if isinstance(child, dict | list)]
            elif isinstance(node, list):
                inside += [child for child in node if isinstance(child, dict | list)]
        level = inside
        depth += 1
