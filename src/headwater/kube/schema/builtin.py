"""The schemas of the built-in kinds, read from the file that the build extracted.

The file (see ``hatch_build.py``) is a chain of gzip members; opening it inflates the index only. A definition is
materialised when it is asked for, together with what it refers to, so that a process pays for the kinds it serves.
"""

import zlib
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import orjson

Schema: TypeAlias = dict[str, Any]
"""A schema with references resolved. It may contain itself: never copy it deeply, never change it."""

BUILTIN = "x-headwater-builtin"
"""Marks the root of a built-in kind's schema: decoded by Go's rules, where ``null`` means absent."""

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

_FILE = Path(__file__).with_name("builtin.json.gz")
_FORMAT = 1
_GZIP = 31


class Definitions:
    """The definitions in one extracted file."""

    def __init__(self, content: bytes) -> None:
        """Read the index. Raises ``RuntimeError`` when the file is of another format."""
        inflate = zlib.decompressobj(_GZIP)
        index = orjson.loads(inflate.decompress(content))
        if index.get("format") != _FORMAT:
            raise RuntimeError("the extracted schemas are of another version of Headwater: run `python hatch_build.py`")
        self._content = inflate.unused_data
        self._kinds: dict[str, dict[str, str]] = index["kinds"]
        self._offsets: dict[str, list[int]] = index["blocks"]
        self._blocks: dict[str, dict[str, Any]] = {}
        self._resolved: dict[str, Schema] = {}
        self._unfinished: list[tuple[Schema, Schema, dict[str, Any]]] | None = None
        self.kubernetes_version: str = index["kubernetes"]

    def group_versions(self) -> list[tuple[str, str]]:
        """Return every group and version that has kinds."""
        split = (key.rpartition("/") for key in self._kinds)
        return [(group, version) for group, _, version in split]

    def kinds(self, group: str, version: str) -> dict[str, str]:
        """Return the kinds of a group and version, each with the name of its definition."""
        return dict(self._kinds.get(f"{group}/{version}", {}))

    def name_of(self, group: str, version: str, kind: str) -> str:
        """Return the name of a kind's definition, such as ``io.k8s.api.core.v1.Pod``. Raises ``KeyError``."""
        return self._kinds[f"{group}/{version}"][kind]

    def find(self, group: str, version: str, kind: str) -> Schema | None:
        """Return the schema of a kind, or ``None`` when it is not built in."""
        name = self._kinds.get(f"{group}/{version}", {}).get(kind)
        return None if name is None else self.definition(name)

    def schema_of(self, group: str, version: str, kind: str) -> Schema:
        """Return the schema of a kind. Raises ``KeyError`` when it is not built in."""
        return self.definition(self.name_of(group, version, kind))

    def definition(self, name: str) -> Schema:
        """Return a definition by its name, with everything that it refers to in place. Raises ``KeyError``."""
        found = self._resolved.get(name)
        if found is not None:
            return found
        if self._unfinished is not None:
            return self._materialise(name)
        self._unfinished = []
        try:
            found = self._materialise(name)
            # A reference with siblings is a copy of what it refers to, which must be complete by then.
            for node, target, siblings in self._unfinished:
                node.update(target)
                node.pop(BUILTIN, None)
                node.update(siblings)
        finally:
            self._unfinished = None
        return found

    def openapi(self, group: str, version: str) -> dict[str, Any]:
        """Return ``components.schemas`` of a group and version as an OpenAPI v3 document has them.

        With descriptions, and with every definition that these refer to. Built anew at each call: it is large,
        and asked for rarely.
        """
        return self.components(self._kinds.get(f"{group}/{version}", {}).values())

    def components(self, names: Any) -> dict[str, Any]:
        """Return the definitions with these names, and those they refer to, as OpenAPI v3 components."""
        components: dict[str, Any] = {}
        pending = list(names)
        while pending:
            name = pending.pop()
            if name not in components:
                components[name] = self._component(name, pending)
        return components

    def _block(self, key: str) -> dict[str, Any]:
        block = self._blocks.get(key)
        if block is None:
            block = self._inflate(key)
            self._blocks[key] = block
        return block

    def _inflate(self, key: str) -> dict[str, Any]:
        start, length = self._offsets[key]
        block: dict[str, Any] = orjson.loads(zlib.decompress(self._content[start : start + length], _GZIP))
        return block

    def _materialise(self, name: str) -> Schema:
        shape = self._block(name.rpartition(".")[0])[name]
        schema: Schema = {}
        self._resolved[name] = schema
        schema.update(self._resolve(shape))
        if "x-kubernetes-group-version-kind" in shape:
            schema[BUILTIN] = True
        return schema

    def _resolve(self, node: Schema) -> Schema:
        reference = node.get("$ref")
        if reference is not None:
            target = self.definition(reference)
            siblings = {key: value for key, value in node.items() if key != "$ref"}
            if not siblings:
                return target
            copy: Schema = {}
            assert self._unfinished is not None
            self._unfinished.append((copy, target, siblings))
            return copy
        resolved = dict(node)
        if "properties" in node:
            resolved["properties"] = {key: self._resolve(value) for key, value in node["properties"].items()}
        for key in ("items", "additionalProperties"):
            if isinstance(node.get(key), dict):
                resolved[key] = self._resolve(node[key])
        return resolved

    def _component(self, name: str, pending: list[str]) -> dict[str, Any]:
        package = name.rpartition(".")[0]
        shape = self._block(package)[name]
        key = f"{package}#descriptions"
        if key not in self._blocks:
            self._blocks[key] = self._inflate(key)
        descriptions = self._blocks[key].get(name, {})
        component = _with_references(shape, pending)
        if "" in descriptions:
            component["description"] = descriptions[""]
        for field, schema in component.get("properties", {}).items():
            if field not in descriptions:
                continue
            if "$ref" in schema:
                schema["allOf"] = [{"$ref": schema.pop("$ref")}]
            schema["description"] = descriptions[field]
        return component

    def forget_descriptions(self) -> None:
        """Let go of the descriptions, which only ``openapi`` needs."""
        for key in [key for key in self._blocks if key.endswith("#descriptions")]:
            del self._blocks[key]


def _with_references(node: Schema, pending: list[str]) -> dict[str, Any]:
    """Copy a shape, naming what it refers to as OpenAPI does, and note it as needed."""
    copy = dict(node)
    reference = copy.pop("$ref", None)
    if reference is not None:
        pending.append(reference)
        target = {"$ref": f"#/components/schemas/{reference}"}
        if not copy:
            return target
        copy["allOf"] = [target]
    if "properties" in node:
        copy["properties"] = {key: _with_references(value, pending) for key, value in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            copy[key] = _with_references(node[key], pending)
    return copy


@cache
def builtin() -> Definitions:
    """Return the definitions that came with this installation. Raises ``RuntimeError`` when they were not built."""
    try:
        content = _FILE.read_bytes()
    except FileNotFoundError:
        raise RuntimeError(
            f"{_FILE.name} is missing: in a checkout run `python hatch_build.py`, else reinstall headwater"
        ) from None
    return Definitions(content)
