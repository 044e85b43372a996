from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.kube.meta.resources import CUSTOM_RESOURCE_DEFINITIONS
from headwater.kube.schema.builtin import builtin
from headwater.kube.schema.defaults import default_object
from headwater.kube.schema.rules import validate_create
from headwater.kube.schema.typed import (
    Column,
    LoadError,
    Metadata,
    crd,
    dump,
    free_form,
    kind,
    load,
    resource_of,
    rule,
    schema_of,
)
from headwater.kube.schema.validate import check


class State(StrEnum):
    IDLE = "Idle"
    BUSY = "Busy"


@dataclass(frozen=True)
class Part:
    """One part of a widget."""

    name: str
    weight: float = 0.0


@dataclass(frozen=True)
class WidgetSpec:
    """What is wanted."""

    size: Annotated[int, rule(minimum=1, default=3)]
    """How large it is,
    in centimetres.

    More is heavier."""
    run_id: Annotated[str, rule(wire="runID", pattern="^[a-z]*$")] = ""
    parts: Annotated[tuple[Part, ...], rule(list_keys=["name"])] = ()
    tags: list[str] = field(default_factory=list)
    by_name: dict[str, Part] = field(default_factory=dict)
    mode: Literal["fast", "slow"] = "fast"
    port: int | str | None = None
    anything: dict[str, Any] = field(default_factory=dict)
    free: Annotated[dict[str, str], free_form()] = field(default_factory=dict)
    suspend: bool = False


@dataclass(frozen=True)
class WidgetStatus:
    state: State = State.IDLE
    ready: int = 0
    started: datetime | None = None


@kind(
    group="example.dev",
    version="v1",
    plural="widgets",
    short_names=["wi"],
    categories=["all"],
    columns=[Column("State", "string", ".status.state"), Column("Size", "integer", ".spec.size", wide=True)],
)
@dataclass(frozen=True)
class Widget:
    """A thing of some size."""

    spec: WidgetSpec
    status: WidgetStatus = WidgetStatus()
    metadata: Metadata = field(default_factory=Metadata)


