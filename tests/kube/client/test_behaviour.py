"""What a client of the Kubernetes API can rely on, whichever way it reaches the API.

Every test runs against each client of ``conftest.CLIENTS``: in the process of the API server, and over HTTP.
"""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from tests.kube.client.conftest import Reached

from headwater.kube.client import Client, PatchType, Propagation, WatchEvent
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)

WIDGETS = Resource("example.org", "v1", "Widget", "widgets")


def config_map(name: str, namespace: str = "default", **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }


def pod(name: str, namespace: str = "default", **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": "main", "image": "busybox"}], **spec},
    }


def job(name: str) -> Object:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": template},
    }


def definition(plural: str = "widgets", kind: str = "Widget", **version: Any) -> Object:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "minimum": 1},
                    "replicas": {"type": "integer"},
                    "color": {"type": "string", "default": "blue", "enum": ["blue", "red"]},
                },
            },
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    subresources = {
        "status": {},
        "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.example.org"},
        "spec": {
            "group": "example.org",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": subresources,
                    **version,
                }
            ],
        },
    }


def widget(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "example.org/v1",
        "kind": "Widget",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"size": 1, **spec},
    }


async def account(client: Client, namespace: str = "default") -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": namespace},
    }
    with suppress(StatusError):
        await client.create(SERVICE_ACCOUNTS, obj)


async def take(events: Any, count: int) -> list[WatchEvent]:
    async with asyncio.timeout(10):
        return [await anext(events) for _ in range(count)]


# --- create, get, update ----------------------------------------------------------------------------------------


async def test_create_gives_an_object_its_identity(client: Client) -> None:
    sent = config_map("a", key="value")
    made = await client.create(CONFIG_MAPS, sent)
    assert "uid" not in sent["metadata"], "the caller's object is left alone"
    assert made["metadata"]["uid"]
    assert made["metadata"]["creationTimestamp"].endswith("Z")
    assert int(made["metadata"]["resourceVersion"]) > 0
    assert await client.get(CONFIG_MAPS, "a", "default") == made


async def test_what_is_handed_out_belongs_to_the_caller(client: Client) -> None:
    await client.create(CONFIG_MAPS, config_map("a", key="value"))
    first = await client.get(CONFIG_MAPS, "a", "default")
    first["data"]["key"] = "changed here only"
    assert (await client.get(CONFIG_MAPS, "a", "default"))["data"] == {"key": "value"}


async def test_a_missing_object_is_not_found(client: Client) -> None:
    with pytest.raises(StatusError) as raised:
        await client.get(JOBS, "none", "default")
    assert (raised.value.code, raised.value.reason) == (404, "NotFound")
    assert raised.value.message == 'jobs.batch "none" not found'
    assert raised.value.details["name"] == "none"


async def test_creating_twice_is_refused(client: Client) -> None:
    await client.create(CONFIG_MAPS, config_map("a"))
    with pytest.raises(StatusError) as raised:
        await client.create(CONFIG_MAPS, config_map("a"))
    assert (raised.value.code, raised.value.reason) == (409, "AlreadyExists")


