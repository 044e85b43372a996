"""Extracts the schemas of the built-in kinds into the package when it is built.

The schemas are the Kubernetes project's own, as the ``kubernetes-validate`` distribution carries them for each
version. That distribution is 100 MB and needed for this only, hence a build requirement and not a dependency.
Runs as hatchling's custom build hook; in a checkout run ``python hatch_build.py``.

The result is a chain of gzip members that is also one valid gzip file of JSON lines. The first member is the
index: which definition describes a kind, which member holds a definition, where each member starts. A reader
inflates the members that it needs. Shapes and descriptions are kept apart, since only ``kubectl explain`` reads
descriptions.
"""

import gzip
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script in an environment without hatchling
    BuildHookInterface = object  # type: ignore[assignment,misc]

KUBERNETES_VERSION = "1.34.0"
"""The version whose kinds are served. kubectl supports servers one minor version away, and tolerates more."""

REQUIREMENT = "kubernetes-validate==1.37.0"
TARGET = Path("src/headwater/kube/schema/builtin.json.gz")
FORMAT = 1

GROUP_VERSIONS = {
    "io.k8s.api.core.v1": ("", "v1"),
    "io.k8s.api.admissionregistration.v1": ("admissionregistration.k8s.io", "v1"),
    "io.k8s.api.apps.v1": ("apps", "v1"),
    "io.k8s.api.authentication.v1": ("authentication.k8s.io", "v1"),
    "io.k8s.api.authorization.v1": ("authorization.k8s.io", "v1"),
    "io.k8s.api.autoscaling.v1": ("autoscaling", "v1"),
    "io.k8s.api.autoscaling.v2": ("autoscaling", "v2"),
    "io.k8s.api.batch.v1": ("batch", "v1"),
    "io.k8s.api.certificates.v1": ("certificates.k8s.io", "v1"),
    "io.k8s.api.coordination.v1": ("coordination.k8s.io", "v1"),
    "io.k8s.api.discovery.v1": ("discovery.k8s.io", "v1"),
    "io.k8s.api.events.v1": ("events.k8s.io", "v1"),
    "io.k8s.api.networking.v1": ("networking.k8s.io", "v1"),
    "io.k8s.api.node.v1": ("node.k8s.io", "v1"),
    "io.k8s.api.policy.v1": ("policy", "v1"),
    "io.k8s.api.rbac.v1": ("rbac.authorization.k8s.io", "v1"),
    "io.k8s.api.scheduling.v1": ("scheduling.k8s.io", "v1"),
    "io.k8s.api.storage.v1": ("storage.k8s.io", "v1"),
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1": ("apiextensions.k8s.io", "v1"),
    "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1": ("apiregistration.k8s.io", "v1"),
}
META = "io.k8s.apimachinery.pkg.apis.meta.v1"
META_KINDS = ("ObjectMeta", "ListMeta", "DeleteOptions", "Status", "WatchEvent", "LabelSelector", "Patch")

# Where the distribution's JSON Schema says less than Kubernetes' OpenAPI document does.
PATCHED = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "x-kubernetes-int-or-string": True,
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {
        "format": "quantity",
        "oneOf": [{"type": "string"}, {"type": "number"}],
    },
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "io.k8s.apimachinery.pkg.runtime.RawExtension": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": {"x-kubernetes-preserve-unknown-fields": True},
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": {
        "x-kubernetes-preserve-unknown-fields": True
    },
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": {
        "x-kubernetes-preserve-unknown-fields": True
    },
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": {
        "x-kubernetes-preserve-unknown-fields": True
    },
}


class SchemaHook(BuildHookInterface):  # type: ignore[type-arg,misc]
    """Puts ``builtin.json.gz`` in place before hatchling collects the files."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Extract, unless the file was already shipped and the source of it is not at hand."""
        target = Path(self.root) / TARGET
        if locate() is None and target.exists():
            return
        target.write_bytes(extract())


def locate() -> Path | None:
    """Find the definitions on this machine without importing the package that carries them."""
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(next(iter(spec.submodule_search_locations)))
    return root / "kubernetes-json-schema" / f"v{KUBERNETES_VERSION}-local" / "_definitions.json"


