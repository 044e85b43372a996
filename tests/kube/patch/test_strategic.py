import copy

import pytest

from headwater.kube.patch import PatchError, strategic_merge
from headwater.kube.schema.builtin import builtin

POD = builtin().schema_of("", "v1", "Pod")
DEPLOYMENT = builtin().schema_of("apps", "v1", "Deployment")


def pod(**spec) -> dict:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


def spec_of(document: dict, patch: dict) -> dict:
    before = copy.deepcopy(document)
    patched = strategic_merge(document, {"spec": patch}, POD)
    assert document == before
    return patched["spec"]


TWO = pod(containers=[{"name": "a", "image": "1"}, {"name": "b", "image": "2"}])


def test_set_image_changes_one_container() -> None:
    patch = {"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "b", "image": "3"}]}
    assert spec_of(TWO, patch)["containers"] == [{"name": "a", "image": "1"}, {"name": "b", "image": "3"}]


def test_rollout_restart_adds_an_annotation_to_the_template() -> None:
    deployment = {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}
    patch = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}
    metadata = strategic_merge(deployment, patch, DEPLOYMENT)["spec"]["template"]["metadata"]
    assert metadata == {"labels": {"a": "b"}, "annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}


def test_an_item_is_deleted_by_its_key() -> None:
    patch = {"containers": [{"name": "a", "$patch": "delete"}]}
    assert spec_of(TWO, patch)["containers"] == [{"name": "b", "image": "2"}]


def test_a_list_is_replaced_when_an_item_says_so() -> None:
    patch = {"containers": [{"name": "c", "image": "3"}, {"$patch": "replace"}]}
    assert spec_of(TWO, patch)["containers"] == [{"name": "c", "image": "3"}]


def test_what_is_added_without_an_order_comes_first_as_upstream() -> None:
    patch = {"containers": [{"name": "c"}]}
    assert [item["name"] for item in spec_of(TWO, patch)["containers"]] == ["c", "a", "b"]


def test_the_order_keeps_what_only_the_server_knows_in_its_place() -> None:
    document = pod(containers=[{"name": name} for name in ("a", "injected", "b")])
    patch = {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}
    assert [item["name"] for item in spec_of(document, patch)["containers"]] == ["injected", "b", "a"]


def test_an_atomic_list_is_replaced() -> None:
    document = pod(containers=[{"name": "a", "command": ["x", "y"]}])
    assert spec_of(document, {"containers": [{"name": "a", "command": ["z"]}]})["containers"][0]["command"] == ["z"]


def test_retained_keys_change_the_kind_of_a_volume() -> None:
    document = pod(volumes=[{"name": "v", "emptyDir": {}}])
    patch = {"volumes": [{"$retainKeys": ["name", "secret"], "name": "v", "secret": {"secretName": "s"}}]}
    assert spec_of(document, patch)["volumes"] == [{"name": "v", "secret": {"secretName": "s"}}]


def test_a_map_is_replaced_or_emptied() -> None:
    document = pod(nodeSelector={"a": "1"})
    assert spec_of(document, {"nodeSelector": {"$patch": "replace", "b": "2"}})["nodeSelector"] == {"b": "2"}
    assert spec_of(document, {"nodeSelector": {"$patch": "delete"}})["nodeSelector"] == {}


def test_scalars_of_a_merged_list_come_and_go() -> None:
    document = {"metadata": {"finalizers": ["a/a", "b/b"]}}
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/a"], "finalizers": ["c/c"]}}
    assert sorted(strategic_merge(document, patch, POD)["metadata"]["finalizers"]) == ["b/b", "c/c"]


def test_null_removes_and_does_not_appear_in_what_is_added() -> None:
    document = pod(nodeName="x")
    spec = spec_of(document, {"nodeName": None, "securityContext": {"runAsUser": 1, "runAsGroup": None}})
    assert spec == {"securityContext": {"runAsUser": 1}}


def test_what_did_not_change_is_shared() -> None:
    patched = strategic_merge(TWO, {"metadata": {"labels": {"a": "b"}}}, POD)
    assert patched["spec"] is TWO["spec"]


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ([], "must be a JSON object"),
        ({"spec": {"$patch": "merg"}}, "spec: unknown \\$patch directive 'merg'"),
        ({"spec": {"containers": [{"image": "x"}]}}, "spec.containers: an item has no 'name'"),
        ({"spec": {"containers": ["x"]}}, "spec.containers: .*must be objects"),
        ({"spec": {"containers": [{"name": "a"}, "x"]}}, "all objects or all scalars"),
        ({"spec": {"$setElementOrder/containers": "x"}}, "must be a list"),
        (
            {"spec": {"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "a"}]}},
            "not in the order",
        ),
        ({"spec": {"volumes": [{"name": "a", "$retainKeys": ["name"], "emptyDir": {}}]}}, None),
    ],
)
def test_a_patch_that_does_not_fit_is_refused_with_its_place(patch, message: str | None) -> None:
    document = pod(containers=[{"name": "a"}], volumes=[{"name": "a", "secret": {}}])
    with pytest.raises(PatchError, match=message):
        strategic_merge(document, patch, POD)


def test_depth_is_bounded() -> None:
    deep: dict = {}
    for _ in range(900):
        deep = {"a": deep}
    with pytest.raises(PatchError, match="levels deep"):
        strategic_merge({}, deep, POD)
