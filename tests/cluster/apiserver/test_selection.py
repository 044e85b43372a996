"""Selectors, pages and what a watcher sees, on plain data."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.cluster.apiserver.kinds import EVENTS_V1, builtin_kinds
from headwater.cluster.apiserver.registry import Served
from headwater.cluster.apiserver.selection import Selection, read_continue, read_revision, write_continue
from headwater.cluster.store.buckets import Change
from headwater.cluster.store.documents import Document
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import CONFIG_MAPS, EVENTS, JOBS, NODES, PODS, Resource


def served(resource: Resource) -> Served:
    return next(kind for kind in builtin_kinds() if kind.resource == resource)


@pytest.mark.parametrize(
    ("resource", "selector", "obj", "selected"),
    [
        (PODS, "spec.nodeName=", {"spec": {}}, True),
        (PODS, "spec.nodeName=here", {"spec": {"nodeName": "here"}}, True),
        (PODS, "spec.hostNetwork=false", {"spec": {}}, True),
        (PODS, "status.phase!=Failed", {"status": {"phase": "Running"}}, True),
        (PODS, "metadata.namespace=b", {"metadata": {"namespace": "a"}}, False),
        (NODES, "spec.unschedulable=true", {"spec": {"unschedulable": True}}, True),
        (JOBS, "status.successful=0", {"status": {}}, True),
        (JOBS, "status.successful=2", {"status": {"succeeded": 2}}, True),
        (EVENTS, "source=kubelet", {"reportingComponent": "kubelet"}, True),
        (EVENTS, "source=kubelet", {"source": {"component": "kubelet"}}, True),
        (EVENTS, "involvedObject.name=a,type=Warning", {"involvedObject": {"name": "a"}, "type": "Normal"}, False),
    ],
)
def test_field_selectors(resource: Resource, selector: str, obj: Object, selected: bool) -> None:
    selection = Selection.parse(served(resource), "", selector)
    assert selection.matches(Document.of(obj)) is selected


@pytest.mark.parametrize("resource", [CONFIG_MAPS, EVENTS_V1])
def test_a_field_that_the_kind_does_not_offer(resource: Resource) -> None:
    with pytest.raises(StatusError, match=r'field label not supported: "spec\.nodeName"'):
        Selection.parse(served(resource), "", "spec.nodeName=x")


def document(revision: int, **labels: str) -> Document:
    return Document.of({"metadata": {"name": "a", "resourceVersion": str(revision), "labels": labels}}, revision)


@pytest.mark.parametrize(
    ("before", "after", "seen"),
    [
        (None, {"x": "1"}, "ADDED"),
        (None, {"x": "2"}, None),
        ({"x": "1"}, {"x": "1", "y": "1"}, "MODIFIED"),
        ({"x": "2"}, {"x": "1"}, "ADDED"),
        ({"x": "1"}, {"x": "2"}, "DELETED"),
        ({"x": "2"}, {"x": "3"}, None),
        ({"x": "1"}, None, "DELETED"),
        ({"x": "2"}, None, None),
    ],
)
def test_what_a_watcher_sees(before: dict[str, str] | None, after: dict[str, str] | None, seen: str | None) -> None:
    previous = document(1, **before) if before is not None else None
    current = document(2, **(after if after is not None else before or {}))
    change = Change(2, "configmaps", "default/a", current, previous, after is None)
    item = Selection.parse(served(CONFIG_MAPS), "x=1", "").see(change)
    assert (item.type if item else None) == seen
    if item is not None:
        assert item.document.object["metadata"]["resourceVersion"] == "2"
        assert item.document.labels.get("x") == "1"


@given(st.integers(min_value=1), st.text(min_size=1))
def test_a_continue_token_carries_its_place(revision: int, name: str) -> None:
    revision = revision % (1 << 62) + 1
    assert read_continue(write_continue(revision, name)) == (revision, name)


@given(st.text(max_size=40))
def test_a_made_up_token_is_a_bad_request(token: str) -> None:
    with pytest.raises(StatusError) as raised:
        read_continue(token)
    assert raised.value.code == 400


@pytest.mark.parametrize("text", ["", "-1", "abc", "1.5", "٣", " 1"])
def test_a_revision_is_a_number(text: str) -> None:
    with pytest.raises(StatusError):
        read_revision(text)


def test_the_one_name_that_can_be_selected() -> None:
    def name(selector: str) -> Any:
        return Selection.parse(served(PODS), "", selector).name

    assert name("metadata.name=a,status.phase=Running") == "a"
    assert name("metadata.name!=a") == ""
