import asyncio
import random

import pytest
from tests.kube.controller.clocks import ManualClock, settle

from headwater.kube.controller import QueueClosedError, WorkQueue


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue(clock: ManualClock) -> WorkQueue[str]:
    return WorkQueue(clock, random.Random(1))


async def take(queue: WorkQueue[str]) -> str:
    return await asyncio.wait_for(queue.get(), 1)


async def test_hands_out_in_order_and_each_key_once(queue):
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [await take(queue), await take(queue)] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_that_is_worked_on_waits_for_done(queue):
    queue.add("a")
    await take(queue)
    queue.add("a")
    getter = asyncio.create_task(queue.get())
    await settle()
    assert not getter.done()
    queue.done("a")
    assert await getter == "a"


async def test_delays_are_measured_by_the_clock_and_the_earliest_counts(queue, clock):
    queue.add_after("a", 10)
    queue.add_after("a", 5)
    queue.add_after("a", 20)
    queue.add_after("b", 7)
    await clock.advance(4.9)
    assert len(queue) == 0
    await clock.advance(0.2)
    assert await take(queue) == "a"
    queue.done("a")
    await clock.advance(2)
    assert await take(queue) == "b"
    queue.done("b")
    await clock.advance(100)
    assert queue.idle


async def test_failures_double_the_delay_until_forgotten(queue):
    delays = [queue.add_rate_limited("a") for _ in range(30)]
    assert delays[0] == pytest.approx(0.005, rel=0.11)
    assert delays[3] == pytest.approx(0.04, rel=0.11)
    assert delays[-1] == pytest.approx(60, rel=0.11)
    assert queue.failures("a") == 30
    queue.forget("a")
    assert queue.add_rate_limited("a") == pytest.approx(0.005, rel=0.11)


async def test_a_cancelled_getter_loses_no_key(queue):
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await settle()
    queue.add("a")
    first.cancel()
    assert await asyncio.wait_for(second, 1) == "a"


async def test_close_ends_every_getter(queue):
    getters = [asyncio.create_task(queue.get()) for _ in range(2)]
    await settle()
    getters[0].cancel()
    queue.close()
    queue.add("a")
    assert [type(result) for result in await asyncio.gather(*getters, return_exceptions=True)] == [
        asyncio.CancelledError,
        QueueClosedError,
    ]
    with pytest.raises(QueueClosedError):
        await queue.get()


async def test_no_key_is_lost_or_worked_on_twice_at_once():
    queue: WorkQueue[int] = WorkQueue(ManualClock())
    working: set[int] = set()
    seen = dict.fromkeys(range(5), 0)

    async def work() -> None:
        while True:
            key = await queue.get()
            assert key not in working
            working.add(key)
            await asyncio.sleep(0)
            working.discard(key)
            seen[key] += 1
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(3)]
    rng = random.Random(7)
    for _ in range(500):
        queue.add(rng.randrange(5))
        if rng.random() < 0.3:
            await asyncio.sleep(0)
    await settle()
    assert queue.idle
    assert all(seen.values())
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
