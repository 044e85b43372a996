"""The garbage collector: its decisions as a table, and its work on a real API server."""

from typing import Any

import pytest
from tests.cluster.controllers.conftest import Cluster, until

from headwater.cluster.controllers.garbage import Owner, Verdict, judge
from headwater.kube.client import Propagation
from headwater.kube.meta.objects import Object, name_of
from headwater.kube.meta.owners import owner_reference
from headwater.kube.meta.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, EVENTS, SECRETS, Resource

SOLID, WAITING, ABSENT, UNKNOWN = Owner.SOLID, Owner.WAITING, Owner.ABSENT, Owner.UNKNOWN
WIDGETS = Resource("example.org", "v1", "Widget", "widgets")


@pytest.mark.parametrize(
    ("owners", "finalizers", "has_dependents", "verdict"),
    [
        ([], (), False, Verdict()),
        ([SOLID], (), True, Verdict()),
        ([SOLID, ABSENT], (), False, Verdict(drop=("1",))),
        ([WAITING, SOLID], (), False, Verdict(drop=("0",))),
        ([ABSENT], (), False, Verdict(delete=Propagation.BACKGROUND)),
        ([ABSENT, ABSENT], (), True, Verdict(delete=Propagation.BACKGROUND)),
        ([WAITING], (), False, Verdict(delete=Propagation.BACKGROUND)),
        ([WAITING], (), True, Verdict(delete=Propagation.FOREGROUND)),
        ([ABSENT], ("foregroundDeletion",), False, Verdict(delete=Propagation.FOREGROUND)),
        ([ABSENT], ("orphan",), False, Verdict(delete=Propagation.ORPHAN)),
        ([UNKNOWN], (), False, Verdict()),
        ([ABSENT, UNKNOWN], (), False, Verdict()),
        ([SOLID, UNKNOWN], (), False, Verdict()),
    ],
)
def test_judges_by_the_owners(owners, finalizers, has_dependents, verdict):
    named = [(str(number), state) for number, state in enumerate(owners)]
    assert judge(named, finalizers, has_dependents) == verdict


async def make(
    cluster: Cluster, name: str, *owners: Object, resource: Resource = CONFIG_MAPS, **metadata: Any
) -> Object:
    body = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": name,
            "ownerReferences": [owner_reference(owner, controller=False) for owner in owners],
            **metadata,
        },
    }
    return await cluster.client.create(resource, body, "default")


async def names(cluster: Cluster, resource: Resource = CONFIG_MAPS) -> set[str]:
    found = (await cluster.client.list(resource, "default")).items
    return {name_of(obj) for obj in found} - {"kube-root-ca.crt"}


async def left(cluster: Cluster, *expected: str) -> None:
    async def look() -> bool:
        return await names(cluster) == set(expected)

    await until(look)


async def test_dependents_go_with_their_owner_and_theirs_with_them(cluster):
    await cluster.start()
    owner = await make(cluster, "owner")
    child = await make(cluster, "child", owner)
    await make(cluster, "grandchild", child)
    await make(cluster, "stranger")
    await cluster.client.delete(CONFIG_MAPS, "owner", "default")
    await left(cluster, "stranger")


async def test_works_off_what_happened_while_it_was_away(cluster):
    owner = await make(cluster, "owner")
    await make(cluster, "child", owner)
    await make(cluster, "unborn", {**owner, "metadata": {**owner["metadata"], "uid": "of-nobody"}})
    await cluster.client.delete(CONFIG_MAPS, "owner", "default")
    await cluster.start()
    await left(cluster)


async def test_one_owner_is_enough_to_stay(cluster):
    await cluster.start()
    one, other = await make(cluster, "one"), await make(cluster, "other")
    await make(cluster, "child", one, other)
    await cluster.client.delete(CONFIG_MAPS, "one", "default")

    async def dropped() -> bool:
        child = await cluster.client.get(CONFIG_MAPS, "child", "default")
        return [ref["name"] for ref in child["metadata"]["ownerReferences"]] == ["other"]

    await until(dropped)


async def test_an_owner_waits_in_the_foreground_for_what_blocks_it(cluster):
    await cluster.start()
    owner = await make(cluster, "owner")
    await make(cluster, "child", owner, finalizers=["example.org/hold"])
    await cluster.client.delete(CONFIG_MAPS, "owner", "default", propagation=Propagation.FOREGROUND)

    async def child_is_going() -> bool:
        child = await cluster.client.get(CONFIG_MAPS, "child", "default")
        return "deletionTimestamp" in child["metadata"]

    await until(child_is_going)
    assert await names(cluster) == {"owner", "child"}
    await cluster.client.patch(CONFIG_MAPS, "child", {"metadata": {"finalizers": None}}, "default")
    await left(cluster)


async def test_orphans_stay_without_a_reference(cluster):
    await cluster.start()
    owner = await make(cluster, "owner")
    await make(cluster, "child", owner)
    await cluster.client.delete(CONFIG_MAPS, "owner", "default", propagation=Propagation.ORPHAN)
    await left(cluster, "child")
    assert "ownerReferences" not in (await cluster.client.get(CONFIG_MAPS, "child", "default"))["metadata"]


async def test_an_owner_of_an_unknown_kind_is_no_reason(cluster):
    await cluster.start()
    ghost = {"apiVersion": "example.org/v1", "kind": "Ghost", "metadata": {"name": "g", "uid": "g"}}
    await make(cluster, "haunted", ghost)
    owner = await make(cluster, "owner")
    await make(cluster, "child", owner)
    await cluster.client.delete(CONFIG_MAPS, "owner", "default")
    await left(cluster, "haunted")


async def test_a_cluster_wide_object_cannot_belong_to_a_namespaced_one(cluster):
    await cluster.start()
    owner = await make(cluster, "owner")
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "odd", "ownerReferences": [owner_reference(owner)]},
    }
    await cluster.client.create(Resource("", "v1", "Namespace", "namespaces", False), body)
    await cluster.client.delete(CONFIG_MAPS, "owner", "default")

    async def said() -> bool:
        return "OwnerRefInvalidNamespace" in {event["reason"] for event in (await cluster.client.list(EVENTS)).items}

    await until(said)


async def test_custom_kinds_come_and_go(cluster):
    await cluster.start()
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.org"},
        "spec": {
            "group": "example.org",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
            ],
        },
    }
    for _ in range(2):
        await cluster.client.create(CUSTOM_RESOURCE_DEFINITIONS, definition)
        widget = await make(cluster, "w", resource=WIDGETS)
        await make(cluster, "child", widget)
        secret = await make(cluster, "keeper", resource=SECRETS)
        await make(cluster, "kept", secret, resource=WIDGETS)
        await cluster.client.delete(WIDGETS, "w", "default")
        await left(cluster)
        await cluster.client.delete(SECRETS, "keeper", "default")

        async def none_kept() -> bool:
            return not await names(cluster, WIDGETS)

        await until(none_kept)
        await cluster.client.delete(CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.org")

        async def gone() -> bool:
            return await cluster.find(CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.org") is None

        await until(gone)
