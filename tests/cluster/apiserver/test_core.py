"""What the API core does beyond what a client can see: subscriptions, registered kinds, upkeep, restarts."""

import sqlite3
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.apiserver.conftest import HandClock
from tests.kube.client.test_behaviour import WIDGETS, config_map, definition, job, pod, widget

from headwater.cluster.apiserver.answers import DeleteOptions, WriteOptions
from headwater.cluster.apiserver.core import Api, SubresourceCall
from headwater.cluster.apiserver.local import LocalClient
from headwater.cluster.apiserver.metadata import random_uids
from headwater.cluster.apiserver.users import PLATFORM, User
from headwater.cluster.store.documents import Document
from headwater.cluster.store.errors import WriteRefused
from headwater.cluster.store.store import Store
from headwater.kube.client import PatchType
from headwater.kube.meta.conditions import condition_is
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SERVICE_ACCOUNTS,
    Resource,
)

EVENTS_V1 = Resource("events.k8s.io", "v1", "Event", "events")


async def test_the_systems_namespaces_are_there(client: LocalClient) -> None:
    names = [item["metadata"]["name"] for item in (await client.list(NAMESPACES)).items]
    assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]


async def test_a_subscriber_has_heard_before_the_writer_goes_on(api: Api, client: LocalClient) -> None:
    heard: list[tuple[str | None, str | None]] = []

    def hear(old: Document | None, new: Document | None) -> None:
        heard.append((old and old.object["data"]["k"], new and new.object["data"]["k"]))

    api.subscribe(CONFIG_MAPS, hear)
    await client.create(CONFIG_MAPS, config_map("a", k="1"))
    assert heard == [(None, "1")]
    await client.patch(CONFIG_MAPS, "a", {"data": {"k": "2"}}, "default")
    await client.delete(CONFIG_MAPS, "a", "default")
    assert heard[1:] == [("1", "2"), ("2", None)]


async def test_peeking_needs_no_permission(api: Api, client: LocalClient) -> None:
    await client.create(CONFIG_MAPS, config_map("a"))
    found = api.peek(CONFIG_MAPS, "default", "a")
    assert found is not None
    assert api.peek(CONFIG_MAPS, "default", "b") is None
    assert api.peek_all(CONFIG_MAPS) == [found]
    assert api.peek_all(CONFIG_MAPS, "kube-system") == []


async def test_virtual_kinds_are_answered_not_stored(api: Api) -> None:
    async def answer(user: User, obj: Object) -> Object:
        return {**obj, "status": {"allowed": user.name == "ann"}}

    api.register_virtual(SELF_SUBJECT_ACCESS_REVIEWS, answer)
    review: Object = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    ann = User("ann", ("system:masters",))
    made = await api.create(ann, SELF_SUBJECT_ACCESS_REVIEWS, "", review)
    assert made.object["status"] == {"allowed": True}
    assert made.object["kind"] == "SelfSubjectAccessReview"
    with pytest.raises(StatusError) as raised:
        await api.list(ann, SELF_SUBJECT_ACCESS_REVIEWS)
    assert raised.value.code == 405
    with pytest.raises(StatusError) as raised:
        await api.create(ann, SELF_SUBJECT_ACCESS_REVIEWS, "", {"spec": {"resourceAttributes": {"verb": 7}}})
    assert "spec.resourceAttributes.verb" in raised.value.message


async def test_a_registered_subresource_is_called_with_its_parent(api: Api, client: LocalClient) -> None:
    calls: list[SubresourceCall] = []

    async def token(call: SubresourceCall) -> Object:
        calls.append(call)
        return {"kind": "TokenRequest", "status": {"token": "t"}}

    await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    with pytest.raises(StatusError) as raised:
        await client.create(SERVICE_ACCOUNTS, {}, "default", name="default", subresource="token")
    assert raised.value.code == 501
    api.register_subresource(SERVICE_ACCOUNTS, "token", token)
    answer = await client.create(SERVICE_ACCOUNTS, {"spec": {}}, "default", name="default", subresource="token")
    assert answer["status"] == {"token": "t"}
    assert (calls[0].verb, calls[0].parent.object["metadata"]["name"]) == ("create", "default")
    with pytest.raises(StatusError) as raised:
        await client.create(SERVICE_ACCOUNTS, {}, "default", name="ghost", subresource="token")
    assert raised.value.code == 404
    with pytest.raises(StatusError) as raised:
        await client.get(SERVICE_ACCOUNTS, "default", "default", subresource="nonsense")
    assert raised.value.code == 404


