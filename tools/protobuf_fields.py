"""Writes down how Kubernetes numbers the fields of its protobuf messages, as the API server reads them.

    python tools/protobuf_fields.py DIRECTORY

``DIRECTORY`` holds checkouts of ``kubernetes/api`` and ``kubernetes/apimachinery``, named ``api`` and
``apimachinery``. Their Go types carry, in the tags of each field, its number in protobuf and its name in JSON, and
say which fields are pointers, whose zero means something; no published package has these facts. The result is
``src/headwater/cluster/apiserver/http/messages.json``.
"""

import json
import re
import sys
from pathlib import Path

TARGET = Path(__file__).parent.parent / "src/headwater/cluster/apiserver/http/messages.json"
GROUPS = {
    "core": "",
    "apps": "apps",
    "batch": "batch",
    "autoscaling": "autoscaling",
    "admissionregistration": "admissionregistration.k8s.io",
    "authentication": "authentication.k8s.io",
    "authorization": "authorization.k8s.io",
    "certificates": "certificates.k8s.io",
    "coordination": "coordination.k8s.io",
    "discovery": "discovery.k8s.io",
    "events": "events.k8s.io",
    "networking": "networking.k8s.io",
    "node": "node.k8s.io",
    "policy": "policy",
    "rbac": "rbac.authorization.k8s.io",
    "scheduling": "scheduling.k8s.io",
    "storage": "storage.k8s.io",
}
STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r'^\s+(?:(\w+)\s+)?(\S+)\s+`json:"([^"]*)".*?\s*protobuf:"(\w+),(\d+),')
NAMED = re.compile(r"^type (\w+) (string|int32|int64|\[\]string|map\[\S+\]\S+)$", re.MULTILINE)
IMPORT = re.compile(r'^\s+(\w+)?\s*"k8s\.io/(api|apimachinery)/(\S+)"', re.MULTILINE)
SPECIAL = {
    "Time": "time",
    "MicroTime": "microtime",
    "Duration": "duration",
    "Quantity": "quantity",
    "IntOrString": "intstr",
    "RawExtension": "raw",
    "FieldsV1": "raw",
    "UID": "string",
    "NodeName": "string",
    "NamespacedName": "string",
}
SCALARS = {"string": "string", "bool": "bool", "int32": "int", "int64": "int", "[]byte": "bytes"}


def bare(kind: str) -> str:
    return re.sub(r"^(\*|\[\]|map:)+", "", kind)


def main(root: Path) -> None:
    packages = {}
    for place in sorted([*root.glob("api/*/v1/types.go"), *root.glob("api/autoscaling/v2/types.go")]):
        packages[f"{place.parts[-3]}/{place.parts[-2]}"] = place.read_text()
    packages["meta/v1"] = (root / "apimachinery/pkg/apis/meta/v1/types.go").read_text()
    named = {f"{package}.{name}": kind for package, text in packages.items() for name, kind in NAMED.findall(text)}
    messages, kinds = {}, {}
    for package, text in packages.items():
        imports = {}
        for alias, repository, path in IMPORT.findall(text):
            parts = path.split("/")
            short = "/".join(parts[-2:]) if repository == "api" or "meta/v1" in path else parts[-1]
            imports[alias or parts[-1]] = short

        def kind_of(go: str, package: str = package, imports: dict[str, str] = imports) -> str:
            go = go.removeprefix("*")
            if go in SCALARS:
                return SCALARS[go]
            if go.startswith("[]"):
                return "[]" + kind_of(go[2:])
            if go.startswith("map["):
                return "map:" + kind_of(go.split("]", 1)[1])
            place, _, name = go.rpartition(".")
            if name in SPECIAL and (place or package == "meta/v1" or name == "UID"):
                return SPECIAL[name]
            full = f"{imports.get(place, place) if place else package}.{name}"
            if full not in named:
                return full
            # A named list is a message of its own around its items.
            return "values" if named[full] == "[]string" else kind_of(named[full])

        for name, body in STRUCT.findall(text):
            fields = {}
            rooted = "TypeMeta `json" in body
            for line in body.splitlines():
                match = FIELD.match(line)
                if match is None:
                    continue
                go, tag, number = match[2], match[3], match[5]
                label, _, options = tag.partition(",")
                kind = kind_of(go)
                if "inline" in options:
                    fields[number] = ["", kind]
                    continue
                kept = go.startswith("*") or "omitempty" not in options
                fields[number] = [label, ("*" if kept and kind in ("string", "bool", "int") else "") + kind]
            messages[f"{package}.{name}"] = fields
            if rooted and not name.endswith("List") and not (package == "meta/v1" and name != "DeleteOptions"):
                directory, version = package.split("/")
                group = GROUPS.get(directory, "")
                kinds[f"{group}/{version} {name}" if group else f"{version} {name}"] = f"{package}.{name}"
    reached, open_ends = set(), list(kinds.values())
    while open_ends:
        name = open_ends.pop()
        if name in reached or name not in messages:
            continue
        reached.add(name)
        open_ends += [bare(kind) for _, kind in messages[name].values()]
    # A field whose type stands in a version that is not read here is left out, and refused when it is sent.
    for name in reached:
        messages[name] = {
            number: (label, kind)
            for number, (label, kind) in messages[name].items()
            if "." not in kind or bare(kind) in messages
        }
    found = {"kinds": dict(sorted(kinds.items())), "messages": {name: messages[name] for name in sorted(reached)}}
    TARGET.write_text(json.dumps(found, separators=(",", ":")).replace('},"', '},\n"') + "\n")


main(Path(sys.argv[1]))
