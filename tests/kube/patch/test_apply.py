"""Ownership and apply, told on a Deployment and on custom resources, and by properties."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.kube.patch.apply import ApplyConflict, Writer, apply, empty_object, entries_before, shape_of, track
from headwater.kube.patch.apply_entries import MOST_UPDATERS, capped
from headwater.kube.patch.errors import PatchError
from headwater.kube.schema.builtin import OBJECT_META, builtin

SCHEMA = builtin().schema_of("apps", "v1", "Deployment")
DEPLOYMENT = shape_of(SCHEMA)
EMPTY = empty_object(SCHEMA)
MAPS = shape_of(builtin().schema_of("", "v1", "ConfigMap"))
FREE = shape_of(
    {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    shape_of(builtin().definition(OBJECT_META)),
)


NO_KEY = (
    ".spec.template.spec.containers: element 0: associative list with keys has an element that omits key field "
    '"name" (and doesn\'t have default value)'
)


def by(manager: str, second: int = 0, subresource: str = "", version: str = "apps/v1") -> Writer:
    return Writer(manager, version, f"2026-01-02T03:04:{second:02}Z", subresource)


def deployment(image: str = "one", **spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": image, "ports": [{"containerPort": 80}]}]
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": containers}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x", "labels": {"app": "x"}},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template, **spec},
    }


def config_map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data}


def owners(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {entry["manager"]: entry["fieldsV1"] for entry in entries}


def on_map(
    live: dict[str, Any], config: dict[str, Any], entries: list[Any], manager: str, *, force: bool = False
) -> tuple[dict[str, Any], list[Any]]:
    return apply(MAPS, live, config, entries, by(manager, version="v1"), empty={}, force=force)


# --- updates -------------------------------------------------------------------------------------------------------


def test_a_creator_owns_what_he_set_as_upstream_writes_it() -> None:
    entries = track(DEPLOYMENT, EMPTY, deployment(replicas=2), [], by("kubectl-create"))
    container = {
        ".": {},
        "f:image": {},
        "f:name": {},
        "f:ports": {".": {}, 'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
    }
    assert entries == [
        {
            "manager": "kubectl-create",
            "operation": "Update",
            "apiVersion": "apps/v1",
            "time": "2026-01-02T03:04:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {
                    "f:replicas": {},
                    "f:selector": {},
                    "f:template": {
                        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                        "f:spec": {"f:containers": {'k:{"name":"main"}': container}},
                    },
                },
            },
        }
    ]


def test_an_update_takes_over_what_it_changes_and_nothing_else() -> None:
    first = track(MAPS, {}, config_map(a="1", b="1"), [], by("one", 1, version="v1"))
    then = track(MAPS, config_map(a="1", b="1"), config_map(a="2", b="1"), first, by("two", 2, version="v1"))
    assert owners(then) == {"one": {"f:data": {".": {}, "f:b": {}}}, "two": {"f:data": {"f:a": {}}}}


def test_nobody_owns_what_was_removed_and_an_empty_entry_goes() -> None:
    first = track(MAPS, {}, config_map(a="1"), [], by("one", 1, version="v1"))
    then = track(MAPS, config_map(a="1"), config_map(a="1", b="1"), first, by("two", 2, version="v1"))
    last = track(MAPS, config_map(a="1", b="1"), config_map(a="1"), then, by("three", 3, version="v1"))
    assert owners(last) == {"one": {"f:data": {".": {}, "f:a": {}}}}


def test_an_update_that_changes_nothing_leaves_the_entries_as_they_are() -> None:
    entries = track(MAPS, {}, config_map(a="1"), [], by("one", 1))
    assert track(MAPS, config_map(a="1"), config_map(a="1"), entries, by("two", 2)) is entries


def test_what_the_server_writes_belongs_to_nobody() -> None:
    old, new = config_map(a="1"), config_map(a="1")
    new["metadata"] |= {"uid": "u", "resourceVersion": "7", "generation": 2, "managedFields": []}
    assert track(MAPS, old, new, [], by("one")) == []


def test_the_status_has_a_manager_of_its_own() -> None:
    entries = track(DEPLOYMENT, EMPTY, deployment(), [], by("one"))
    new = {**deployment(), "status": {"replicas": 1}}
    then = track(DEPLOYMENT, deployment(), new, entries, by("one", 1, "status"))
    assert [(entry["manager"], entry.get("subresource")) for entry in then] == [("one", None), ("one", "status")]
    assert then[1]["fieldsV1"] == {"f:status": {".": {}, "f:replicas": {}}}


def test_the_oldest_updates_are_put_together() -> None:
    entries: list[Any] = []
    for number in range(MOST_UPDATERS + 3):
        old = {"data": {f"k{each}": "v" for each in range(number)}}
        new = {"data": {f"k{each}": "v" for each in range(number + 1)}}
        entries = track(MAPS, old, new, entries, by(f"m{number:02}", number, version="v1"))
    assert len(entries) == MOST_UPDATERS
    assert entries[0]["manager"] == "ancient-changes"
    assert {"f:k0", "f:k1", "f:k2", "f:k3"} <= entries[0]["fieldsV1"]["f:data"].keys()
    assert entries[0]["time"] == "2026-01-02T03:04:03Z"
    assert capped(entries) is entries


# --- apply ---------------------------------------------------------------------------------------------------------


def test_the_first_apply_creates_and_owns_what_it_says() -> None:
    obj, entries = apply(DEPLOYMENT, EMPTY, deployment(), [], by("me"), empty=EMPTY)
    assert obj["spec"]["template"] == deployment()["spec"]["template"]
    assert [entry["operation"] for entry in entries] == ["Apply"]
    assert entries[0]["fieldsV1"]["f:metadata"] == {"f:labels": {"f:app": {}}}


def test_a_field_said_no_more_is_removed_only_if_nobody_else_owns_it() -> None:
    obj, entries = on_map({}, config_map(a="1", b="1", c="1"), [], "one")
    obj, entries = on_map(obj, config_map(a="1"), entries, "two")
    obj, entries = on_map(obj, config_map(c="1"), entries, "one")
    assert obj["data"] == {"a": "1", "c": "1"}
    assert owners(entries) == {"one": {"f:data": {"f:c": {}}}, "two": {"f:data": {"f:a": {}}}}


def test_an_apply_removes_nothing_that_an_update_put_there() -> None:
    obj, entries = on_map({}, config_map(a="1"), [], "one")
    new = {**obj, "data": {"a": "1", "z": "1"}}
    entries = track(MAPS, obj, new, entries, by("editor", version="v1"))
    obj, entries = on_map(new, config_map(b="1"), entries, "one")
    assert obj["data"] == {"z": "1", "b": "1"}


def test_the_last_field_of_a_structure_takes_the_structure_with_it() -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
    obj, entries = apply(DEPLOYMENT, EMPTY, deployment(strategy=strategy), [], by("me"), empty=EMPTY)
    obj, _ = apply(DEPLOYMENT, obj, deployment(), entries, by("me"), empty=EMPTY)
    assert "strategy" not in obj["spec"]


def test_a_list_item_goes_with_what_nobody_owns_in_it() -> None:
    two = deployment()
    two["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "two"})
    obj, entries = apply(DEPLOYMENT, EMPTY, two, [], by("me"), empty=EMPTY)
    obj["spec"]["template"]["spec"]["containers"][1]["imagePullPolicy"] = "Always"
    obj, entries = apply(DEPLOYMENT, obj, deployment(), entries, by("me"), empty=EMPTY)
    assert [each["name"] for each in obj["spec"]["template"]["spec"]["containers"]] == ["main"]


def test_a_list_item_stays_as_far_as_somebody_else_owns_it() -> None:
    obj, entries = apply(DEPLOYMENT, EMPTY, deployment(), [], by("me"), empty=EMPTY)
    other = deployment()
    del other["spec"]["selector"]
    container = {"name": "side", "image": "two", "env": [{"name": "A", "value": "1"}]}
    other["spec"]["template"]["spec"]["containers"] = [container]
    obj, entries = apply(DEPLOYMENT, obj, other, entries, by("other"), empty=EMPTY)
    mine = deployment()
    mine["spec"]["template"]["spec"]["containers"].append({"name": "side", "workingDir": "/"})
    obj, entries = apply(DEPLOYMENT, obj, mine, entries, by("me"), empty=EMPTY)
    obj, entries = apply(DEPLOYMENT, obj, deployment(), entries, by("me"), empty=EMPTY)
    assert obj["spec"]["template"]["spec"]["containers"][1] == container


def test_a_conflict_names_manager_and_field() -> None:
    obj, entries = apply(DEPLOYMENT, EMPTY, deployment(), [], by("first"), empty=EMPTY)
    with pytest.raises(ApplyConflict) as raised:
        apply(DEPLOYMENT, obj, deployment("two"), entries, by("second"), empty=EMPTY)
    field = '.spec.template.spec.containers[name="main"].image'
    assert str(raised.value) == f'Apply failed with 1 conflict: conflict with "first": {field}'
    assert [(each.owner, each.field) for each in raised.value.conflicts] == [('"first"', field)]


def test_conflicts_with_an_update_say_version_and_time() -> None:
    entries = track(DEPLOYMENT, EMPTY, deployment(replicas=1), [], by("kubectl-scale", 9, "scale"))
    with pytest.raises(ApplyConflict) as raised:
        apply(DEPLOYMENT, deployment(replicas=1), deployment("two", replicas=3), entries, by("me"), empty=EMPTY)
    assert str(raised.value) == (
        "Apply failed with 2 conflicts: conflicts with"
        ' "kubectl-scale" with subresource "scale" using apps/v1 at 2026-01-02T03:04:09Z:\n'
        '- .spec.replicas\n- .spec.template.spec.containers[name="main"].image'
    )


def test_the_same_value_is_shared_and_force_takes_over() -> None:
    obj, entries = on_map({}, config_map(a="1"), [], "one")
    obj, entries = on_map(obj, config_map(a="1"), entries, "two")
    assert owners(entries) == {"one": {"f:data": {"f:a": {}}}, "two": {"f:data": {"f:a": {}}}}
    with pytest.raises(ApplyConflict):
        on_map(obj, config_map(a="2"), entries, "three")
    obj, entries = on_map(obj, config_map(a="2"), entries, "three", force=True)
    assert obj["data"] == {"a": "2"}
    assert owners(entries) == {"three": {"f:data": {"f:a": {}}}}


def test_what_was_there_before_the_first_apply_conflicts() -> None:
    with pytest.raises(ApplyConflict) as raised:
        on_map(config_map(a="1"), config_map(a="2"), [], "me")
    assert raised.value.conflicts[0].entry["manager"] == "before-first-apply"


def test_kubectl_takes_over_what_it_applied_on_the_clients_side() -> None:
    said = json.dumps(config_map(a="1"))
    live = config_map(a="1", b="edited")
    live["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": said}
    entries = track(MAPS, {}, live, [], by("kubectl-client-side-apply", version="v1"))
    obj, after = on_map(live, config_map(a="2"), entries, "kubectl")
    assert obj["data"] == {"a": "2", "b": "edited"}
    kept = obj["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    assert json.loads(kept) == config_map(a="2")
    assert owners(after)["kubectl"] == {"f:data": {"f:a": {}}}
    with pytest.raises(ApplyConflict):
        on_map(live, config_map(a="2", b="mine"), entries, "kubectl")
    with pytest.raises(ApplyConflict):
        on_map(live, config_map(a="2"), entries, "another")


def test_applying_the_same_again_changes_nothing_not_even_the_time() -> None:
    obj, entries = apply(DEPLOYMENT, EMPTY, deployment(), [], by("me", 1), empty=EMPTY)
    again, after = apply(DEPLOYMENT, obj, deployment(), entries, by("me", 2), empty=EMPTY)
    assert (again, after) == (obj, entries)


def test_an_applied_list_keeps_its_order_and_leaves_others_their_place() -> None:
    def env(*names: str) -> dict[str, Any]:
        obj = deployment()
        obj["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": name, "value": "1"} for name in names]
        return obj

    def names(obj: dict[str, Any]) -> str:
        return "".join(each["name"] for each in obj["spec"]["template"]["spec"]["containers"][0]["env"])

    for live, config, wanted in [
        ("abc", "cx", "abcx"),
        ("ab", "ba", "ba"),
        ("a", "b", "ab"),
        ("xaybz", "ba", "xybza"),
        ("abc", "dabce", "dabce"),
        ("xab", "dab", "xdab"),
    ]:
        obj, _ = apply(DEPLOYMENT, env(*live), env(*config), [], by("me"), empty=EMPTY, force=True)
        assert names(obj) == wanted, (live, config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"foo": 1}, ".spec.foo: field not declared in schema"),
        (
            {"template": {"spec": {"containers": [{"name": "a", "foo": 1}]}}},
            '.spec.template.spec.containers[name="a"].foo: field not declared in schema',
        ),
        (
            {"template": {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}},
            '.spec.template.spec.containers: duplicate entries for key [name="a"]',
        ),
        (
            {"template": {"spec": {"containers": [{"image": "a"}]}}},
            NO_KEY,
        ),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_with_its_place(change: dict[str, Any], message: str) -> None:
    config = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": change}
    with pytest.raises(PatchError) as raised:
        apply(DEPLOYMENT, EMPTY, config, [], by("me"), empty=EMPTY)
    assert str(raised.value) == message


def test_a_number_that_no_json_can_hold_is_refused_where_items_are_told_apart_by_value() -> None:
    config = {"metadata": {"finalizers": [2**70]}}
    with pytest.raises(PatchError, match=r"\.metadata\.finalizers: element 0"):
        apply(MAPS, {}, config, [], by("me"), empty={})
    assert track(MAPS, {}, config, [], by("me"))[0]["fieldsV1"] == {"f:metadata": {"f:finalizers": {}}}


def test_what_no_schema_describes_merges_by_field_and_keeps_lists_whole() -> None:
    config = {"metadata": {"name": "x", "labels": {"a": "b"}}, "spec": {"deep": {"list": [{"name": "a"}], "n": 1}}}
    obj, entries = apply(FREE, {}, config, [], by("me"), empty={})
    assert entries[0]["fieldsV1"] == {
        "f:metadata": {"f:labels": {"f:a": {}}},
        "f:spec": {".": {}, "f:deep": {".": {}, "f:list": {}, "f:n": {}}},
    }
    obj, _ = apply(FREE, obj, {"metadata": {"name": "x"}, "spec": {"deep": {"n": 2}}}, entries, by("me"), empty={})
    assert obj["spec"] == {"deep": {"n": 2}}


def test_entries_come_from_the_sent_object_unless_it_has_none_or_nonsense() -> None:
    live = track(MAPS, {}, config_map(a="1"), [], by("one", version="v1"))
    mine = [{**live[0], "manager": "other", "fieldsV1": {"f:data": {"f:a": {}}}}]
    assert entries_before(live, mine) == mine
    assert entries_before(live, mine, subresource="status") == live
    assert entries_before(live, None) == entries_before(live, []) == live
    assert entries_before(live, [{"manager": "x"}]) == live
    assert entries_before(live, [{**live[0], "fieldsV1": {"x": {}}}]) == live
    assert entries_before(live, [{}]) == []


# --- properties ----------------------------------------------------------------------------------------------------

data = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"), max_size=4)
steps = st.lists(st.tuples(st.sampled_from(["one", "two", "editor"]), data), max_size=6)


def owned_by(entries: list[Any], manager: str) -> set[str]:
    fields: dict[str, Any] = owners(entries).get(manager, {})
    return {step[2:] for step in fields.get("f:data", {}) if step != "."}


@given(steps)
@settings(max_examples=200, deadline=None)
def test_an_apply_sets_what_it_says_and_removes_only_what_its_manager_alone_owned(story: list[Any]) -> None:
    obj: dict[str, Any] = {}
    entries: list[Any] = []
    for manager, values in story:
        before, had = dict(obj.get("data") or {}), entries
        if manager == "editor":
            new = {"data": {**before, **values}}
            entries = track(MAPS, obj, new, entries, by("editor", version="v1"))
            obj = new
        else:
            config = {"data": values} if values else {}
            empty = {} if obj else obj
            obj, entries = apply(MAPS, obj, config, entries, by(manager, version="v1"), empty=empty, force=True)
            after = obj.get("data") or {}
            assert owned_by(entries, manager) == values.keys()
            assert {key: after.get(key) for key in values} == values
            others = set().union(*(owned_by(had, other) for other in owners(had) if other != manager))
            gone = (owned_by(had, manager) - values.keys()) - others
            assert after == {key: value for key, value in {**before, **values}.items() if key not in gone}
        for entry in entries:
            assert owned_by(entries, entry["manager"]) <= (obj.get("data") or {}).keys()


@given(data, data)
@settings(max_examples=200, deadline=None)
def test_applying_twice_is_applying_once(live: dict[str, str], config: dict[str, str]) -> None:
    start = {"data": live} if live else {}
    wanted = {"data": config} if config else {}
    once, entries = on_map(start, wanted, [], "me", force=True)
    twice, after = on_map(once, wanted, entries, "me")
    assert (twice, after) == (once, entries)