async def test_strict_validation_refuses_unknown_fields_and_warn_reports_them(api: Api) -> None:
    def wrong() -> Object:
        return {"metadata": {"name": "a"}, "data": {}, "dta": {}}

    options = WriteOptions(field_validation="Strict")
    with pytest.raises(StatusError) as raised:
        await api.create(PLATFORM, CONFIG_MAPS, "default", wrong(), options=options)
    assert raised.value.code == 400
    assert 'strict decoding error: unknown field "dta"' in raised.value.message
    options = WriteOptions(field_validation="Warn")
    made = await api.create(PLATFORM, CONFIG_MAPS, "default", wrong(), options=options)
    assert options.warnings == ['unknown field "dta"']
    assert "dta" not in made.object
    options = WriteOptions(field_validation="Ignore")
    await api.update(PLATFORM, CONFIG_MAPS, "default", "a", wrong(), options=options)
    assert options.warnings == []


async def test_deleting_a_job_without_saying_how_warns(api: Api, client: LocalClient) -> None:
    await client.create(JOBS, job("a"))
    warnings: list[str] = []
    await api.delete(PLATFORM, JOBS, "default", "a", warnings=warnings)
    assert "child pods are preserved by default" in warnings[0]
    await client.create(JOBS, job("b"))
    await api.delete(PLATFORM, JOBS, "default", "b", options=DeleteOptions("Background"), warnings=warnings)
    assert len(warnings) == 1


async def test_dry_runs_change_nothing(api: Api, client: LocalClient) -> None:
    await client.create(CONFIG_MAPS, config_map("a", k="1"))
    dry = WriteOptions(dry_run=True)
    body = {"data": {"k": "2"}}
    patched = await api.patch(PLATFORM, CONFIG_MAPS, "default", "a", body, PatchType.MERGE, options=dry)
    assert patched.object["data"] == {"k": "2"}
    answer = await api.delete(PLATFORM, CONFIG_MAPS, "default", "a", options=DeleteOptions(dry_run=True))
    assert answer.object["status"] == "Success"
    assert (await client.get(CONFIG_MAPS, "a", "default"))["data"] == {"k": "1"}


async def test_both_groups_of_events_show_the_same_objects(client: LocalClient) -> None:
    old = {
        "metadata": {"name": "a.1", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "a", "namespace": "default"},
        "reason": "Started",
        "message": "it began",
        "type": "Normal",
        "count": 2,
    }
    await client.create(EVENTS, old)
    seen = await client.get(EVENTS_V1, "a.1", "default")
    assert (seen["apiVersion"], seen["note"], seen["deprecatedCount"]) == ("events.k8s.io/v1", "it began", 2)
    assert seen["regarding"]["name"] == "a"
    new = {
        "metadata": {"name": "b.1", "namespace": "default"},
        "eventTime": "2026-01-02T03:04:05.000000Z",
        "reportingController": "example.org/x",
        "reportingInstance": "x",
        "action": "Looking",
        "regarding": {"kind": "Pod", "name": "b", "namespace": "default"},
        "reason": "Seen",
        "note": "hello",
        "type": "Normal",
    }
    made = await client.create(EVENTS_V1, new)
    assert made["note"] == "hello"
    found = await client.list(EVENTS, "default", field_selector="involvedObject.name=b")
    assert [(item["apiVersion"], item["message"]) for item in found.items] == [("v1", "hello")]
    changed = await client.patch(EVENTS_V1, "b.1", {"note": "again"}, "default")
    assert changed["note"] == "again"


async def test_events_are_forgotten_after_an_hour(api: Api, client: LocalClient, clock: HandClock) -> None:
    def event(name: str, **times: Any) -> Object:
        about = {"kind": "Pod", "name": "a", "namespace": "default"}
        return {"metadata": {"name": name, "namespace": "default"}, "involvedObject": about, **times}

    await client.create(EVENTS, event("old"))
    await client.create(EVENTS, event("repeated", lastTimestamp="2026-01-02T04:00:00Z"))
    clock.advance(minutes=61)
    await api._upkeep.sweep_events()
    assert [item["metadata"]["name"] for item in (await client.list(EVENTS)).items] == ["repeated"]