async def test_names_are_generated(client: Client) -> None:
    obj = config_map("")
    obj["metadata"] = {"generateName": "worker-", "namespace": "default"}
    names = {(await client.create(CONFIG_MAPS, obj))["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("worker-") and len(name) == 12 for name in names)


@pytest.mark.parametrize("name", ["", "Upper", "under_score", "-dash", "a" * 254])
async def test_a_bad_name_is_invalid(client: Client, name: str) -> None:
    with pytest.raises(StatusError) as raised:
        await client.create(CONFIG_MAPS, config_map(name))
    assert raised.value.code == 422
    assert "metadata.name" in raised.value.message


async def test_update_replaces_and_compares_the_revision(client: Client) -> None:
    made = await client.create(CONFIG_MAPS, config_map("a", key="1"))
    changed = await client.update(CONFIG_MAPS, {**made, "data": {"key": "2"}})
    assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    with pytest.raises(StatusError) as raised:
        await client.update(CONFIG_MAPS, {**made, "data": {"key": "3"}})
    assert (raised.value.code, raised.value.reason) == (409, "Conflict")
    assert "please apply your changes to the latest version and try again" in raised.value.message
    forced = await client.update(CONFIG_MAPS, config_map("a", key="3"))
    assert forced["data"] == {"key": "3"}
    assert forced["metadata"]["uid"] == made["metadata"]["uid"]


async def test_an_update_that_changes_nothing_makes_no_revision(client: Client) -> None:
    made = await client.create(CONFIG_MAPS, config_map("a", key="1"))
    assert await client.update(CONFIG_MAPS, made) == made
    assert await client.patch(CONFIG_MAPS, "a", {"data": {"key": "1"}}, "default") == made


async def test_a_caller_cannot_change_an_identity(client: Client) -> None:
    made = await client.create(CONFIG_MAPS, config_map("a"))
    with pytest.raises(StatusError) as raised:
        await client.update(CONFIG_MAPS, {**made, "metadata": {**made["metadata"], "uid": "another"}})
    assert raised.value.code == 409
    metadata = {**made["metadata"], "creationTimestamp": "2001-01-01T00:00:00Z"}
    again = await client.update(CONFIG_MAPS, {**made, "metadata": metadata})
    assert again["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]


async def test_concurrent_patches_without_a_revision_all_take_effect(client: Client) -> None:
    await client.create(CONFIG_MAPS, config_map("a"))
    patches = [client.patch(CONFIG_MAPS, "a", {"data": {f"k{n}": "x"}}, "default") for n in range(20)]
    await asyncio.gather(*patches)
    assert len((await client.get(CONFIG_MAPS, "a", "default"))["data"]) == 20


async def test_dry_run_answers_and_stores_nothing(client: Client) -> None:
    answer = await client.create(CONFIG_MAPS, config_map("a"), dry_run=True)
    assert answer["metadata"]["uid"]
    with pytest.raises(StatusError):
        await client.get(CONFIG_MAPS, "a", "default")
    await client.create(CONFIG_MAPS, config_map("a"))
    with pytest.raises(StatusError) as raised:
        await client.create(CONFIG_MAPS, config_map("a"), dry_run=True)
    assert raised.value.reason == "AlreadyExists"


async def test_a_body_of_another_kind_is_refused(client: Client) -> None:
    with pytest.raises(StatusError) as raised:
        await client.create(CONFIG_MAPS, {**pod("a"), "metadata": {"name": "a", "namespace": "default"}})
    assert raised.value.code == 400
    assert "Pod" in raised.value.message


async def test_a_wrong_type_names_the_field(client: Client) -> None:
    with pytest.raises(StatusError) as raised:
        await client.create(PODS, pod("a", terminationGracePeriodSeconds="soon"))
    assert raised.value.code == 400
    assert "spec.terminationGracePeriodSeconds" in raised.value.message


async def test_a_pod_without_containers_is_invalid(client: Client) -> None:
    await account(client)
    with pytest.raises(StatusError) as raised:
        await client.create(PODS, pod("a", containers=[]))
    assert raised.value.code == 422
    assert "spec.containers: Required value" in raised.value.message


async def test_an_unknown_kind_is_not_found(client: Client) -> None:
    with pytest.raises(StatusError) as raised:
        await client.list(WIDGETS, "default")
    assert raised.value.code == 404


# --- namespaces and accounts ------------------------------------------------------------------------------------


async def test_an_object_needs_its_namespace(client: Client) -> None:
    with pytest.raises(StatusError) as raised:
        await client.create(CONFIG_MAPS, config_map("a", "nowhere"))
    assert raised.value.message == 'namespaces "nowhere" not found'


async def test_a_namespace_lingers_until_it_is_finalized(client: Client) -> None:
    made = await client.create(NAMESPACES, {"metadata": {"name": "team"}})
    assert made["status"] == {"phase": "Active"}
    assert made["spec"]["finalizers"] == ["kubernetes"]
    gone = await client.delete(NAMESPACES, "team")
    assert gone["status"]["phase"] == "Terminating"
    assert gone["metadata"]["deletionTimestamp"]
    with pytest.raises(StatusError) as raised:
        await client.create(CONFIG_MAPS, config_map("a", "team"))
    assert raised.value.code == 403
    assert "because it is being terminated" in raised.value.message
    assert raised.value.details["causes"][0]["reason"] == "NamespaceTerminating"
    await client.update(NAMESPACES, {**gone, "spec": {}}, subresource="finalize")
    with pytest.raises(StatusError):
        await client.get(NAMESPACES, "team")


async def test_a_namespace_the_cluster_needs_stays(client: Client) -> None:
    with pytest.raises(StatusError) as raised:
        await client.delete(NAMESPACES, "kube-system")
    assert raised.value.code == 403


async def test_a_pod_gets_an_account_and_its_token(client: Client) -> None:
    await account(client)
    made = await client.create(PODS, pod("a"))
    assert made["spec"]["serviceAccountName"] == "default"
    mount = made["spec"]["containers"][0]["volumeMounts"][0]
    assert mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    assert made["spec"]["volumes"][0]["name"] == mount["name"]
    assert made["status"]["phase"] == "Pending"
    without = await client.create(PODS, pod("b", automountServiceAccountToken=False))
    assert "volumes" not in without["spec"]


async def test_a_pod_waits_a_moment_for_the_account_of_a_new_namespace(client: Client) -> None:
    await client.create(NAMESPACES, {"metadata": {"name": "team"}})
    creating = asyncio.ensure_future(client.create(PODS, pod("a", "team")))
    await asyncio.sleep(0.05)
    await account(client, "team")
    assert (await creating)["spec"]["serviceAccountName"] == "default"


async def test_a_pod_with_an_unknown_account_is_refused(client: Client) -> None:
    with pytest.raises(StatusError) as raised:
        await client.create(PODS, pod("a", serviceAccountName="ghost"))
    assert raised.value.code == 403
    assert 'serviceaccount "ghost" not found' in raised.value.message


# --- patches ----------------------------------------------------------------------------------------------------


async def test_merge_patch_changes_and_removes(client: Client) -> None:
    await client.create(CONFIG_MAPS, config_map("a", one="1", two="2"))
    changed = await client.patch(CONFIG_MAPS, "a", {"data": {"one": None, "three": "3"}}, "default")
    assert changed["data"] == {"two": "2", "three": "3"}


async def test_json_patch_tests_first(client: Client) -> None:
    await client.create(CONFIG_MAPS, config_map("a", one="1"))
    operations = [
        {"op": "test", "path": "/data/one", "value": "1"},
        {"op": "replace", "path": "/data/one", "value": "2"},
    ]
    changed = await client.patch(CONFIG_MAPS, "a", operations, "default", patch_type=PatchType.JSON)
    assert changed["data"] == {"one": "2"}
    with pytest.raises(StatusError) as raised:
        await client.patch(CONFIG_MAPS, "a", operations, "default", patch_type=PatchType.JSON)
    assert raised.value.code == 422


async def test_strategic_patch_merges_lists_by_their_key(client: Client) -> None:
    await client.create(JOBS, job("a"))
    template = {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]}}
    patch = {"metadata": {"labels": {"a": "b"}}}
    changed = await client.patch(JOBS, "a", patch, "default", patch_type=PatchType.STRATEGIC)
    assert changed["metadata"]["labels"]["a"] == "b"
    with pytest.raises(StatusError) as raised:
        await client.patch(JOBS, "a", {"spec": {"template": template}}, "default", patch_type=PatchType.STRATEGIC)
    assert raised.value.code == 422, "a Job's template cannot change"
    assert "immutable" in raised.value.message


async def test_a_patch_with_an_old_revision_conflicts(client: Client) -> None:
    made = await client.create(CONFIG_MAPS, config_map("a"))
    await client.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}}, "default")
    patch = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"x": "2"}}
    with pytest.raises(StatusError) as raised:
        await client.patch(CONFIG_MAPS, "a", patch, "default")
    assert raised.value.reason == "Conflict"