def test_the_crd_is_one_that_the_api_server_takes() -> None:
    made = crd(Widget)
    schema = builtin().schema_of("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    verdict = check(schema, made)
    assert verdict.causes == []
    assert verdict.unknown == []
    complete = default_object("apiextensions.k8s.io", "CustomResourceDefinition", made)
    assert validate_create(CUSTOM_RESOURCE_DEFINITIONS, complete) == []


def test_names_columns_and_subresources() -> None:
    made = crd(Widget)
    assert made["metadata"]["name"] == "widgets.example.dev"
    assert made["spec"]["names"]["shortNames"] == ["wi"]
    version = made["spec"]["versions"][0]
    assert version["subresources"] == {"status": {}}
    assert [column["name"] for column in version["additionalPrinterColumns"]] == ["State", "Size", "Age"]
    assert resource_of(Widget).group_resource == "widgets.example.dev"
    assert resource_of(Widget).subresources == {"status"}


def test_types_become_schemas() -> None:
    root = crd(Widget)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert root["required"] == ["spec"]
    assert root["properties"]["metadata"] == {"type": "object"}
    properties = root["properties"]["spec"]["properties"]
    assert properties["size"] == {
        "type": "integer",
        "format": "int64",
        "minimum": 1,
        "default": 3,
        "description": "How large it is, in centimetres.\n\nMore is heavier.",
    }
    assert properties["runID"]["pattern"] == "^[a-z]*$"
    assert properties["mode"] == {"type": "string", "enum": ["fast", "slow"]}
    assert properties["port"]["x-kubernetes-int-or-string"]
    assert properties["parts"]["x-kubernetes-list-map-keys"] == ["name"]
    assert properties["parts"]["items"]["required"] == ["name"]
    assert properties["parts"]["items"]["description"] == "One part of a widget."
    assert properties["byName"]["additionalProperties"]["type"] == "object"
    assert properties["anything"]["x-kubernetes-preserve-unknown-fields"]
    assert properties["free"]["x-kubernetes-preserve-unknown-fields"]
    assert "additionalProperties" not in properties["free"]
    assert "required" not in root["properties"]["spec"]
    assert root["properties"]["status"]["properties"]["state"]["enum"] == ["Idle", "Busy"]


def test_loading_is_tolerant_of_more_and_of_null() -> None:
    widget = load(
        Widget,
        {
            "metadata": {"name": "w", "creationTimestamp": "2026-01-02T03:04:05Z", "managedFields": []},
            "spec": {"size": 2, "parts": [{"name": "a", "colour": "red"}], "mode": None, "port": "http"},
            "status": {"state": "Busy", "started": "2026-01-02T03:04:05+00:00"},
        },
    )
    assert widget.spec.parts == (Part("a"),)
    assert widget.spec.mode == "fast"
    assert widget.spec.port == "http"
    assert widget.status.state is State.BUSY
    assert widget.status.started == widget.metadata.creation_timestamp == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert load(Widget, {"spec": {}}).spec.size == 3


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ({}, "spec is missing"),
        ({"spec": []}, "spec must be an object, not a list"),
        ({"spec": {"size": "x"}}, "spec.size must be a whole number, not a string"),
        ({"spec": {"size": True}}, "spec.size must be a whole number, not a boolean"),
        ({"spec": {"suspend": 1}}, "spec.suspend must be true or false, not a number"),
        ({"spec": {"parts": [{}]}}, r"spec.parts\[0\].name is missing"),
        ({"spec": {"parts": {}}}, "spec.parts must be a list"),
        ({"spec": {"byName": []}}, "spec.byName must be an object"),
        ({"spec": {"parts": [{"name": "a", "weight": "1"}]}}, "weight must be a number"),
        ({"spec": {}, "status": {"state": "Gone"}}, "status.state must be one of Idle, Busy, not 'Gone'"),
        ({"spec": {}, "status": {"started": "noon"}}, "status.started must be an RFC 3339 time"),
    ],
)
def test_what_does_not_load_says_where(obj: dict, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        load(Widget, obj)


def test_dumping_leaves_out_what_is_not_there() -> None:
    widget = Widget(WidgetSpec(size=1, tags=["a"]), WidgetStatus(State.BUSY), Metadata(name="w"))
    assert dump(widget) == {
        "apiVersion": "example.dev/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "generation": 0},
        "spec": {"size": 1, "tags": ["a"], "mode": "fast", "suspend": False},
        "status": {"state": "Busy", "ready": 0},
    }


PARTS = st.builds(Part, name=st.text(max_size=3), weight=st.floats(allow_nan=False))
SPECS = st.builds(
    WidgetSpec,
    size=st.integers(1, 9),
    run_id=st.sampled_from(["", "abc"]),
    parts=st.lists(PARTS, max_size=2, unique_by=lambda part: part.name).map(tuple),
    tags=st.lists(st.text(max_size=2), max_size=2),
    by_name=st.dictionaries(st.text(max_size=2), PARTS, max_size=2),
    mode=st.sampled_from(["fast", "slow"]),
    port=st.none() | st.integers(1, 9) | st.just("http"),
    anything=st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    suspend=st.booleans(),
)


@given(SPECS)
def test_what_is_dumped_loads_again_and_fits_the_schema(spec: WidgetSpec) -> None:
    assert load(WidgetSpec, dump(spec)) == spec
    schema = crd(Widget)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    verdict = check(schema, {"spec": dump(spec)})
    assert verdict.causes == []
    assert verdict.unknown == []


def test_what_has_no_schema_is_said() -> None:
    @dataclass
    class Odd:
        both: int | bytes

    @dataclass
    class Other:
        raw: bytes

    with pytest.raises(TypeError, match=r"Odd\.both: .*no structural schema"):
        schema_of(Odd)
    with pytest.raises(TypeError, match=r"Other\.raw: .*has no schema"):
        schema_of(Other)
    with pytest.raises(TypeError, match="not declared to be a kind"):
        crd(Odd)
    with pytest.raises(TypeError, match="no wire form"):
        load(Other, {"raw": "x"})


@dataclass(frozen=True)
class Tree:
    children: "tuple[Tree, ...]" = ()


def test_a_class_may_contain_itself_on_the_wire_but_not_in_a_schema() -> None:
    assert load(Tree, {"children": [{"children": []}]}) == Tree((Tree(),))
    with pytest.raises(TypeError, match="contains itself"):
        schema_of(Tree)
