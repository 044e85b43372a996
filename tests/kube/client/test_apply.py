"""Server-side apply and ``managedFields`` as every client sees them, in the process and over HTTP."""

import asyncio
from typing import Any

import pytest

from headwater.kube.client import Client, PatchType
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, PODS, SERVICE_ACCOUNTS, Resource

DEPLOYMENTS = Resource("apps", "v1", "Deployment", "deployments", subresources=("status", "scale"))
WIDGETS = Resource("example.org", "v1", "Widget", "widgets")


def config_map(name: str = "m", **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


def deployment(**spec: Any) -> Object:
    labels = {"app": "x"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "one"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


async def apply(
    client: Client,
    config: Object,
    manager: str = "me",
    *,
    resource: Resource = CONFIG_MAPS,
    force: bool = False,
    subresource: str | None = None,
) -> Object:
    return await client.patch(
        resource,
        config["metadata"]["name"],
        config,
        "default",
        patch_type=PatchType.APPLY,
        subresource=subresource,
        field_manager=manager,
        force=force,
    )


def managers(obj: Object) -> list[tuple[str, str, str]]:
    entries = obj["metadata"]["managedFields"]
    return sorted((entry["manager"], entry["operation"], entry.get("subresource", "")) for entry in entries)


def fields(obj: Object, manager: str) -> Any:
    return next(entry["fieldsV1"] for entry in obj["metadata"]["managedFields"] if entry["manager"] == manager)


async def refused(attempt: Any) -> StatusError:
    with pytest.raises(StatusError) as raised:
        await attempt
    return raised.value


async def test_an_apply_makes_what_is_not_there(client: Client) -> None:
    made = await apply(client, config_map(a="1"))
    assert made["data"] == {"a": "1"}
    assert made["metadata"]["uid"]
    assert managers(made) == [("me", "Apply", "")]
    assert fields(made, "me") == {"f:data": {"f:a": {}}}
    again = await apply(client, config_map(a="1"))
    assert again == made


async def test_a_field_that_is_said_no_more_goes(client: Client) -> None:
    await apply(client, config_map(a="1", b="1"))
    assert (await apply(client, config_map(a="1")))["data"] == {"a": "1"}


async def test_a_conflict_says_who_and_what_and_force_takes_over(client: Client) -> None:
    await apply(client, config_map(a="1"), "first")
    error = await refused(apply(client, config_map(a="2"), "second"))
    assert (error.code, error.reason) == (409, "Conflict")
    assert error.message == 'Apply failed with 1 conflict: conflict with "first": .data.a'
    assert error.details["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "first"', "field": ".data.a"}
    ]
    taken = await apply(client, config_map(a="2"), "second", force=True)
    assert (taken["data"], managers(taken)) == ({"a": "2"}, [("second", "Apply", "")])


async def test_every_write_leaves_its_mark(client: Client) -> None:
    made = await client.create(CONFIG_MAPS, config_map(a="1"))
    assert managers(made) == [("headwater", "Update", "")]
    made["data"]["b"] = "1"
    await client.update(CONFIG_MAPS, made)
    last = await client.patch(CONFIG_MAPS, "m", {"data": {"a": "2"}}, "default", field_manager="patcher")
    assert fields(last, "headwater") == {"f:data": {".": {}, "f:b": {}}}
    assert fields(last, "patcher") == {"f:data": {"f:a": {}}}
    error = await refused(apply(client, config_map(a="3")))
    entry = next(each for each in last["metadata"]["managedFields"] if each["manager"] == "patcher")
    assert error.message.endswith(f'conflict with "patcher" using v1 at {entry["time"]}: .data.a')


async def test_a_write_that_changes_nothing_changes_no_time_and_no_revision(client: Client) -> None:
    made = await client.create(CONFIG_MAPS, config_map(a="1"))
    assert await client.update(CONFIG_MAPS, made) == made
    assert await client.patch(CONFIG_MAPS, "m", {"data": {"a": "1"}}, "default", field_manager="other") == made


async def test_a_client_may_leave_out_edit_or_reset_the_managers(client: Client) -> None:
    made = await client.create(CONFIG_MAPS, config_map(a="1"))
    entries = made["metadata"].pop("managedFields")
    kept = await client.update(CONFIG_MAPS, made)
    assert kept["metadata"]["managedFields"] == entries
    entry = {**entries[0], "manager": "kubectl", "operation": "Apply"}
    replace = [{"op": "replace", "path": "/metadata/managedFields", "value": [entry]}]
    edited = await client.patch(CONFIG_MAPS, "m", replace, "default", patch_type=PatchType.JSON)
    assert managers(edited) == [("kubectl", "Apply", "")]
    reset = await client.patch(CONFIG_MAPS, "m", {"metadata": {"managedFields": [{}]}}, "default")
    assert "managedFields" not in reset["metadata"]
    still = await client.patch(CONFIG_MAPS, "m", {"data": {"a": "2"}}, "default")
    assert "managedFields" not in still["metadata"]
    error = await refused(apply(client, config_map(a="3")))
    assert '"before-first-apply" using v1' in error.message
    again = await apply(client, config_map(a="3"), force=True)
    assert managers(again) == [("before-first-apply", "Update", ""), ("me", "Apply", "")]


async def test_status_and_scale_have_managers_of_their_own(client: Client) -> None:
    await apply(client, {**deployment(replicas=1), "status": {"replicas": 9}}, resource=DEPLOYMENTS)
    await client.patch(DEPLOYMENTS, "d", {"status": {"replicas": 1}}, "default", subresource="status")
    scaled = {"spec": {"replicas": 2}}
    await client.patch(DEPLOYMENTS, "d", scaled, "default", subresource="scale", field_manager="scaler")
    obj = await client.get(DEPLOYMENTS, "d", "default")
    assert obj["status"] == {"replicas": 1}
    assert managers(obj) == [("headwater", "Update", "status"), ("me", "Apply", ""), ("scaler", "Update", "scale")]
    assert fields(obj, "scaler") == {"f:spec": {"f:replicas": {}}}
    error = await refused(apply(client, deployment(replicas=1), resource=DEPLOYMENTS))
    assert 'conflict with "scaler" with subresource "scale" using apps/v1 at ' in error.message
    # Without the field the apply gives it up, and the scaler keeps it.
    obj = await apply(client, deployment(), resource=DEPLOYMENTS)
    assert obj["spec"]["replicas"] == 2


async def test_status_and_scale_can_be_applied(client: Client) -> None:
    await apply(client, deployment(replicas=1), resource=DEPLOYMENTS)
    config = {**deployment(replicas=7), "status": {"replicas": 3}}
    obj = await apply(client, config, "reporter", resource=DEPLOYMENTS, subresource="status")
    assert (obj["spec"]["replicas"], obj["status"]) == (1, {"replicas": 3})
    assert ("reporter", "Apply", "status") in managers(obj)
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 4}}
    error = await refused(apply(client, scale, "scaler", resource=DEPLOYMENTS, subresource="scale"))
    assert error.message == 'Apply failed with 1 conflict: conflict with "me": .spec.replicas'
    answer = await apply(client, scale, "scaler", resource=DEPLOYMENTS, subresource="scale", force=True)
    assert (answer["kind"], answer["spec"]) == ("Scale", {"replicas": 4})
    obj = await client.get(DEPLOYMENTS, "d", "default")
    assert obj["spec"]["replicas"] == 4
    assert obj["spec"]["template"]["spec"]["containers"][0]["image"] == "one"


