"""The same patches, applied by us and by the real kubectl (`patch --local`), give the same objects."""

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from headwater.kube.patch import PatchError, strategic_merge
from headwater.kube.schema.builtin import builtin

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed: nothing to compare with")

NAMES = ["a", "b", "c", "d"]


def kubectl_patch(document: dict, patch: dict, directory: Path) -> dict | None:
    """Return what kubectl makes of it, or None when it refuses the patch."""
    file = directory / "object.json"
    file.write_text(json.dumps(document))
    command = [KUBECTL, "patch", "--local", "-f", file, "--type", "strategic", "-p", json.dumps(patch), "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, env={"KUBECONFIG": "/dev/null", "HOME": directory})
    if "no elements in any of the given slices" in done.stderr:
        pytest.skip("kubectl cannot order a list that is empty")
    return scrub(json.loads(done.stdout)) if done.returncode == 0 else None


def scrub(node):
    """Drop the directives and nulls that upstream leaves in what a patch adds; a server's decoding drops them."""
    if isinstance(node, dict):
        return {key: scrub(value) for key, value in node.items() if not key.startswith("$") and value is not None}
    if isinstance(node, list):
        return [scrub(item) for item in node if not (isinstance(item, dict) and "$patch" in item)]
    return node


def unordered(node):
    if isinstance(node, dict):
        return {key: unordered(value) for key, value in node.items()}
    if isinstance(node, list):
        return sorted((unordered(item) for item in node), key=lambda item: json.dumps(item, sort_keys=True))
    return node


def some(rng: random.Random, most: int = 4) -> list[str]:
    return rng.sample(NAMES, rng.randint(0, most))


def deployment(rng: random.Random) -> dict:
    spec: dict = {"containers": [container(rng, name) for name in some(rng)]}
    if rng.random() < 0.7:
        spec["volumes"] = [volume(rng, name) for name in some(rng)]
    if rng.random() < 0.5:
        spec["tolerations"] = [{"key": name} for name in some(rng)]
    if rng.random() < 0.5:
        spec["nodeSelector"] = dict.fromkeys(some(rng), "1")
    document: dict = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x"},
        "spec": {"template": {"spec": spec}},
    }
    if rng.random() < 0.7:
        document["metadata"]["finalizers"] = some(rng)
    if rng.random() < 0.7:
        document["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
    return document


def container(rng: random.Random, name: str) -> dict:
    made: dict = {"name": name, "image": rng.choice(NAMES)}
    if rng.random() < 0.6:
        made["env"] = [{"name": key, "value": rng.choice("12")} for key in some(rng)]
    if rng.random() < 0.4:
        made["ports"] = [{"containerPort": port, "protocol": "TCP"} for port in rng.sample([1, 2, 3], 2)]
    if rng.random() < 0.3:
        made["command"] = some(rng)
    return made


def volume(rng: random.Random, name: str) -> dict:
    return {"name": name, **rng.choice([{"emptyDir": {}}, {"secret": {"secretName": "s"}}])}


def merged_list(rng: random.Random, into: dict, field: str, key: str | None, make) -> None:
    """Put a patch of a merged list into ``into``: items, deletions, an order, a replacement."""
    names = some(rng)
    deleted = [name for name in names if key and rng.random() < 0.25]
    if key is None:
        items: list = list(names)
    else:
        items = [{"$patch": "delete", key: name} if name in deleted else make(rng, name) for name in names]
    if key and rng.random() < 0.1:
        into[field] = [*items, {"$patch": "replace"}]
        return
    if items and rng.random() < 0.8:
        into[field] = items
    if rng.random() < 0.5:
        order = [name for name in names if name not in deleted] if field in into else []
        for name in some(rng):
            if name not in names:
                order.insert(rng.randint(0, len(order)), name)
        if order:
            into[f"$setElementOrder/{field}"] = [{key: name} for name in order] if key else order


def patch_for(rng: random.Random, document: dict) -> dict:
    spec: dict = {}
    metadata: dict = {}
    patch: dict = {"spec": {"template": {"spec": spec}}}
    if rng.random() < 0.8:
        merged_list(rng, spec, "containers", "name", container_patch)
    if rng.random() < 0.5:
        merged_list(rng, spec, "volumes", "name", volume_patch)
    if rng.random() < 0.3:
        spec["tolerations"] = [{"key": name} for name in some(rng)]
    if rng.random() < 0.3:
        spec["nodeSelector"] = {name: rng.choice(["2", None]) for name in some(rng)}
        # Upstream forgets the field when such a directive stands where nothing was before.
        if rng.random() < 0.3 and "nodeSelector" in document["spec"]["template"]["spec"]:
            spec["nodeSelector"]["$patch"] = rng.choice(["replace", "delete"])
    if rng.random() < 0.4:
        merged_list(rng, metadata, "finalizers", None, None)
        if rng.random() < 0.5:
            gone = [name for name in some(rng) if name not in metadata.get("finalizers", ())]
            metadata["$deleteFromPrimitiveList/finalizers"] = gone
        patch["metadata"] = metadata
    if rng.random() < 0.3:
        patch["spec"]["strategy"] = {"$retainKeys": ["type"], "type": "Recreate"}
    return patch


def container_patch(rng: random.Random, name: str) -> dict:
    made: dict = {"name": name}
    if rng.random() < 0.5:
        made["image"] = rng.choice([*NAMES, None])
    if rng.random() < 0.5:
        merged_list(rng, made, "env", "name", lambda r, key: {"name": key, "value": r.choice("34")})
    if rng.random() < 0.3:
        made["ports"] = [{"containerPort": rng.randint(1, 4), "protocol": "UDP"}]
    if rng.random() < 0.2:
        made["command"] = some(rng)
    return made


def volume_patch(rng: random.Random, name: str) -> dict:
    made = volume(rng, name)
    if rng.random() < 0.7:
        made["$retainKeys"] = list(made)
    return made


@pytest.mark.parametrize("seed", range(60))
def test_as_kubectl_does(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    document = deployment(rng)
    patch = patch_for(rng, document)
    expected = kubectl_patch(document, patch, tmp_path)
    schema = builtin().schema_of("apps", "v1", "Deployment")
    if expected is None:
        with pytest.raises(PatchError):
            strategic_merge(document, patch, schema)
        return
    patched = strategic_merge(document, patch, schema)
    if '"$patch": "delete"' in json.dumps(patch):
        # Upstream reads its own half-edited list then: where a new item lands among the server's is an accident.
        patched, expected = unordered(patched), unordered(expected)
    assert patched == expected
