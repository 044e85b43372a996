"""Deletion as a decision on plain data."""

from datetime import UTC, datetime
from typing import Any

import pytest

from headwater.cluster.apiserver.answers import DeleteOptions
from headwater.cluster.apiserver.kinds import builtin_kinds
from headwater.cluster.apiserver.lifecycle import is_finished, plan_deletion
from headwater.cluster.apiserver.registry import Served
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import CONFIG_MAPS, JOBS, NAMESPACES, PODS, Resource

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = "2026-01-02T03:04:35Z"


def served(resource: Resource) -> Served:
    return next(kind for kind in builtin_kinds() if kind.resource == resource)


def obj(*finalizers: str, **metadata: Any) -> Object:
    held = {"finalizers": list(finalizers)} if finalizers else {}
    return {"metadata": {"name": "a", **held, **metadata}}


def running(grace: int | None = None, **status: Any) -> Object:
    spec: Object = {"nodeName": "here"}
    if grace is not None:
        spec["terminationGracePeriodSeconds"] = grace
    return {**obj(generation=1), "spec": spec, "status": {"phase": "Running", **status}}


@pytest.mark.parametrize(
    ("resource", "current", "options", "finalizers"),
    [
        (CONFIG_MAPS, obj(), DeleteOptions(), None),
        (CONFIG_MAPS, obj("x/y"), DeleteOptions(), ["x/y"]),
        (CONFIG_MAPS, obj(), DeleteOptions("Foreground"), ["foregroundDeletion"]),
        (CONFIG_MAPS, obj(), DeleteOptions("Orphan"), ["orphan"]),
        (CONFIG_MAPS, obj("x/y", "orphan"), DeleteOptions("Foreground"), ["x/y", "foregroundDeletion"]),
        (CONFIG_MAPS, obj("orphan"), DeleteOptions("Background"), None),
        (CONFIG_MAPS, obj("foregroundDeletion"), DeleteOptions(), ["foregroundDeletion"]),
        (JOBS, obj(), DeleteOptions(), ["orphan"]),
        (JOBS, obj(), DeleteOptions("Background"), None),
    ],
)
def test_finalizers(resource: Resource, current: Object, options: DeleteOptions, finalizers: list[str] | None) -> None:
    before = repr(current)
    deletion = plan_deletion(served(resource), current, options, NOW)
    assert deletion.remove is (finalizers is None)
    assert deletion.obj["metadata"].get("finalizers") == finalizers
    assert ("deletionTimestamp" in deletion.obj["metadata"]) is not deletion.remove
    assert repr(current) == before, "the current object is left alone"


@pytest.mark.parametrize(
    ("current", "asked", "grace"),
    [
        (running(), None, 30),
        (running(7), None, 7),
        (running(7), 3, 3),
        (running(0), None, None),
        (running(), 0, None),
        (running(phase="Succeeded"), None, None),
        (running(phase="Failed"), 20, None),
        ({**running(), "spec": {}}, None, None),
    ],
)
def test_a_pods_grace(current: Object, asked: int | None, grace: int | None) -> None:
    deletion = plan_deletion(served(PODS), current, DeleteOptions(grace_period_seconds=asked), NOW)
    assert deletion.remove is (grace is None)
    assert deletion.obj["metadata"].get("deletionGracePeriodSeconds") == grace
    if grace == 30:
        assert deletion.obj["metadata"]["deletionTimestamp"] == LATER
        assert deletion.obj["metadata"]["generation"] == 2


def test_a_second_delete_only_shortens() -> None:
    first = plan_deletion(served(PODS), running(), DeleteOptions(grace_period_seconds=20), NOW).obj
    longer = plan_deletion(served(PODS), first, DeleteOptions(grace_period_seconds=25), NOW)
    assert not longer.changed
    shorter = plan_deletion(served(PODS), first, DeleteOptions(grace_period_seconds=5), NOW)
    assert shorter.obj["metadata"]["deletionGracePeriodSeconds"] == 5
    assert shorter.obj["metadata"]["generation"] == 2
    assert plan_deletion(served(PODS), first, DeleteOptions(grace_period_seconds=0), NOW).remove


def test_a_namespace_waits_for_its_own_finalizers() -> None:
    namespace = {**obj(), "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    deletion = plan_deletion(served(NAMESPACES), namespace, DeleteOptions(), NOW)
    assert not deletion.remove
    assert deletion.obj["status"]["phase"] == "Terminating"
    assert not is_finished(served(NAMESPACES), deletion.obj)
    assert is_finished(served(NAMESPACES), {**deletion.obj, "spec": {}})


@pytest.mark.parametrize(
    ("current", "finished"),
    [
        (obj(), False),
        (obj(deletionTimestamp=LATER), True),
        (obj(deletionTimestamp=LATER, deletionGracePeriodSeconds=0), True),
        (obj(deletionTimestamp=LATER, deletionGracePeriodSeconds=30), False),
        (obj("x/y", deletionTimestamp=LATER), False),
    ],
)
def test_what_is_finished(current: Object, finished: bool) -> None:
    assert is_finished(served(PODS), current) is finished


@pytest.mark.parametrize("options", [DeleteOptions("Sideways"), DeleteOptions(grace_period_seconds=-1)])
def test_nonsense_is_a_bad_request(options: DeleteOptions) -> None:
    with pytest.raises(StatusError) as raised:
        plan_deletion(served(PODS), running(), options, NOW)
    assert raised.value.code == 400
