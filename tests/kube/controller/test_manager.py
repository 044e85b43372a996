"""Controllers running on a real API server."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from tests.kube.controller.clocks import ManualClock, settle

from headwater.kube.controller import Controller, Informers, LeaderElection, Manager, Request, Result, Watch
from headwater.kube.meta.errors import StatusError, conflict
from headwater.kube.meta.objects import Object, labels_of
from headwater.kube.meta.owners import owner_reference
from headwater.kube.meta.resources import CONFIG_MAPS, LEASES, SECRETS


class Recorded:
    """A reconciler that remembers its calls and does what the test says."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[Request] = asyncio.Queue()
        self.act: Callable[[Request], Result | None] = lambda request: None

    async def reconcile(self, request: Request) -> Result | None:
        self.calls.put_nowait(request)
        return self.act(request)

    async def next(self) -> str:
        return (await asyncio.wait_for(self.calls.get(), 5)).name

    async def nothing(self) -> bool:
        await asyncio.sleep(0.02)
        return self.calls.empty()


@pytest.fixture
def reconciler() -> Recorded:
    return Recorded()


@pytest.fixture
async def run(client, reconciler):
    running: list[Any] = []
    clock = ManualClock()

    async def begin(**options: Any) -> Manager:
        informers = Informers(client)
        controller = Controller("test", reconciler, CONFIG_MAPS, **options)
        manager = Manager(client, informers, [controller], clock, rng=random.Random(1))
        await manager.start()
        running.extend([informers, manager])
        return manager

    begin.clock = clock  # type: ignore[attr-defined]
    yield begin
    for part in reversed(running):
        await part.stop()


async def config_map(client, name: str, **metadata: Any) -> Object:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}
    return await client.create(CONFIG_MAPS, body, "default")


async def test_calls_for_what_there_is_and_for_every_change(client, reconciler, run):
    await config_map(client, "a")
    await run()
    assert await reconciler.next() == "a"
    await config_map(client, "b")
    assert await reconciler.next() == "b"
    await client.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}}, "default")
    assert await reconciler.next() == "a"
    await client.delete(CONFIG_MAPS, "b", "default")
    assert await reconciler.next() == "b"


async def test_an_owned_object_calls_for_its_owner(client, reconciler, run):
    owner = await config_map(client, "owner")
    await run(owns=(SECRETS,))
    assert await reconciler.next() == "owner"
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "ownerReferences": [owner_reference(owner)]},
    }
    await client.create(SECRETS, secret, "default")
    assert await reconciler.next() == "owner"
    lone = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "lone"}}
    await client.create(SECRETS, lone, "default")
    assert await reconciler.nothing()


async def test_a_watch_maps_and_filters(client, reconciler, run):
    def mapped(obj: Object) -> list[Request]:
        return [Request("default", labels_of(obj)["for"])]

    def matters(old: Object | None, new: Object | None) -> bool:
        return "for" in labels_of(new or old or {})

    await run(watches=(Watch(SECRETS, mapped, matters),))
    for labels in ({}, {"for": "a"}):
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"generateName": "s", "labels": labels}}
        await client.create(SECRETS, secret, "default")
    assert await reconciler.next() == "a"
    assert await reconciler.nothing()


async def test_calls_again_when_asked_to(client, reconciler, run):
    reconciler.act = lambda request: Result(30)
    await run()
    await config_map(client, "a")
    assert await reconciler.next() == "a"
    await run.clock.advance(29)
    assert await reconciler.nothing()
    await run.clock.advance(2)
    assert await reconciler.next() == "a"


@pytest.mark.parametrize("error", [RuntimeError("broken"), conflict("", "configmaps", "a"), StatusError(500, "x", "y")])
async def test_calls_again_after_an_error_and_the_others_go_on(client, reconciler, run, error):
    def act(request: Request) -> None:
        if request.name == "a":
            raise error

    reconciler.act = act
    await run()
    await config_map(client, "a")
    assert await reconciler.next() == "a"
    await config_map(client, "b")
    assert await reconciler.next() == "b"
    await settle()
    await run.clock.advance(0.006)
    assert await reconciler.next() == "a"
    await settle()
    await run.clock.advance(0.006)
    assert await reconciler.nothing()
    await run.clock.advance(0.006)
    assert await reconciler.next() == "a"


async def test_two_controllers_need_two_names(client, reconciler):
    informers = Informers(client)
    controller = Controller("same", reconciler, CONFIG_MAPS)
    with pytest.raises(ValueError, match="two controllers have the name 'same'"):
        await Manager(client, informers, [controller, controller]).start()
    await informers.stop()


async def test_of_two_managers_one_works_and_the_other_follows(client):
    clocks, managers, reconcilers, informers = ManualClock(), [], [], Informers(client)
    for identity in ("first", "second"):
        reconciler = Recorded()
        election = LeaderElection("kube-system", "test", identity)
        controllers = [Controller("test", reconciler, CONFIG_MAPS)]
        manager = Manager(client, informers, controllers, clocks, leader_election=election)
        await manager.start()
        managers.append(manager)
        reconcilers.append(reconciler)
        await asyncio.sleep(0.02)
    await config_map(client, "a")
    assert await reconcilers[0].next() == "a"
    assert await reconcilers[1].nothing()
    await managers[0].stop()
    assert (await client.get(LEASES, "test", "kube-system"))["spec"]["holderIdentity"] == ""
    await clocks.advance(3)
    assert await reconcilers[1].next() == "a"
    await managers[1].stop()
    await informers.stop()
