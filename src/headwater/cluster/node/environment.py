"""A container's environment variables and command line, by Kubernetes' rules.

``envFrom`` comes before ``env``, later entries win, ``$(NAME)`` refers to what stands before it (services included),
``$$(NAME)`` is the text ``$(NAME)``, and a reference to nothing stays as it is.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import ROUND_CEILING
from typing import Any
from urllib.parse import urlsplit

from headwater.kube.meta.objects import Object, annotations_of, labels_of, name_of, namespace_of, uid_of
from headwater.kube.meta.quantities import parse_quantity

Lookup = Callable[[str, str], Awaitable[Mapping[str, str] | None]]
"""Returns the decoded data of a ``ConfigMap`` or ``Secret`` (first argument) of the pod's namespace, or None."""

_REFERENCE = re.compile(r"\$(\$|\(([^()]*)\))?")
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")


class ConfigError(Exception):
    """A container that cannot be described: a reference to something that does not exist."""


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace ``$(NAME)`` by the variable's value, ``$$`` by ``$``; what is unknown stays."""

    def replace(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        if match[1] == "$":
            return "$"
        return variables.get(match[2], match[0])

    return _REFERENCE.sub(replace, text)


def service_variables(api_url: str) -> dict[str, str]:
    """Return the variables by which a program in a pod finds the API server."""
    parts = urlsplit(api_url)
    host, port = parts.hostname or "127.0.0.1", str(parts.port or 443)
    return {
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
        "KUBERNETES_SERVICE_PORT_HTTPS": port,
        "KUBERNETES_PORT": f"tcp://{host}:{port}",
        "KUBERNETES_PORT_443_TCP": f"tcp://{host}:{port}",
        "KUBERNETES_PORT_443_TCP_PROTO": "tcp",
        "KUBERNETES_PORT_443_TCP_PORT": port,
        "KUBERNETES_PORT_443_TCP_ADDR": host,
    }


async def variables_of(
    pod: Object, container: Mapping[str, Any], base: Mapping[str, str], lookup: Lookup, facts: "Facts"
) -> dict[str, str]:
    """Return the variables of a container on top of ``base``. Raises ``ConfigError``."""
    result = dict(base)
    for source in container.get("envFrom") or ():
        result |= await _from_object(source, lookup)
    for entry in container.get("env") or ():
        value = entry.get("value", "")
        if entry.get("valueFrom"):
            found = await _value_from(pod, container, entry["valueFrom"], lookup, facts)
            if found is None:
                continue
            result[entry["name"]] = found
        else:
            result[entry["name"]] = expand(value or "", result)
    return result


async def _from_object(source: Mapping[str, Any], lookup: Lookup) -> dict[str, str]:
    kind = "ConfigMap" if source.get("configMapRef") else "Secret"
    reference = source.get("configMapRef") or source.get("secretRef") or {}
    data = await lookup(kind, reference.get("name", ""))
    if data is None:
        if reference.get("optional"):
            return {}
        raise ConfigError(f'{_said(kind)} "{reference.get("name", "")}" not found')
    prefix = source.get("prefix") or ""
    return {f"{prefix}{key}": value for key, value in data.items() if _VARIABLE.fullmatch(f"{prefix}{key}")}


async def _value_from(
    pod: Object, container: Mapping[str, Any], source: Mapping[str, Any], lookup: Lookup, facts: "Facts"
) -> str | None:
    for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
        reference = source.get(field)
        if not reference:
            continue
        data = await lookup(kind, reference["name"])
        if data is not None and reference["key"] in data:
            return str(data[reference["key"]])
        if reference.get("optional"):
            return None
        if data is None:
            raise ConfigError(f'{_said(kind)} "{reference["name"]}" not found')
        raise ConfigError(f"couldn't find key {reference['key']} in {kind} {namespace_of(pod)}/{reference['name']}")
    if source.get("fieldRef"):
        return facts.field(pod, source["fieldRef"].get("fieldPath", ""))
    if source.get("resourceFieldRef"):
        return facts.resource(pod, container, source["resourceFieldRef"])
    raise ConfigError(f"env valueFrom has no source that this node knows: {', '.join(source) or 'it is empty'}")


def _said(kind: str) -> str:
    return {"ConfigMap": "configmap", "Secret": "secret"}[kind]


class Facts:
    """What the downward API can tell a pod about itself and its node."""

    def __init__(self, *, address: str, allocatable: Mapping[str, str]) -> None:
        self.address = address
        self.allocatable = allocatable

    def field(self, pod: Object, path: str) -> str:
        """Return the text of a field path. Raises ``ConfigError`` for one that the downward API does not have."""
        spec = pod.get("spec", {})
        values: dict[str, str] = {
            "metadata.name": name_of(pod),
            "metadata.namespace": namespace_of(pod),
            "metadata.uid": uid_of(pod),
            "spec.nodeName": spec.get("nodeName", ""),
            "spec.serviceAccountName": spec.get("serviceAccountName", ""),
            "status.hostIP": self.address,
            "status.hostIPs": self.address,
            "status.podIP": self.address,
            "status.podIPs": self.address,
        }
        if path in values:
            return values[path]
        if path in ("metadata.labels", "metadata.annotations"):
            members = labels_of(pod) if path == "metadata.labels" else annotations_of(pod)
            return "\n".join(f'{key}="{_escaped(value)}"' for key, value in sorted(members.items()))
        match = _SUBSCRIPT.fullmatch(path)
        if match:
            members = labels_of(pod) if match[1] == "labels" else annotations_of(pod)
            return members.get(match[2], "")
        raise ConfigError(f"unsupported fieldPath: {path}")

    def resource(self, pod: Object, container: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
        """Return a request or limit of a container in units of its divisor, rounded up. Raises ``ConfigError``."""
        name = reference.get("containerName")
        if name:
            found = [c for c in _containers(pod) if c["name"] == name]
            if not found:
                raise ConfigError(f"resourceFieldRef names a container that the pod does not have: {name}")
            container = found[0]
        kind, _, resource = reference.get("resource", "").partition(".")
        if kind not in ("limits", "requests") or not resource:
            raise ConfigError(f"unsupported resource: {reference.get('resource', '')}")
        value = ((container.get("resources") or {}).get(kind) or {}).get(resource)
        if value is None:
            value = self.allocatable.get(resource, "0") if kind == "limits" else "0"
        divisor = parse_quantity(reference.get("divisor") or "1") or parse_quantity("1")
        return str(int((parse_quantity(value) / divisor).to_integral_value(rounding=ROUND_CEILING)))


def _containers(pod: Object) -> Sequence[Mapping[str, Any]]:
    return [*pod["spec"].get("containers", ()), *pod["spec"].get("initContainers", ())]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
