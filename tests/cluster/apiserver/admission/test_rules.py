"""CEL rules of custom resource definitions, through the API."""

import pytest

from headwater.cluster.apiserver.local import LocalClient
from headwater.kube.client import PatchType
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import CUSTOM_RESOURCE_DEFINITIONS, Resource

TAPS = Resource("water.dev", "v1", "Tap", "taps", False)


def definition(*rules: Object) -> Object:
    spec = {
        "type": "object",
        "properties": {"flow": {"type": "integer"}, "limit": {"type": "integer"}},
        "x-kubernetes-validations": list(rules),
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "taps.water.dev"},
        "spec": {
            "group": "water.dev",
            "scope": "Cluster",
            "names": {"plural": "taps", "singular": "tap", "kind": "Tap", "listKind": "TapList"},
            "versions": [version],
        },
    }


def tap(**spec: int) -> Object:
    return {"apiVersion": "water.dev/v1", "kind": "Tap", "metadata": {"name": "t"}, "spec": spec}


async def test_a_definition_with_a_bad_rule_is_refused(client: LocalClient) -> None:
    with pytest.raises(StatusError) as caught:
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition({"rule": "self.pressure < 1"}))
    assert caught.value.code == 422
    path = "spec.versions[0].schema.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule"
    assert path in caught.value.message
    assert "undefined field 'pressure'" in caught.value.message


async def test_objects_are_held_to_the_rules(client: LocalClient) -> None:
    rules = ({"rule": "self.flow <= self.limit", "message": "too much"}, {"rule": "self.limit == oldSelf.limit"})
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition(*rules))
    with pytest.raises(StatusError, match='spec: Invalid value: "object": too much') as caught:
        await client.create(TAPS, tap(flow=2, limit=1))
    assert caught.value.code == 422
    await client.create(TAPS, tap(flow=1, limit=1))
    with pytest.raises(StatusError, match="failed rule"):
        await client.patch(TAPS, "t", {"spec": {"limit": 5}}, PatchType.MERGE)
    await client.patch(TAPS, "t", {"spec": {"flow": 0}}, PatchType.MERGE)