# --- status, generation, scale, binding ------------------------------------------------------------------------


async def test_status_and_spec_are_written_apart(client: Client) -> None:
    made = await client.create(JOBS, {**job("a"), "status": {"active": 7}})
    assert "active" not in made.get("status", {})
    assert made["metadata"]["generation"] == 1
    changed = await client.patch(JOBS, "a", {"status": {"active": 1}, "spec": {"suspend": True}}, "default")
    assert "active" not in changed.get("status", {})
    assert changed["metadata"]["generation"] == 2
    patch = {"status": {"active": 1}, "spec": {"suspend": False}}
    reported = await client.patch(JOBS, "a", patch, "default", subresource="status")
    assert reported["status"]["active"] == 1
    assert reported["spec"]["suspend"] is True
    assert reported["metadata"]["generation"] == 2
    replaced = await client.update(JOBS, {**reported, "status": {"active": 2}}, subresource="status")
    assert replaced["status"]["active"] == 2


async def test_a_pod_is_bound_once(client: Client) -> None:
    await account(client)
    await client.create(PODS, pod("a"))
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "a"},
        "target": {"kind": "Node", "name": "here"},
    }
    await client.create(PODS, binding, "default", name="a", subresource="binding")
    bound = await client.get(PODS, "a", "default")
    assert bound["spec"]["nodeName"] == "here"
    assert [(c["type"], c["status"]) for c in bound["status"]["conditions"]] == [("PodScheduled", "True")]
    with pytest.raises(StatusError) as raised:
        await client.create(PODS, binding, "default", name="a", subresource="binding")
    assert raised.value.code == 409


