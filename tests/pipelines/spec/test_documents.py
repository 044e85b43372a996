"""Files and requests: which hold a pipeline, and what is said of those that do not."""

import orjson
import pytest
import yaml
from tests.pipelines.simulation import DATA

from headwater.pipelines.spec.documents import read_documents, split
from headwater.pipelines.spec.tree import SpecError

CHAIN = (DATA / "chain.yaml").read_text()


def test_yaml_and_json_are_the_same_pipeline() -> None:
    as_yaml = read_documents(CHAIN)
    assert as_yaml.platform is None
    assert read_documents(orjson.dumps(as_yaml.spec)) == as_yaml


def test_the_second_document_is_the_platform_s() -> None:
    platform = {"platforms": {"kubernetes": {}}}
    found = read_documents(f"{CHAIN}\n---\n{yaml.safe_dump(platform)}")
    assert found.spec["pipelineInfo"]["name"] == "chain"
    assert found.platform == platform
    together = {"pipeline_spec": found.spec, "platform_spec": platform}
    assert read_documents(orjson.dumps(together)) == found
    assert split(found.spec).platform is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("---\n", "the file holds no document"),
        ("a: b: c", "the file is not YAML: line 1, column 5: mapping values are not allowed"),
        ("a: [1", "the file is not YAML: line "),
        ('{"a": 1,,}', "the file is not JSON: "),
        ("!!python/object:os.system {}", "could not determine a constructor"),
        ("just text", "expected a compiled pipeline, found a str"),
        ("- 1", "expected a compiled pipeline, found a list"),
        ("\x00", "the file is not YAML"),
        ("kind: Workflow\nspec: {}", "Argo Workflow (compiled by kfp 1.x)"),
        ("kind: Pod", "this is a Kubernetes object of kind Pod"),
        ("platforms: {}", "the PipelineSpec is missing"),
        ("name: x\nimplementation: {}", "this is a component definition"),
        ("a: 1", "it has neither pipelineInfo nor root"),
        (f"{CHAIN}\n---\n{CHAIN}", "the file holds 2 PipelineSpecs"),
        ('{"pipeline_spec": 3}', "must each hold a document"),
    ],
)
def test_what_is_no_pipeline_is_named(text: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_documents(text)
    assert said in str(caught.value)
