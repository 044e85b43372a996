import gc

import pytest

from headwater.kube.schema.builtin import Definitions, builtin


def test_the_kinds_we_serve_are_there() -> None:
    definitions = builtin()
    assert ("", "v1") in definitions.group_versions()
    assert ("batch", "v1") in definitions.group_versions()
    assert definitions.kinds("", "v1")["Pod"] == "io.k8s.api.core.v1.Pod"
    assert definitions.kinds("no.such", "v1") == {}
    assert definitions.find("no.such", "v1", "Pod") is None
    with pytest.raises(KeyError):
        definitions.schema_of("", "v1", "NoSuch")


def test_references_are_resolved_and_shared() -> None:
    definitions = builtin()
    pod = definitions.schema_of("", "v1", "Pod")
    template = definitions.schema_of("batch", "v1", "Job")["properties"]["spec"]["properties"]["template"]
    assert pod["properties"]["spec"] is template["properties"]["spec"]
    containers = pod["properties"]["spec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["items"]["properties"]["image"] == {"type": "string"}


def test_a_reference_with_a_strategy_keeps_it() -> None:
    strategy = builtin().schema_of("apps", "v1", "Deployment")["properties"]["spec"]["properties"]["strategy"]
    assert strategy["x-kubernetes-patch-strategy"] == "retainKeys"
    assert "rollingUpdate" in strategy["properties"]


def test_every_kind_resolves() -> None:
    definitions = builtin()
    for group, version in definitions.group_versions():
        for kind in definitions.kinds(group, version):
            assert definitions.schema_of(group, version, kind)["type"] == "object"


def test_openapi_is_closed_and_described() -> None:
    schemas = builtin().openapi("batch", "v1")
    assert "io.k8s.api.core.v1.PodSpec" in schemas
    job = schemas["io.k8s.api.batch.v1.Job"]
    assert job["x-kubernetes-group-version-kind"] == [{"group": "batch", "kind": "Job", "version": "v1"}]
    assert job["description"]
    assert job["properties"]["spec"]["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.batch.v1.JobSpec"}]
    assert job["properties"]["spec"]["description"]
    for schema in schemas.values():
        for name in references(schema):
            assert name in schemas


def references(node) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"].rpartition("/")[2]] if isinstance(node.get("$ref"), str) else []
        return own + [name for value in node.values() for name in references(value)]
    return [name for value in node for name in references(value)] if isinstance(node, list) else []


def test_openapi_leaves_the_schemas_alone() -> None:
    definitions = builtin()
    before = definitions.schema_of("batch", "v1", "Job")["properties"]["spec"]
    definitions.openapi("batch", "v1")
    assert "description" not in before
    assert "$ref" not in before


def test_descriptions_can_be_forgotten() -> None:
    definitions = builtin()
    definitions.openapi("", "v1")
    definitions.forget_descriptions()
    gc.collect()
    assert definitions.openapi("", "v1")["io.k8s.api.core.v1.Pod"]["description"]


def test_a_file_of_another_format_is_refused() -> None:
    import gzip
    import json

    with pytest.raises(RuntimeError, match=r"hatch_build\.py"):
        Definitions(gzip.compress(json.dumps({"format": 99}).encode()))