# --- deletion ---------------------------------------------------------------------------------------------------


async def test_delete_answers_a_status_and_the_object_is_gone(client: Client) -> None:
    made = await client.create(CONFIG_MAPS, config_map("a"))
    answer = await client.delete(CONFIG_MAPS, "a", "default")
    assert answer["status"] == "Success"
    assert answer["details"]["uid"] == made["metadata"]["uid"]
    with pytest.raises(StatusError) as raised:
        await client.delete(CONFIG_MAPS, "a", "default")
    assert raised.value.code == 404


async def test_finalizers_hold_an_object_back(client: Client) -> None:
    obj = config_map("a")
    obj["metadata"]["finalizers"] = ["example.org/hold"]
    await client.create(CONFIG_MAPS, obj)
    marked = await client.delete(CONFIG_MAPS, "a", "default")
    assert marked["metadata"]["deletionTimestamp"]
    assert await client.delete(CONFIG_MAPS, "a", "default") == marked, "a second delete changes nothing"
    patch = {"metadata": {"finalizers": ["example.org/hold", "example.org/more"]}}
    with pytest.raises(StatusError) as raised:
        await client.patch(CONFIG_MAPS, "a", patch, "default")
    assert "no new finalizers can be added" in raised.value.message
    await client.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}}, "default")
    with pytest.raises(StatusError):
        await client.get(CONFIG_MAPS, "a", "default")


async def test_delete_preconditions(client: Client) -> None:
    made = await client.create(CONFIG_MAPS, config_map("a"))
    with pytest.raises(StatusError) as raised:
        await client.delete(CONFIG_MAPS, "a", "default", uid="another")
    assert raised.value.code == 409
    with pytest.raises(StatusError):
        await client.delete(CONFIG_MAPS, "a", "default", resource_version="1")
    uid, revision = made["metadata"]["uid"], made["metadata"]["resourceVersion"]
    await client.delete(CONFIG_MAPS, "a", "default", uid=uid, resource_version=revision)


@pytest.mark.parametrize(
    ("propagation", "finalizers"),
    [(Propagation.FOREGROUND, ["foregroundDeletion"]), (Propagation.ORPHAN, ["orphan"]), (None, ["orphan"])],
)
async def test_propagation_is_remembered_as_a_finalizer(
    client: Client, propagation: Propagation | None, finalizers: list[str]
) -> None:
    await client.create(JOBS, job("a"))
    marked = await client.delete(JOBS, "a", "default", propagation=propagation)
    assert marked["metadata"]["finalizers"] == finalizers
    assert marked["metadata"]["generation"] == 2


async def test_background_deletion_removes_at_once(client: Client) -> None:
    await client.create(JOBS, job("a"))
    assert (await client.delete(JOBS, "a", "default", propagation=Propagation.BACKGROUND))["status"] == "Success"