async def test_a_status_comes_with_labels_and_annotations_of_built_in_kinds(client: Client) -> None:
    await apply(client, deployment(), resource=DEPLOYMENTS)
    patch = {"metadata": {"annotations": {"a": "1"}, "finalizers": ["x/y"]}, "spec": {"replicas": 7}}
    obj = await client.patch(
        DEPLOYMENTS, "d", {**patch, "status": {"replicas": 1}}, "default", subresource="status", field_manager="c"
    )
    assert obj["metadata"]["annotations"] == {"a": "1"}
    assert "finalizers" not in obj["metadata"]
    assert obj["spec"]["replicas"] == 1
    assert fields(obj, "c") == {
        "f:metadata": {"f:annotations": {".": {}, "f:a": {}}},
        "f:status": {"f:replicas": {}},
    }


async def test_a_status_is_not_applied_to_what_is_not_there(client: Client) -> None:
    config = {**deployment(), "status": {"replicas": 3}}
    error = await refused(apply(client, config, resource=DEPLOYMENTS, subresource="status"))
    assert error.code == 404


async def test_binding_and_admission_leave_no_mark(client: Client) -> None:
    await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "main", "image": "one"}]},
    }
    made = await apply(client, pod, resource=PODS)
    assert made["spec"]["volumes"]
    entry = {"f:spec": {"f:containers": {'k:{"name":"main"}': {".": {}, "f:image": {}, "f:name": {}}}}}
    assert fields(made, "me") == entry
    again = await apply(client, pod, resource=PODS)
    assert again == made
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": "n"},
    }
    await client.create(PODS, binding, "default", name="p", subresource="binding")
    assert managers(await client.get(PODS, "p", "default")) == [("me", "Apply", "")]


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"apiVersion": "v2"}, 400, "Incorrect version specified in apply patch. Specified patch version: v2"),
        ({"apiVersion": ""}, 400, "set apiVersion: v1 and kind: ConfigMap"),
        ({"kind": "Secret"}, 400, "the kind in the data (Secret) does not match"),
        ({"spec": {}}, 400, "failed to create typed patch object (default/m; v1, Kind=ConfigMap): .spec: field not"),
        ({"metadata": {"name": "m", "managedFields": []}}, 400, "metadata.managedFields must be nil"),
        ({"metadata": {"name": "other"}}, 400, "does not match the name on the URL"),
        ({"metadata": {"name": "m", "uid": "other"}}, 409, "UID in precondition: other"),
        ({"metadata": {"name": "m", "resourceVersion": "1"}}, 409, "the object has been modified"),
        ({"metadata": []}, 400, ""),
        ({"data": []}, 400, ""),
        ({"data": {"a": {"b": 1}}}, 400, "data.a"),
    ],
)
async def test_what_cannot_be_applied_is_refused(client: Client, change: Object, code: int, message: str) -> None:
    await apply(client, config_map(a="1"))
    config = {**config_map(a="1"), **change}
    patch = client.patch(
        CONFIG_MAPS, "m", config, "default", patch_type=PatchType.APPLY, field_manager="me", force=True
    )
    error = await refused(patch)
    assert error.code == code, error
    assert message in error.message