async def test_custom_resources_are_served_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "again.db"
    store = await Store.open(path)
    api = Api(store)
    await api.start()
    client = LocalClient(api)
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
    held = widget("held")
    held["metadata"]["finalizers"] = ["example.org/hold"]
    await client.create(WIDGETS, held)
    await client.delete(CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.org")
    await api.stop()
    await store.close()

    store = await Store.open(path)
    api = Api(store)
    client = LocalClient(api)
    assert (await client.get(WIDGETS, "held", "default"))["spec"]["size"] == 1
    await api.start()
    events = client.watch(CUSTOM_RESOURCE_DEFINITIONS)
    await anext(events)
    await client.patch(WIDGETS, "held", {"metadata": {"finalizers": None}}, "default")
    while (await anext(events)).type != "DELETED":
        pass
    assert api.registry.find("example.org", "v1", "widgets") is None
    await api.stop()
    await store.close()


async def test_a_definition_whose_names_are_taken_is_not_served(api: Api, client: LocalClient) -> None:
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
    rival = definition("gadgets", "Widget")
    made = await client.create(CUSTOM_RESOURCE_DEFINITIONS, rival)
    conditions = {c["type"]: (c["status"], c["reason"]) for c in made["status"]["conditions"]}
    assert conditions["NamesAccepted"] == ("False", "NameConflict")
    assert conditions["Established"][0] == "False"
    assert api.registry.find("example.org", "v1", "gadgets") is None

    events = client.watch(CUSTOM_RESOURCE_DEFINITIONS, resource_version=made["metadata"]["resourceVersion"])
    await client.delete(CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.org")
    while (event := await anext(events)).object["metadata"]["name"] != "gadgets.example.org":
        pass
    assert condition_is(event.object, "Established"), "the name is free now"
    assert api.registry.find("example.org", "v1", "gadgets") is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metadata": {"name": "other.example.org"}}, "metadata.name"),
        ({"spec": {"versions": None}}, "spec.versions"),
        ({"spec": {"conversion": {"strategy": "Webhook"}}}, "conversion webhooks are not built yet"),
    ],
)
async def test_a_wrong_definition_is_refused(client: LocalClient, change: Object, said: str) -> None:
    wanted = definition()
    for key, value in change.items():
        wanted[key] = {**wanted[key], **value}
    with pytest.raises(StatusError) as raised:
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, wanted)
    assert said in raised.value.message


async def test_priorities_are_resolved(client: LocalClient) -> None:
    priorities = Resource("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", False)
    await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    await client.create(priorities, {"metadata": {"name": "high"}, "value": 1000})
    assert (await client.create(PODS, pod("a", priorityClassName="high")))["spec"]["priority"] == 1000
    assert (await client.create(PODS, pod("b")))["spec"]["priority"] == 0
    with pytest.raises(StatusError) as raised:
        await client.create(PODS, pod("c", priorityClassName="none"))
    assert "no PriorityClass with name none was found" in raised.value.message


async def test_eviction_deletes_a_pod(client: LocalClient) -> None:
    await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    await client.create(PODS, pod("a", nodeName="here"))
    eviction = {"deleteOptions": {"gracePeriodSeconds": 3}}
    answer = await client.create(PODS, eviction, "default", name="a", subresource="eviction")
    assert answer["status"] == "Success"
    left = await client.get(PODS, "a", "default")
    assert left["metadata"]["deletionGracePeriodSeconds"] == 3


async def test_a_full_disk_is_said_to_the_caller(
    api: Api, client: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise WriteRefused("the disk that holds objects.db is full; nothing was changed: free some space and try again")

    await client.create(CONFIG_MAPS, config_map("a"))
    monkeypatch.setattr(api.store, "_write", refuse)
    for write in (
        client.create(CONFIG_MAPS, config_map("b")),
        client.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}}, "default"),
        client.delete(CONFIG_MAPS, "a", "default"),
    ):
        with pytest.raises(StatusError) as raised:
            await write
        assert raised.value.code == 507
        assert "free some space" in raised.value.message


async def test_a_closing_server_says_so(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "closing.db")
    api = Api(store)
    await api.start()
    client = LocalClient(api)
    await api.stop()
    await store.close()
    with pytest.raises(StatusError) as raised:
        await client.create(CONFIG_MAPS, config_map("a"))
    assert raised.value.code == 503
    with pytest.raises(StatusError) as raised:
        await anext(client.watch(NODES))
    assert raised.value.code == 503


def test_the_store_of_a_stranger_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()

    async def open_it() -> None:
        await Store.open(path)

    import asyncio

    from headwater.cluster.store.errors import StoreDamaged

    with pytest.raises(StoreDamaged, match="not a store"):
        asyncio.run(open_it())


def test_uids_are_random_uuids() -> None:
    new = random_uids()
    drawn = {new() for _ in range(100)}
    assert len(drawn) == 100
    assert all(str(uuid.UUID(each)) == each and uuid.UUID(each).version == 4 for each in drawn)
    assert all(uuid.UUID(each).variant == uuid.RFC_4122 for each in drawn)
