"""Who gets a place, who waits, and who is told to come back."""

import asyncio

import pytest

from headwater.cluster.apiserver.http.fairness import Fairness
from headwater.kube.meta.errors import StatusError


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_flood_waits_in_its_own_lane() -> None:
    fairness = Fairness(costly=2, cheap=10, waiting=100)
    gate, order = asyncio.Event(), []

    async def ask(user: str, verb: str, number: int) -> None:
        async with fairness.place(user, verb):
            order.append((user, verb, number))
            if user == "flood" and verb == "list":
                await gate.wait()

    flood = [asyncio.create_task(ask("flood", "list", number)) for number in range(20)]
    await settle()
    assert len(order) == 2
    assert (fairness.running, fairness.waiting) == (2, 18)
    await ask("quiet", "list", 0)
    await ask("flood", "get", 0)
    assert order[2:] == [("quiet", "list", 0), ("flood", "get", 0)]
    gate.set()
    await asyncio.gather(*flood)
    assert [number for user, verb, number in order if (user, verb) == ("flood", "list")] == list(range(20))
    assert (fairness.running, fairness.waiting) == (0, 0)


async def test_a_full_lane_is_told_to_come_back() -> None:
    fairness = Fairness(costly=1, waiting=1)
    gate = asyncio.Event()

    async def ask() -> None:
        async with fairness.place("a", "list"):
            await gate.wait()

    tasks = [asyncio.create_task(ask()) for _ in range(2)]
    await settle()
    with pytest.raises(StatusError) as caught:
        await ask()
    assert (caught.value.code, caught.value.reason) == (429, "TooManyRequests")
    gate.set()
    await asyncio.gather(*tasks)


async def test_who_leaves_while_waiting_or_just_called_loses_no_place() -> None:
    fairness = Fairness(costly=1)
    gate = asyncio.Event()

    async def ask() -> None:
        async with fairness.place("a", "list"):
            await gate.wait()

    first, second, third = (asyncio.create_task(ask()) for _ in range(3))
    await settle()
    second.cancel()
    await settle()
    assert fairness.waiting == 1
    gate.set()
    await asyncio.sleep(0)
    third.cancel()  # its turn may have come in this very moment
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert (fairness.running, fairness.waiting) == (0, 0)
    async with fairness.place("a", "list"):
        assert fairness.running == 1
