"""OpenAPI v3: one document for each group-version, from the built-in schemas and those of custom resources.

It holds what clients look for: components with their group-version-kinds (``kubectl explain``, merge keys for
``kubectl apply``), and under ``paths`` each resource's operations with the query parameters and patch types it
understands (kubectl reads ``fieldValidation``, ``dryRun`` and the strategic merge patch from there).
"""

import gzip
import hashlib
from typing import Any

import orjson

from headwater.cluster.apiserver.registry import Registry, Served
from headwater.kube.client import PatchType
from headwater.kube.meta.objects import Object
from headwater.kube.schema.builtin import OBJECT_META, builtin

_LIST_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
_REFERENCE = "#/components/schemas/"
_LIST_PARAMETERS = (
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
)
_WRITE_PARAMETERS = (("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"))
_DELETE_PARAMETERS = (
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
)


class OpenApi:
    """The documents of this server; each is built when it is first asked for and kept compressed."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._generation = -1
        self._documents: dict[tuple[str, str], bytes] = {}

    def index(self) -> bytes:
        """Return ``/openapi/v3``: where each document is, with a hash that changes when the document does."""
        paths = {}
        for group, version in self._group_versions():
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={self._fingerprint(group, version)}"}
        return orjson.dumps({"paths": paths})

    def document(self, group: str, version: str) -> bytes | None:
        """Return a group-version's document, compressed with gzip, or ``None`` when it is not served."""
        if self._generation != self._registry.generation:
            self._documents.clear()
            self._generation = self._registry.generation
        if (group, version) not in self._documents:
            served = self._of(group, version)
            if not served:
                return None
            self._documents[(group, version)] = gzip.compress(orjson.dumps(document_of(group, version, served)), 5)
            builtin().forget_descriptions()
        return self._documents[(group, version)]

    def _group_versions(self) -> list[tuple[str, str]]:
        return list(dict.fromkeys((one.resource.group, one.resource.version) for one in self._registry.all()))

    def _of(self, group: str, version: str) -> list[Served]:
        return [one for one in self._registry.all() if (one.resource.group, one.resource.version) == (group, version)]

    def _fingerprint(self, group: str, version: str) -> str:
        said = [builtin().kubernetes_version]
        for one in self._of(group, version):
            said.append(f"{one.resource!r} {sorted(one.verbs)}")
            if one.custom:
                said.append(orjson.dumps(one.schema, option=orjson.OPT_SORT_KEYS).decode())
        return hashlib.sha256("\n".join(said).encode()).hexdigest()[:32].upper()


def document_of(group: str, version: str, served: list[Served]) -> Object:
    """Build the document of a group-version from its served kinds."""
    definitions = builtin()
    components: Object = definitions.openapi(group, version)
    if any(one.custom for one in served):
        components.update(definitions.components([OBJECT_META, _LIST_META]))
    paths: Object = {}
    for one in served:
        name = _component_name(one)
        if one.custom:
            components[name] = _custom_component(one)
            components[f"{name}List"] = _list_component(one, name)
        paths.update(_paths_of(one, name))
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": f"v{definitions.kubernetes_version}"},
        "paths": paths,
        "components": {"schemas": components},
    }


def _component_name(served: Served) -> str:
    resource = served.resource
    if not served.custom:
        return builtin().name_of(resource.group, resource.version, resource.kind)
    return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])


def _gvk(served: Served) -> Object:
    resource = served.resource
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _custom_component(served: Served) -> Object:
    schema: dict[str, Any] = dict(served.schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    properties = dict(schema.get("properties") or {})
    properties["apiVersion"] = {"type": "string", "description": "The group and version of this representation."}
    properties["kind"] = {"type": "string", "description": "The kind that this object is of."}
    described = (properties.get("metadata") or {}).get("description") or "The object's standard metadata."
    properties["metadata"] = {"allOf": [{"$ref": _REFERENCE + OBJECT_META}], "description": described}
    return {**schema, "properties": properties, "x-kubernetes-group-version-kind": [_gvk(served)]}


def _list_component(served: Served, name: str) -> Object:
    gvk = {**_gvk(served), "kind": served.resource.list_kind}
    return {
        "type": "object",
        "description": f"A list of {served.resource.kind} objects.",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "items": {"type": "array", "items": {"$ref": _REFERENCE + name}},
            "metadata": {"$ref": _REFERENCE + _LIST_META},
        },
        "x-kubernetes-group-version-kind": [gvk],
    }


def _paths_of(served: Served, name: str) -> Object:
    resource = served.resource
    reference = {"$ref": _REFERENCE + name}
    listed = {"$ref": f"{_REFERENCE}{name}List"}
    gvk = _gvk(served)
    scope = "{namespace}" if resource.namespaced else None
    inside = [_path_parameter("namespace")] if resource.namespaced else []
    named = [*inside, _path_parameter("name")]
    paths: Object = {}

    def operation(action: str, answer: Object, parameters: tuple[tuple[str, str], ...], body: Object | None) -> Object:
        shown: Object = {
            "operationId": f"{action}_{resource.group}_{resource.version}_{resource.plural}",
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk,
            "parameters": [{"name": key, "in": "query", "schema": {"type": kind}} for key, kind in parameters],
            "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": answer}}}},
        }
        if body is not None:
            shown["requestBody"] = {"required": True, "content": body}
        return shown

    writes = {media: {"schema": reference} for media in ("application/json", "application/yaml")}
    patches = {
        patch_type.value: {"schema": {"type": "object"}}
        for patch_type in PatchType
        if not (served.custom and patch_type is PatchType.STRATEGIC)
    }
    collection: Object = {"parameters": inside} if inside else {}
    single: Object = {"parameters": named}
    if "list" in served.verbs:
        collection["get"] = operation("list", listed, _LIST_PARAMETERS, None)
    if "create" in served.verbs:
        collection["post"] = operation("post", reference, _WRITE_PARAMETERS, writes)
    if "get" in served.verbs:
        single["get"] = operation("get", reference, (), None)
    if "update" in served.verbs:
        single["put"] = operation("put", reference, _WRITE_PARAMETERS, writes)
    if "patch" in served.verbs:
        single["patch"] = operation("patch", reference, (*_WRITE_PARAMETERS, ("force", "boolean")), patches)
    if "delete" in served.verbs:
        single["delete"] = operation("delete", reference, _DELETE_PARAMETERS, None)
    if resource.namespaced and "list" in served.verbs:
        paths[resource.path()] = {"get": operation("list", listed, _LIST_PARAMETERS, None)}
    paths[resource.path(scope)] = collection
    if len(single) > 1:
        paths[resource.path(scope, "{name}")] = single
    return paths


def _path_parameter(name: str) -> Object:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