async def test_a_manager_has_a_name_and_only_an_apply_can_be_forced(client: Client) -> None:
    assert managers(await apply(client, config_map(a="1"), "")) == [("headwater", "Apply", "")]
    error = await refused(client.patch(CONFIG_MAPS, "m", {}, "default", force=True))
    assert "force: Forbidden: may not be specified for non-apply patch" in error.message
    error = await refused(apply(client, config_map(), "x" * 129))
    assert "fieldManager: Too long" in error.message
    error = await refused(apply(client, config_map(), "a\nb"))
    assert "should only contain printable characters" in error.message


async def test_custom_resources_are_applied_by_their_schema(client: Client) -> None:
    item = {"type": "object", "properties": {"host": {"type": "string"}, "port": {"type": "integer"}}}
    listed = {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["host"]}
    spec = {
        "type": "object",
        "properties": {
            "size": {"type": "integer", "default": 1},
            "hosts": {**listed, "items": {**item, "required": ["host"]}},
            "names": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    schema = {"type": "object", "properties": {"spec": spec}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "widgets", "kind": "Widget", "listKind": "WidgetList", "singular": "widget"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.org"},
        "spec": {"group": "example.org", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition)

    def widget(**spec: Any) -> Object:
        return {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec}

    first = widget(hosts=[{"host": "a", "port": 1}], names=["x"], free={"deep": {"one": 1}})
    await apply(client, first, "first", resource=WIDGETS)
    second = widget(hosts=[{"host": "b", "port": 2}], names=["y"], free={"deep": {"two": 2}})
    obj = await apply(client, second, "second", resource=WIDGETS)
    assert obj["spec"] == {
        "size": 1,
        "hosts": [{"host": "a", "port": 1}, {"host": "b", "port": 2}],
        "names": ["x", "y"],
        "free": {"deep": {"one": 1, "two": 2}},
    }
    assert fields(obj, "second") == {
        "f:spec": {
            "f:hosts": {'k:{"host":"b"}': {".": {}, "f:host": {}, "f:port": {}}},
            "f:names": {'v:"y"': {}},
            "f:free": {"f:deep": {".": {}, "f:two": {}}},
        }
    }
    obj = await apply(client, widget(), "first", resource=WIDGETS)
    assert obj["spec"] == {**second["spec"], "size": 1}
    error = await refused(apply(client, widget(wrong=1), "first", resource=WIDGETS))
    assert ".spec.wrong: field not declared in schema" in error.message


async def test_many_appliers_at_once_share_an_object(client: Client) -> None:
    async def one(number: int) -> None:
        await apply(client, config_map(**{f"k{number}": "1"}), f"m{number}")

    await asyncio.gather(*(one(number) for number in range(8)))
    obj = await client.get(CONFIG_MAPS, "m", "default")
    assert obj["data"] == {f"k{number}": "1" for number in range(8)}
    assert len(obj["metadata"]["managedFields"]) == 8