def extract() -> bytes:
    """Return the content of ``builtin.json.gz``. Raises ``RuntimeError`` when the definitions are not there."""
    source = locate()
    if source is None or not source.exists():
        raise RuntimeError(
            f"the schemas of Kubernetes {KUBERNETES_VERSION} are missing: install {REQUIREMENT} and try again"
        )
    definitions: dict[str, Any] = json.loads(source.read_text())["$defs"]
    roots = [name for name in definitions if name.rpartition(".")[0] in GROUP_VERSIONS]
    roots += [f"{META}.{kind}" for kind in META_KINDS]
    wanted = _closure(definitions, roots)
    blocks: dict[str, dict[str, Any]] = {}
    kinds: dict[str, dict[str, str]] = {}
    for name in sorted(wanted):
        package = name.rpartition(".")[0]
        shape, descriptions = _split(name, definitions[name])
        blocks.setdefault(package, {})[name] = shape
        blocks.setdefault(f"{package}#descriptions", {})[name] = descriptions
        if package in GROUP_VERSIONS:
            group, version = GROUP_VERSIONS[package]
            for gvk in definitions[name].get("x-kubernetes-group-version-kind", ()):
                if (gvk["group"], gvk["version"]) == (group, version):
                    kinds.setdefault(f"{group}/{version}", {})[gvk["kind"]] = name
    members = {key: _member(block) for key, block in blocks.items()}
    offsets: dict[str, list[int]] = {}
    position = 0
    for key, member in members.items():
        offsets[key] = [position, len(member)]
        position += len(member)
    index = {"format": FORMAT, "kubernetes": KUBERNETES_VERSION, "kinds": kinds, "blocks": offsets}
    return _member(index) + b"".join(members.values())


def _member(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"), sort_keys=True) + "\n"
    return gzip.compress(text.encode(), 9, mtime=0)


def _closure(definitions: dict[str, Any], roots: list[str]) -> set[str]:
    wanted: set[str] = set()
    pending = list(roots)
    while pending:
        name = pending.pop()
        if name in wanted:
            continue
        wanted.add(name)
        if name not in PATCHED:
            pending += _references(definitions[name])
    return wanted


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        found = [_target(value) for key, value in node.items() if key == "$ref" and isinstance(value, str)]
        return found + [name for value in node.values() for name in _references(value)]
    if isinstance(node, list):
        return [name for value in node for name in _references(value)]
    return []


def _target(reference: str) -> str:
    return reference.removeprefix("#/$defs/")


def _split(name: str, definition: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Separate a definition's shape from its descriptions (its own under the empty key)."""
    descriptions = {"": definition.get("description", "")}
    for field, schema in definition.get("properties", {}).items():
        descriptions[field] = schema.get("description", "")
    descriptions = {field: text for field, text in descriptions.items() if text}
    if name in PATCHED:
        return dict(PATCHED[name]), descriptions
    shape = {key: value for key, value in definition.items() if key not in ("description", "properties")}
    shape = _plain(shape)
    if "properties" in definition:
        shape["properties"] = {}
        for field, schema in definition["properties"].items():
            kept = {key: value for key, value in schema.items() if key not in ("description", "enum")}
            shape["properties"][field] = _plain(kept)
    return shape, descriptions


def _plain(node: Any) -> Any:
    """Undo the distribution's rewriting for JSON Schema: ``[type, null]`` pairs, and paths in references."""
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _plain(value) for key, value in node.items()}
    if isinstance(plain.get("type"), list):
        plain["type"] = next(value for value in plain["type"] if value != "null")
    if isinstance(plain.get("$ref"), str):
        plain["$ref"] = _target(plain["$ref"])
    return plain


def main() -> int:
    """Extract into this checkout."""
    target = Path(__file__).parent / TARGET
    try:
        content = extract()
    except RuntimeError as error:
        print(f"hatch_build.py: {error}", file=sys.stderr)  # noqa: T201
        return 1
    target.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
