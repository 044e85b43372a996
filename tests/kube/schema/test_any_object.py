"""Whatever fits its schema gets its defaults and a verdict of the rules, never a fault."""

import copy
import random

import pytest

from headwater.kube.meta.resources import Resource
from headwater.kube.patch import PatchError, strategic_merge
from headwater.kube.schema.builtin import builtin
from headwater.kube.schema.defaults import default_object, prepare_create
from headwater.kube.schema.rules import validate_create, validate_update
from headwater.kube.schema.validate import check

KINDS = [
    (group, version, kind)
    for group, version in builtin().group_versions()
    for kind in builtin().kinds(group, version)
    if "spec" in builtin().schema_of(group, version, kind)["properties"]
    or kind in ("ConfigMap", "Secret", "RoleBinding")
]


def value_of(schema: dict, rng: random.Random, depth: int):
    if rng.random() < 0.05:
        return None
    match schema.get("type"):
        case "object":
            return object_of(schema, rng, depth)
        case "array":
            return [value_of(schema["items"], rng, depth + 1) for _ in range(rng.randint(0, 2))]
        case "string":
            formats = {"date-time": "2026-01-01T00:00:00Z", "byte": "eA=="}
            words = ["", "a", "a-b", "Always", "Never", "ClusterIP", "RollingUpdate", "x.dev/y", "../z", "/m"]
            return formats.get(schema.get("format", "")) or rng.choice(words)
        case "integer":
            return rng.choice([-1, 0, 1, 80])
        case "number":
            return 0.5
        case "boolean":
            return rng.random() < 0.5
    if schema.get("x-kubernetes-int-or-string"):
        return rng.choice([1, "25%"])
    return rng.choice(["1", "100m", "-2Gi", 1]) if schema.get("format") == "quantity" else {}


def object_of(schema: dict, rng: random.Random, depth: int) -> dict:
    made = {}
    for name, child in schema.get("properties", {}).items():
        if name in schema.get("required", ()) or (depth < 9 and rng.random() < 0.3):
            made[name] = value_of(child, rng, depth + 1)
    if "additionalProperties" in schema:
        made |= {name: value_of(schema["additionalProperties"], rng, depth + 1) for name in rng.sample(["a", "b/c"], 1)}
    return made


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: ".".join(kind))
def test_any_object(kind: tuple[str, str, str]) -> None:
    rng = random.Random(str(kind))
    schema = builtin().schema_of(*kind)
    resource = Resource(kind[0], kind[1], kind[2], kind[2].lower() + "s")
    old = None
    for _ in range(12):
        verdict = check(schema, object_of(schema, rng, 0))
        assert verdict.unknown == []
        if verdict.causes:
            continue
        obj = default_object(kind[0], kind[2], verdict.pruned)
        again = check(schema, obj)
        assert again.unknown == []
        missing = [cause for cause in again.causes if cause.reason == "FieldValueRequired"]
        assert again.causes == missing
        assert default_object(kind[0], kind[2], copy.deepcopy(obj)) == obj
        new = copy.deepcopy(obj)
        new["metadata"] = {**new.get("metadata", {}), "name": "x", "namespace": "n", "uid": "u"}
        prepare_create(kind[0], kind[2], new)
        causes = validate_create(resource, new)
        assert all(cause.message for cause in causes)
        # What the defaults began and could not complete, a rule must refuse.
        assert causes or not missing
        if old is not None:
            validate_update(resource, old, new)
            try:
                assert check(schema, strategic_merge(old, new, schema)).unknown == []
            except PatchError as error:
                assert "merge key" in str(error) or "$retainKeys" in str(error)  # noqa: PT017 - either outcome is fine
        old = new
