"""The informer's rules about lists, watches and lost history, on a script instead of a server.

That it works with the real API is what the controllers' own tests show.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.kube.controller.clocks import ManualClock, settle

from headwater.kube.client import ObjectList, WatchEvent
from headwater.kube.controller import Informer, Informers
from headwater.kube.meta.errors import StatusError, expired, unavailable
from headwater.kube.meta.objects import Object, name_of, version_of
from headwater.kube.meta.resources import CONFIG_MAPS
from headwater.kube.meta.selectors import LabelSelector


def thing(name: str, version: int, namespace: str = "ns", **metadata: Any) -> Object:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": str(version), **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"v": str(version)}}


class Script:
    """Answers lists and watches from queues that the test fills."""

    def __init__(self, *lists: ObjectList | StatusError) -> None:
        self.lists = [*lists]
        self.events: asyncio.Queue[WatchEvent | StatusError | None] = asyncio.Queue()
        self.watched_from: list[str] = []
        self.pages: list[str] = []

    async def list(self, resource: Any, namespace: Any = None, *, continue_token: str = "", **_: Any) -> ObjectList:
        self.pages.append(continue_token)
        answer = self.lists.pop(0)
        if isinstance(answer, StatusError):
            raise answer
        return answer

    async def watch(self, resource: Any, *, resource_version: str = "", **_: Any) -> AsyncIterator[WatchEvent]:
        self.watched_from.append(resource_version)
        while True:
            event = await self.events.get()
            if event is None:
                return
            if isinstance(event, StatusError):
                raise event
            yield event

    def say(self, kind: Any, obj: Object) -> None:
        self.events.put_nowait(WatchEvent(kind, obj))


@pytest.fixture
async def follow():
    started: list[Informer] = []
    clock = ManualClock()

    async def begin(script: Script, **options: Any) -> tuple[Informer, list[tuple[str, str]], ManualClock]:
        informer = Informer(script, CONFIG_MAPS, clock=clock, rng=random.Random(1), **options)  # type: ignore[arg-type]
        changes: list[tuple[str, str]] = []

        def changed(old: Object | None, new: Object | None) -> None:
            kind = "added" if old is None else "removed" if new is None else "changed"
            changes.append((kind, f"{name_of(new or old or {})}@{version_of(new or old or {})}"))

        informer.add_handler(changed)
        informer.start()
        started.append(informer)
        await settle()
        return informer, changes, clock

    yield begin
    for informer in started:
        await informer.stop()


async def test_lists_then_watches_from_there(follow):
    script = Script(ObjectList([thing("a", 1)], "5"))
    informer, changes, _ = await follow(script)
    assert informer.synced
    script.say("ADDED", thing("b", 6))
    script.say("MODIFIED", thing("a", 7))
    script.say("DELETED", thing("b", 8))
    await settle()
    assert changes == [("added", "a@1"), ("added", "b@6"), ("changed", "a@7"), ("removed", "b@8")]
    assert script.watched_from == ["5"]
    assert [name_of(obj) for obj in informer.list()] == ["a"]


async def test_a_watch_that_ends_goes_on_from_the_last_revision(follow):
    script = Script(ObjectList([], "5"))
    _, _, clock = await follow(script)
    script.say("ADDED", thing("a", 9))
    script.say("BOOKMARK", {"metadata": {"resourceVersion": "12"}})
    await settle()
    script.events.put_nowait(None)
    await settle()
    script.events.put_nowait(unavailable("restarting"))
    await settle()
    await clock.advance(1)
    assert script.watched_from == ["5", "12", "12"]


async def test_lost_history_means_a_new_list_that_says_only_what_differs(follow):
    script = Script(
        ObjectList([thing("a", 1), thing("b", 2), thing("c", 3)], "5"),
        ObjectList([thing("a", 1), thing("b", 7), thing("d", 8)], "9"),
    )
    _, changes, _ = await follow(script)
    del changes[:]
    script.events.put_nowait(expired("too old"))
    await settle()
    assert changes == [("changed", "b@7"), ("added", "d@8"), ("removed", "c@3")]
    assert script.watched_from == ["5", "9"]


async def test_an_object_that_was_replaced_under_its_name_is_removed_and_added(follow):
    script = Script(ObjectList([thing("a", 1)], "5"))
    _, changes, _ = await follow(script)
    script.say("MODIFIED", thing("a", 7, uid="another"))
    await settle()
    assert changes == [("added", "a@1"), ("removed", "a@1"), ("added", "a@7")]


async def test_waits_longer_after_each_failure_and_needs_no_synced_server(follow):
    script = Script(unavailable("no"), unavailable("no"), ObjectList([], "5"))
    informer, _, clock = await follow(script)
    assert not informer.synced
    await clock.advance(0.06)
    assert not informer.synced
    await clock.advance(0.2)
    assert informer.synced


async def test_a_server_that_ends_every_watch_at_once_is_not_hammered(follow):
    script = Script(ObjectList([], "5"))
    for _ in range(100):
        script.events.put_nowait(None)
    await follow(script)
    assert len(script.watched_from) == 1


async def test_reads_page_by_page(follow):
    script = Script(ObjectList([thing("a", 1)], "5", "next"), ObjectList([thing("b", 2)], "5"))
    informer, _, _ = await follow(script)
    assert script.pages == ["", "next"]
    assert len(informer.list()) == 2


async def test_finds_by_namespace_label_and_owner(follow):
    owned = thing("b", 2, "other", ownerReferences=[{"uid": "owner"}])
    script = Script(ObjectList([thing("a", 1, labels={"x": "1"}), owned], "5"))
    informer, _, _ = await follow(script)
    assert [name_of(obj) for obj in informer.list("ns")] == ["a"]
    assert [name_of(obj) for obj in informer.list(selector=LabelSelector.parse("x=1"))] == ["a"]
    assert [name_of(obj) for obj in informer.by_owner("owner")] == ["b"]
    assert informer.get("other", "b") == owned
    script.say("MODIFIED", thing("b", 3, "other"))
    script.say("DELETED", thing("a", 4))
    await settle()
    assert informer.by_owner("owner") == []
    assert informer.list("ns") == []


async def test_metadata_only_keeps_no_more(follow):
    full = thing("a", 1, labels={"x": "1"}, annotations={"long": "text"}, managedFields=[{}])
    informer, _, _ = await follow(Script(ObjectList([full], "5")), metadata_only=True)
    kept = informer.get("ns", "a")
    assert kept is not None
    assert set(kept) == {"apiVersion", "kind", "metadata"}
    assert set(kept["metadata"]) == {"name", "namespace", "uid", "resourceVersion", "labels"}


async def test_a_handler_that_fails_stops_nobody(follow):
    script = Script(ObjectList([], "5"))
    informer, changes, _ = await follow(script)

    def broken(old: Object | None, new: Object | None) -> None:
        raise RuntimeError("broken")

    informer.add_handler(broken)
    script.say("ADDED", thing("a", 6))
    script.say("ADDED", thing("b", 7))
    await settle()
    assert changes == [("added", "a@6"), ("added", "b@7")]


async def test_a_late_handler_is_told_what_there_is_and_can_leave(follow):
    script = Script(ObjectList([thing("a", 1)], "5"))
    informer, _, _ = await follow(script)
    seen: list[str] = []
    remove = informer.add_handler(lambda old, new: seen.append(name_of(new or old or {})))
    script.say("ADDED", thing("b", 6))
    await settle()
    remove()
    script.say("ADDED", thing("c", 7))
    await settle()
    assert seen == ["a", "b"]


async def test_informers_are_shared_and_a_full_one_serves_for_metadata():
    informers = Informers(Script())  # type: ignore[arg-type]
    slim = informers.informer(CONFIG_MAPS, metadata_only=True)
    assert informers.informer(CONFIG_MAPS, metadata_only=True) is slim
    full = informers.informer(CONFIG_MAPS)
    assert full is not slim
    assert informers.informer(CONFIG_MAPS) is full
    assert informers.informer(CONFIG_MAPS, metadata_only=True) is full
    assert informers.informer(CONFIG_MAPS, field_selector="metadata.name=x") is not full
