"""What the server serves, as clients ask for it: aggregated discovery, and the older lists.

The aggregated form (``apidiscovery.k8s.io/v2``) is what kubectl reads: one document for ``/api`` and one for
``/apis``. The legacy lists are one document a group-version; ``kubectl auth can-i`` and older clients read those.
"""

import hashlib
import re
from collections.abc import Iterable

import orjson

from headwater.cluster.apiserver.registry import Registry, Served
from headwater.kube.meta.objects import Object

# A subresource's verbs, and the kind it speaks where that is not the parent's own.
_SUBRESOURCES: dict[str, tuple[tuple[str, ...], tuple[str, str, str] | None]] = {
    "status": (("get", "patch", "update"), None),
    "ephemeralcontainers": (("get", "patch", "update"), None),
    "finalize": (("update",), None),
    "scale": (("get", "patch", "update"), ("autoscaling", "v1", "Scale")),
    "log": (("get",), None),
    "exec": (("create", "get"), ("", "v1", "PodExecOptions")),
    "attach": (("create", "get"), ("", "v1", "PodAttachOptions")),
    "portforward": (("create", "get"), ("", "v1", "PodPortForwardOptions")),
    "binding": (("create",), ("", "v1", "Binding")),
    "eviction": (("create",), ("policy", "v1", "Eviction")),
    "token": (("create",), ("authentication.k8s.io", "v1", "TokenRequest")),
}
_VERSION = re.compile(r"^v(\d+)(?:(alpha|beta)(\d+))?$")


def version_order(version: str) -> tuple[int, int, int, str]:
    """Return a key that sorts versions as Kubernetes prefers them: newest stable first, then beta, then alpha."""
    match = _VERSION.match(version)
    if match is None:
        return (3, 0, 0, version)
    stage = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return (stage, -int(match[1]), -int(match[3] or 0), version)


class Discovery:
    """The discovery documents, encoded once for each state of the registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._generation = -1
        self._documents: dict[str, tuple[bytes, str]] = {}

    def aggregated(self, core: bool) -> tuple[bytes, str]:
        """Return the ``APIGroupDiscoveryList`` of ``/api`` (``core``) or ``/apis``, and its ETag."""
        return self._document(f"aggregated {core}")

    def versions(self) -> bytes:
        """Return ``/api``'s legacy answer."""
        return orjson.dumps({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})

    def groups(self) -> bytes:
        """Return ``/apis``'s legacy answer."""
        return self._document("groups")[0]

    def group(self, name: str) -> bytes | None:
        """Return ``/apis/<group>``, or ``None`` when the group is not served."""
        found = next((group for group in self._groups() if group["name"] == name), None)
        return orjson.dumps({"kind": "APIGroup", "apiVersion": "v1", **found}) if found and name else None

    def resources(self, group: str, version: str) -> bytes | None:
        """Return the ``APIResourceList`` of a group-version, or ``None`` when it is not served."""
        served = [one for one in self._registry.all() if (one.resource.group, one.resource.version) == (group, version)]
        if not served:
            return None
        listed = {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{group}/{version}" if group else version,
            "resources": [entry for one in served for entry in _legacy(one)],
        }
        return orjson.dumps(listed)

    def _document(self, key: str) -> tuple[bytes, str]:
        if self._generation != self._registry.generation:
            self._documents.clear()
            self._generation = self._registry.generation
        if key not in self._documents:
            document = self._build(key)
            content = orjson.dumps(document)
            self._documents[key] = (content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
        return self._documents[key]

    def _build(self, key: str) -> Object:
        if key == "groups":
            groups = [group for group in self._groups() if group["name"]]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        core = key == "aggregated True"
        items = []
        for group in self._groups():
            if bool(group["name"]) == core:
                continue
            versions = [
                {
                    "version": version["version"],
                    "resources": [_aggregated(one) for one in self._of(group["name"], version["version"])],
                    "freshness": "Current",
                }
                for version in group["versions"]
            ]
            items.append({"metadata": {"name": group["name"], "creationTimestamp": None}, "versions": versions})
        return {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": items,
        }

    def _of(self, group: str, version: str) -> Iterable[Served]:
        return (one for one in self._registry.all() if (one.resource.group, one.resource.version) == (group, version))

    def _groups(self) -> list[Object]:
        """Return the groups, each with its versions in the order of preference."""
        found: dict[str, set[str]] = {}
        for one in self._registry.all():
            found.setdefault(one.resource.group, set()).add(one.resource.version)
        groups = []
        for name, versions in found.items():
            listed = [
                {"groupVersion": f"{name}/{version}" if name else version, "version": version}
                for version in sorted(versions, key=version_order)
            ]
            groups.append({"name": name, "versions": listed, "preferredVersion": listed[0]})
        return groups


def _gvk(group: str, version: str, kind: str) -> Object:
    return {"group": group, "version": version, "kind": kind}


def _shown_subresources(served: Served) -> list[tuple[str, tuple[str, ...], tuple[str, str, str]]]:
    resource = served.resource
    own = (resource.group, resource.version, resource.kind)
    shown = []
    for name in sorted(resource.subresources):
        verbs, speaks = _SUBRESOURCES.get(name, (("get",), None))
        shown.append((name, verbs, speaks or own))
    return shown


def _aggregated(served: Served) -> Object:
    resource = served.resource
    entry: Object = {
        "resource": resource.plural,
        "responseKind": _gvk(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": served.singular or resource.kind.lower(),
        "verbs": sorted(served.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    subresources = [
        {"subresource": name, "responseKind": _gvk(*speaks), "verbs": list(verbs)}
        for name, verbs, speaks in _shown_subresources(served)
    ]
    if subresources:
        entry["subresources"] = subresources
    return entry


def _legacy(served: Served) -> list[Object]:
    resource = served.resource
    entry: Object = {
        "name": resource.plural,
        "singularName": served.singular or resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": sorted(served.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    entries = [entry]
    for name, verbs, (group, version, kind) in _shown_subresources(served):
        part: Object = {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": kind,
            "verbs": list(verbs),
        }
        if (group, version) != (resource.group, resource.version):
            part["group"], part["version"] = group, version
        entries.append(part)
    return entries
