"""Guessing becomes slow; nobody else is locked out."""

from tests.gateway.conftest import HandClock

from headwater.gateway.throttle import Throttle


def fail(throttle: Throttle, times: int, address: str = "10.0.0.1", name: str = "ann") -> None:
    for _ in range(times):
        throttle.failed(address, name)


def test_some_mistakes_are_free_then_the_wait_doubles(clock: HandClock) -> None:
    throttle = Throttle(clock)
    fail(throttle, 4)
    assert throttle.wait("10.0.0.1", "ann") == 0
    waits = []
    for _ in range(9):
        fail(throttle, 1)
        waits.append(throttle.wait("10.0.0.1", "ann"))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_the_wait_passes_and_success_clears(clock: HandClock) -> None:
    throttle = Throttle(clock)
    fail(throttle, 6)
    clock.pass_by(seconds=1.5)
    assert throttle.wait("10.0.0.1", "ann") == 0.5
    clock.pass_by(seconds=1)
    assert throttle.wait("10.0.0.1", "ann") == 0
    throttle.succeeded("10.0.0.1", "ann")
    fail(throttle, 1)
    assert throttle.wait("10.0.0.1", "ann") == 0


def test_another_address_and_another_name_are_free(clock: HandClock) -> None:
    throttle = Throttle(clock)
    fail(throttle, 20)
    assert throttle.wait("10.0.0.2", "ann") == 0
    assert throttle.wait("10.0.0.1", "bob") == 0


def test_an_address_that_tries_many_names_waits(clock: HandClock) -> None:
    throttle = Throttle(clock)
    for number in range(40):
        fail(throttle, 1, name=f"user-{number}")
    assert throttle.wait("10.0.0.1", "somebody new") > 0


def test_old_failures_are_forgotten_and_memory_is_bounded(clock: HandClock) -> None:
    throttle = Throttle(clock)
    fail(throttle, 20)
    clock.pass_by(minutes=16)
    fail(throttle, 1)
    assert throttle.wait("10.0.0.1", "ann") == 0
    for number in range(10_000):
        fail(throttle, 1, address=f"10.{number % 250}.{number // 250}.1")
    assert len(throttle._failures) <= 4096