async def test_a_pod_on_a_node_lingers_for_its_grace_period(client: Client) -> None:
    await account(client)
    await client.create(PODS, pod("waiting"))
    assert (await client.delete(PODS, "waiting", "default"))["status"] == "Success", "it never ran anywhere"
    await client.create(PODS, pod("running", nodeName="here"))
    marked = await client.delete(PODS, "running", "default")
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    shorter = await client.delete(PODS, "running", "default", grace_period_seconds=5)
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 5
    again = await client.delete(PODS, "running", "default", grace_period_seconds=20)
    assert again["metadata"]["deletionGracePeriodSeconds"] == 5
    assert (await client.delete(PODS, "running", "default", grace_period_seconds=0))["status"] == "Success"


async def test_delete_collection_takes_what_is_selected(client: Client) -> None:
    for name in ("a", "b", "c"):
        obj = config_map(name)
        obj["metadata"]["labels"] = {"keep": "yes" if name == "b" else "no"}
        await client.create(CONFIG_MAPS, obj)
    await client.delete_collection(CONFIG_MAPS, "default", label_selector="keep=no")
    left = await client.list(CONFIG_MAPS, "default")
    assert [item["metadata"]["name"] for item in left.items] == ["b"]


# --- list and watch ---------------------------------------------------------------------------------------------


async def test_lists_are_ordered_selected_and_paged(client: Client) -> None:
    await client.create(NAMESPACES, {"metadata": {"name": "team"}})
    for number in range(5):
        obj = config_map(f"n{number}", "team" if number % 2 else "default")
        obj["metadata"]["labels"] = {"number": str(number)}
        await client.create(CONFIG_MAPS, obj)
    everywhere = await client.list(CONFIG_MAPS)
    assert [item["metadata"]["name"] for item in everywhere.items] == ["n0", "n2", "n4", "n1", "n3"]
    some = await client.list(CONFIG_MAPS, label_selector="number in (1,2)")
    assert [item["metadata"]["name"] for item in some.items] == ["n2", "n1"]
    one = await client.list(CONFIG_MAPS, "team", field_selector="metadata.name=n3")
    assert [item["metadata"]["name"] for item in one.items] == ["n3"]

    first = await client.list(CONFIG_MAPS, limit=2)
    await client.delete(CONFIG_MAPS, "n4", "default")
    await client.create(CONFIG_MAPS, config_map("z"))
    pages = [first]
    while pages[-1].continue_token:
        pages.append(await client.list(CONFIG_MAPS, limit=2, continue_token=pages[-1].continue_token))
    names = [item["metadata"]["name"] for page in pages for item in page.items]
    assert names == ["n0", "n2", "n4", "n1", "n3"], "all pages show the revision of the first"
    assert {page.resource_version for page in pages} == {first.resource_version}


@pytest.mark.parametrize(
    ("selectors", "said"),
    [
        ({"label_selector": "a in"}, "unable to parse requirement"),
        ({"field_selector": "spec.color=red"}, "field label not supported"),
        ({"continue_token": "nonsense"}, "continue key is not valid"),
        ({"resource_version": "abc"}, "resourceVersion"),
    ],
)
async def test_a_bad_selection_is_a_bad_request(client: Client, selectors: dict[str, str], said: str) -> None:
    with pytest.raises(StatusError) as raised:
        await client.list(CONFIG_MAPS, "default", **selectors)  # type: ignore[arg-type]
    assert raised.value.code == 400
    assert said in raised.value.message


async def test_pods_are_selected_by_field(client: Client) -> None:
    await account(client)
    await client.create(PODS, pod("a", nodeName="here"))
    await client.create(PODS, pod("b"))
    found = await client.list(PODS, field_selector="spec.nodeName=here,status.phase!=Failed")
    assert [item["metadata"]["name"] for item in found.items] == ["a"]


