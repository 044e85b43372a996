import pytest
from tests.kube.controller.clocks import ManualClock

from headwater.kube.controller import EventRecorder
from headwater.kube.meta.resources import EVENTS

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "default", "uid": "u", "resourceVersion": "7"},
}
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "uid": "n"}}


@pytest.fixture
async def recorder(client):
    recorder = EventRecorder(client, "tester", clock=ManualClock())
    yield recorder
    await recorder.close()


async def test_says_what_happened_to_what(client, recorder):
    recorder.event(POD, "Warning", "Broken", "it broke", field_path="spec.containers{main}")
    await recorder.flush()
    (event,) = (await client.list(EVENTS, "default")).items
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": "p",
        "namespace": "default",
        "uid": "u",
        "resourceVersion": "7",
        "fieldPath": "spec.containers{main}",
    }
    assert (event["type"], event["reason"], event["message"], event["count"]) == ("Warning", "Broken", "it broke", 1)
    assert event["source"] == {"component": "tester"}


async def test_the_same_again_is_counted_also_after_a_restart(client, recorder):
    for _ in range(3):
        recorder.event(POD, "Normal", "Again", "and again")
    await recorder.flush()
    recorder.event(POD, "Normal", "Again", "and again")
    await recorder.flush()
    later = EventRecorder(client, "tester")
    later.event(POD, "Normal", "Again", "and again")
    await later.close()
    (event,) = (await client.list(EVENTS, "default")).items
    assert event["count"] == 5


async def test_an_event_that_was_deleted_begins_anew(client, recorder):
    recorder.event(POD, "Normal", "Again", "and again")
    await recorder.flush()
    await client.delete_collection(EVENTS, "default")
    recorder.event(POD, "Normal", "Again", "and again")
    await recorder.flush()
    (event,) = (await client.list(EVENTS, "default")).items
    assert event["count"] == 1


async def test_several_components_write_through_one_recorder(client, recorder):
    recorder.named("other").event(POD, "Normal", "Same", "words")
    recorder.event(POD, "Normal", "Same", "words")
    await recorder.flush()
    events = (await client.list(EVENTS, "default")).items
    assert {event["reportingComponent"] for event in events} == {"tester", "other"}


async def test_a_cluster_wide_object_speaks_in_default(client, recorder):
    recorder.event(NODE, "Normal", "Started", "up")
    await recorder.flush()
    assert [event["involvedObject"]["name"] for event in (await client.list(EVENTS, "default")).items] == ["n"]


async def test_what_cannot_be_written_is_lost_quietly(client, recorder):
    recorder.event({**POD, "metadata": {**POD["metadata"], "namespace": "nowhere"}}, "Normal", "Lost", "never mind")
    recorder.event(POD, "Normal", "Kept", "fine")
    await recorder.flush()
    assert [event["reason"] for event in (await client.list(EVENTS)).items] == ["Kept"]
