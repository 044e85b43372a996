"""What only the server sees of ownership: permissions, dry run, the clock, who a caller is taken for."""

import pytest
from tests.cluster.apiserver.conftest import HandClock
from tests.kube.client.test_behaviour import config_map, pod

from headwater.cluster.apiserver.answers import WriteOptions
from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.http.requests import write_options
from headwater.cluster.apiserver.ownership import mend
from headwater.cluster.apiserver.users import PLATFORM, User
from headwater.kube.client import PatchType
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.resources import CONFIG_MAPS, PODS, Resource


class MayPatch:
    """Allows everything but creation."""

    def authorize(
        self, user: User, verb: str, resource: Resource, subresource: str | None, namespace: str, name: str
    ) -> str | None:
        return "" if verb == "create" else None


async def test_an_apply_that_makes_an_object_needs_leave_to_create(api: Api) -> None:
    api.authorizer = MayPatch()
    options = WriteOptions(field_manager="me")
    with pytest.raises(StatusError) as raised:
        await api.patch(PLATFORM, CONFIG_MAPS, "default", "a", config_map("a"), PatchType.APPLY, options=options)
    assert raised.value.code == 403
    assert "cannot create resource" in raised.value.message


async def test_an_apply_on_trial_leaves_no_trace(api: Api) -> None:
    options = WriteOptions(field_manager="me", dry_run=True)
    made = await api.patch(PLATFORM, CONFIG_MAPS, "default", "a", config_map("a"), PatchType.APPLY, options=options)
    assert options.created
    assert made.object["metadata"]["managedFields"][0]["manager"] == "me"
    assert api.peek(CONFIG_MAPS, "default", "a") is None


async def test_an_apply_must_name_its_manager(api: Api) -> None:
    with pytest.raises(StatusError) as raised:
        await api.patch(PLATFORM, CONFIG_MAPS, "default", "a", config_map("a"), PatchType.APPLY)
    assert raised.value.code == 422
    said = 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
    assert raised.value.message == said


async def test_an_entry_has_the_time_of_its_last_change(api: Api, clock: HandClock) -> None:
    async def change(data: dict[str, str], manager: str) -> dict[str, str]:
        patch = {"data": data}
        options = WriteOptions(field_manager=manager)
        document = await api.patch(PLATFORM, CONFIG_MAPS, "default", "a", patch, PatchType.MERGE, options=options)
        return {entry["manager"]: entry["time"] for entry in document.object["metadata"]["managedFields"]}

    await api.create(PLATFORM, CONFIG_MAPS, "default", config_map("a"), options=WriteOptions(field_manager="one"))
    clock.advance(seconds=1)
    await change({"b": "1"}, "two")
    clock.advance(seconds=1)
    assert await change({"b": "1"}, "two") == {"one": "2026-01-02T03:04:05Z", "two": "2026-01-02T03:04:06Z"}
    assert await change({"c": "1"}, "two") == {"one": "2026-01-02T03:04:05Z", "two": "2026-01-02T03:04:07Z"}


async def test_what_a_pod_gets_by_default_belongs_to_its_creator_but_not_what_admission_adds(api: Api) -> None:
    await api.create(
        PLATFORM, Resource("", "v1", "ServiceAccount", "serviceaccounts"), "default", {"metadata": {"name": "default"}}
    )
    made = await api.create(PLATFORM, PODS, "default", pod("p"))
    (entry,) = made.object["metadata"]["managedFields"]
    assert "f:restartPolicy" in entry["fieldsV1"]["f:spec"]
    assert "f:volumes" not in entry["fieldsV1"]["f:spec"]
    assert "f:status" not in entry["fieldsV1"]


@pytest.mark.parametrize(
    ("query", "agent", "manager"),
    [
        ({}, "kubectl/v1.32.0 (linux/amd64) kubernetes/abc", "kubectl"),
        ({}, "my\tprogram", "myprogram"),
        ({}, "x" * 200 + "/1", "x" * 128),
        ({"fieldManager": "me"}, "kubectl/v1", "me"),
        ({}, "", "unknown"),
    ],
)
async def test_who_a_caller_is_taken_for(api: Api, query: dict[str, str], agent: str, manager: str) -> None:
    options = write_options(query, agent)
    made = await api.create(PLATFORM, CONFIG_MAPS, "default", config_map("a", a="1"), options=options)
    assert made.object["metadata"]["managedFields"][0]["manager"] == manager


def test_what_admission_spoils_is_put_back() -> None:
    entry = {"manager": "me", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1"}
    entries = [{**entry, "fieldsV1": {"f:data": {}}}]
    for now, kept, warned in [
        (entries, entries, 0),
        ([{**entry, "fieldsV1": {"f:spec": {".": {}}}}], [{**entry, "fieldsV1": {"f:spec": {}}}], 0),
        ([{"manager": "me"}], entries, 1),
        ([{**entry, "fieldsV1": {"nonsense": {}}}], entries, 1),
    ]:
        obj = {"metadata": {"managedFields": now}}
        warnings: list[str] = []
        mend(obj, entries, warnings)
        assert (obj["metadata"]["managedFields"], len(warnings)) == (kept, warned)
