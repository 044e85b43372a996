"""Leader election: the decision as a table, and candidates against a real API server."""

import asyncio

import pytest
from tests.kube.controller.clocks import ManualClock, settle

from headwater.cluster.apiserver.local import LocalClient
from headwater.kube.controller import LeaderElection, LeadershipLostError
from headwater.kube.controller.leader import Candidate, Move, next_move
from headwater.kube.meta.errors import unavailable
from headwater.kube.meta.resources import LEASES


@pytest.mark.parametrize(
    ("spec", "unchanged", "move"),
    [
        (None, 0, Move.CREATE),
        ({"holderIdentity": "me", "leaseDurationSeconds": 15}, 99, Move.RENEW),
        ({"holderIdentity": "", "leaseDurationSeconds": 15}, 0, Move.TAKE),
        ({"holderIdentity": "you", "leaseDurationSeconds": 15}, 14.9, Move.WAIT),
        ({"holderIdentity": "you", "leaseDurationSeconds": 15}, 15, Move.TAKE),
    ],
)
def test_next_move(spec, unchanged, move):
    lease = None if spec is None else {"spec": spec}
    assert next_move(lease, "me", unchanged) is move


def candidate(client: LocalClient, identity: str, clock: ManualClock) -> Candidate:
    return Candidate(client, LeaderElection("kube-system", "headwater", identity), clock)


async def advance(clock: ManualClock, seconds: float, *tasks: "asyncio.Task[None]") -> None:
    """Move the clock in steps; after each, every task that goes on has done what it could and sleeps again."""
    for _ in range(int(seconds / 0.5)):
        await clock.advance(0.5)
        while clock.sleepers < sum(not task.done() for task in tasks):
            await asyncio.sleep(0.001)


async def holder(client: LocalClient) -> str:
    return (await client.get(LEASES, "headwater", "kube-system"))["spec"]["holderIdentity"]


async def test_the_second_waits_until_the_first_lets_go(client):
    clock = ManualClock()
    first, second = candidate(client, "first", clock), candidate(client, "second", clock)
    await first.acquire()
    holding, waiting = asyncio.create_task(first.hold()), asyncio.create_task(second.acquire())
    await advance(clock, 60, holding, waiting)
    assert not waiting.done()
    assert await holder(client) == "first"
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)
    await first.release()
    await advance(clock, 3, waiting)
    await asyncio.wait_for(waiting, 5)
    assert await holder(client) == "second"
    assert (await client.get(LEASES, "headwater", "kube-system"))["spec"]["leaseTransitions"] == 1


async def test_a_dead_leader_is_followed_after_its_time(client):
    clock = ManualClock()
    await candidate(client, "first", clock).acquire()
    waiting = asyncio.create_task(candidate(client, "second", clock).acquire())
    await advance(clock, 13, waiting)
    assert not waiting.done()
    await advance(clock, 6, waiting)
    await asyncio.wait_for(waiting, 5)


async def test_a_leader_that_was_replaced_stops(client):
    clock = ManualClock()
    first = candidate(client, "first", clock)
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    await client.patch(LEASES, "headwater", {"spec": {"holderIdentity": "second"}}, "kube-system")
    await advance(clock, 3, holding)
    with pytest.raises(LeadershipLostError, match="another process"):
        await asyncio.wait_for(holding, 5)


async def test_a_leader_that_cannot_renew_stops_before_another_may_begin(client, monkeypatch):
    clock = ManualClock()
    first = candidate(client, "first", clock)
    await first.acquire()
    began = clock.monotonic()
    holding = asyncio.create_task(first.hold())
    await settle()

    async def refuse(*_: object, **__: object) -> None:
        raise unavailable("the server is away")

    monkeypatch.setattr(client, "get", refuse)
    await advance(clock, 15, holding)
    with pytest.raises(LeadershipLostError, match="could not be renewed"):
        await asyncio.wait_for(holding, 5)
    assert clock.monotonic() - began <= 15