async def test_a_watch_starts_with_what_is_there_and_goes_on(client: Client) -> None:
    await client.create(CONFIG_MAPS, config_map("a"))
    events = client.watch(CONFIG_MAPS, "default")
    assert [(e.type, e.object["metadata"]["name"]) for e in await take(events, 1)] == [("ADDED", "a")]
    await client.create(CONFIG_MAPS, config_map("b"))
    await client.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}}, "default")
    await client.delete(CONFIG_MAPS, "a", "default")
    seen = await take(events, 3)
    assert [(e.type, e.object["metadata"]["name"]) for e in seen] == [
        ("ADDED", "b"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
    ]
    assert seen[2].object["data"] == {"x": "1"}
    revisions = [int(e.object["metadata"]["resourceVersion"]) for e in seen]
    assert revisions == sorted(revisions)


async def test_a_watch_resumes_behind_a_revision(client: Client) -> None:
    await client.create(CONFIG_MAPS, config_map("a"))
    listed = await client.list(CONFIG_MAPS, "default")
    await client.create(CONFIG_MAPS, config_map("b"))
    await client.create(CONFIG_MAPS, config_map("c"))
    events = client.watch(CONFIG_MAPS, "default", resource_version=listed.resource_version)
    assert [e.object["metadata"]["name"] for e in await take(events, 2)] == ["b", "c"]


async def test_a_watch_with_a_selector_sees_objects_come_and_go(client: Client) -> None:
    await client.create(CONFIG_MAPS, config_map("a"))
    listed = await client.list(CONFIG_MAPS, "default")
    events = client.watch(CONFIG_MAPS, "default", resource_version=listed.resource_version, label_selector="team=blue")
    await client.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"team": "blue"}}}, "default")
    await client.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}}, "default")
    left = await client.patch(CONFIG_MAPS, "a", {"metadata": {"labels": None}}, "default")
    seen = await take(events, 3)
    assert [e.type for e in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert seen[2].object["metadata"]["labels"] == {"team": "blue"}, "the state that it was last seen in"
    assert seen[2].object["metadata"]["resourceVersion"] == left["metadata"]["resourceVersion"]


async def test_a_watch_ends_when_its_time_is_over(client: Client) -> None:
    events = client.watch(CONFIG_MAPS, "default", resource_version="", timeout_seconds=1, bookmarks=True)
    async with asyncio.timeout(10):
        seen = [event async for event in events]
    assert [event.type for event in seen] == ["BOOKMARK"]
    assert int(seen[0].object["metadata"]["resourceVersion"]) > 0


async def test_a_watch_from_forgotten_history_is_gone(reached: Reached) -> None:
    client = reached.client
    listed = await client.list(CONFIG_MAPS, "default")
    page = await client.list(NAMESPACES, limit=1)
    await client.create(CONFIG_MAPS, config_map("a"))
    await client.create(NAMESPACES, {"metadata": {"name": "team"}})
    reached.api.store.compact(everything=True)
    with pytest.raises(StatusError) as raised:
        await anext(client.watch(CONFIG_MAPS, "default", resource_version=listed.resource_version))
    assert (raised.value.code, raised.value.reason) == (410, "Expired")
    with pytest.raises(StatusError) as raised:
        await client.list(NAMESPACES, limit=1, continue_token=page.continue_token)
    assert raised.value.code == 410


async def test_a_revision_from_the_future_is_refused(client: Client) -> None:
    with pytest.raises(StatusError) as raised:
        await client.list(CONFIG_MAPS, "default", resource_version="999999")
    assert raised.value.code == 504
    assert "Too large resource version" in raised.value.message


# --- custom resources -------------------------------------------------------------------------------------------


async def test_a_definition_is_served_as_soon_as_it_is_acknowledged(client: Client) -> None:
    made = await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
    assert {c["type"]: c["status"] for c in made["status"]["conditions"]} == {
        "NamesAccepted": "True",
        "Established": "True",
    }
    assert made["status"]["storedVersions"] == ["v1"]
    created = await client.create(WIDGETS, widget("a"))
    assert created["spec"] == {"size": 1, "color": "blue"}
    assert created["metadata"]["generation"] == 1


async def test_a_custom_resource_is_validated_with_field_paths(client: Client) -> None:
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
    with pytest.raises(StatusError) as raised:
        await client.create(WIDGETS, widget("a", size="big", color="green"))
    assert raised.value.code == 422
    assert "spec.size" in raised.value.message
    assert {cause["field"] for cause in raised.value.details["causes"]} == {"spec.size", "spec.color"}
    pruned = await client.create(WIDGETS, widget("a", unknown=1))
    assert "unknown" not in pruned["spec"]


async def test_a_custom_resources_status_and_scale(client: Client) -> None:
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
    await client.create(WIDGETS, widget("a", replicas=2))
    status = {"status": {"replicas": 1, "anything": {"goes": True}}}
    await client.patch(WIDGETS, "a", status, "default", subresource="status")
    scale = await client.get(WIDGETS, "a", "default", subresource="scale")
    assert (scale["kind"], scale["spec"], scale["status"]) == ("Scale", {"replicas": 2}, {"replicas": 1})
    scale["spec"]["replicas"] = 5
    scaled = await client.patch(WIDGETS, "a", {"spec": {"replicas": 5}}, "default", subresource="scale")
    assert scaled["spec"] == {"replicas": 5}
    obj = await client.get(WIDGETS, "a", "default")
    assert obj["spec"]["replicas"] == 5
    assert obj["metadata"]["generation"] == 2


async def test_an_update_of_a_custom_resource_needs_a_revision(client: Client) -> None:
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
    await client.create(WIDGETS, widget("a"))
    with pytest.raises(StatusError) as raised:
        await client.update(WIDGETS, widget("a", size=2))
    assert raised.value.code == 422
    assert "metadata.resourceVersion" in raised.value.message


async def test_a_strategic_patch_of_a_custom_resource_is_refused(client: Client) -> None:
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
    await client.create(WIDGETS, widget("a"))
    with pytest.raises(StatusError) as raised:
        await client.patch(WIDGETS, "a", {"spec": {}}, "default", patch_type=PatchType.STRATEGIC)
    assert raised.value.code == 415


async def test_a_deleted_definition_takes_its_objects_along(client: Client) -> None:
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
    await client.create(WIDGETS, widget("free"))
    held = widget("held")
    held["metadata"]["finalizers"] = ["example.org/hold"]
    await client.create(WIDGETS, held)
    listed = await client.list(WIDGETS, "default")
    events = client.watch(WIDGETS, "default", resource_version=listed.resource_version)
    await client.delete(CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.org")
    seen = {(event.type, event.object["metadata"]["name"]) for event in await take(events, 2)}
    assert seen == {("DELETED", "free"), ("MODIFIED", "held")}
    with pytest.raises(StatusError) as raised:
        await client.create(WIDGETS, widget("late"))
    assert raised.value.code == 405
    await client.patch(WIDGETS, "held", {"metadata": {"finalizers": None}}, "default")
    async with asyncio.timeout(10):
        rest = [event async for event in events]
    assert [event.type for event in rest] == ["DELETED"], "the watch ends with its kind"
    with pytest.raises(StatusError) as raised:
        await client.list(WIDGETS, "default")
    assert raised.value.code == 404
    again = await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
    assert again["metadata"]["uid"]
    assert (await client.list(WIDGETS, "default")).items == []


async def test_versions_of_a_custom_resource_are_one_object(client: Client) -> None:
    wanted = definition()
    second = {**wanted["spec"]["versions"][0], "name": "v2", "storage": False}
    wanted["spec"]["versions"].append(second)
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, wanted)
    await client.create(WIDGETS, widget("a"))
    v2 = Resource("example.org", "v2", "Widget", "widgets")
    seen = await client.get(v2, "a", "default")
    assert seen["apiVersion"] == "example.org/v2"
    changed = await client.patch(v2, "a", {"spec": {"size": 2}}, "default")
    assert changed["apiVersion"] == "example.org/v2"
    assert (await client.get(WIDGETS, "a", "default"))["spec"]["size"] == 2
    assert (await client.list(v2, "default")).items == [changed]


# --- who may ----------------------------------------------------------------------------------------------------


async def test_a_stranger_is_told_what_is_not_allowed(reached: Reached) -> None:
    with pytest.raises(StatusError) as raised:
        await reached.stranger.get(SECRETS, "a", "default")
    assert (raised.value.code, raised.value.reason) == (403, "Forbidden")
    assert 'cannot get resource "secrets" in API group "" in the namespace "default"' in raised.value.message
    with pytest.raises(StatusError) as raised:
        await anext(reached.stranger.watch(NODES))
    assert 'cannot watch resource "nodes" in API group "" at the cluster scope' in raised.value.message
