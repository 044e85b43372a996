"""Slowing down who guesses passwords.

Failures are counted for an address together with a name, and for an address alone. After a few free ones each further
failure doubles the wait. Nobody can lock another person out from a different address, and memory is bounded.
"""

from collections import OrderedDict
from dataclasses import dataclass

from headwater.kube.meta.time import Clock

_REMEMBERED = 4096
_FORGET_AFTER = 15 * 60.0
_LONGEST_WAIT = 60.0
_FREE_FOR_A_NAME = 5
_FREE_FOR_AN_ADDRESS = 30


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


class Throttle:
    """Counts failed sign-ins and says how long the next one has to wait."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def wait(self, address: str, name: str) -> float:
        """Return the seconds until another attempt is looked at; 0 when it may come now."""
        return max(
            self._wait((address, name), _FREE_FOR_A_NAME),
            self._wait((address, ""), _FREE_FOR_AN_ADDRESS),
        )

    def failed(self, address: str, name: str) -> None:
        """Count a wrong password."""
        now = self._clock.monotonic()
        for key in ((address, name), (address, "")):
            known = self._failures.pop(key, None)
            if known is None or now - known.last > _FORGET_AFTER:
                known = _Failures(0, now)
            known.count += 1
            known.last = now
            self._failures[key] = known
        while len(self._failures) > _REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, address: str, name: str) -> None:
        """Forget the failures of this name from this address."""
        self._failures.pop((address, name), None)

    def _wait(self, key: tuple[str, str], free: int) -> float:
        known = self._failures.get(key)
        if known is None or known.count < free:
            return 0.0
        pause = min(2.0 ** min(known.count - free, 10), _LONGEST_WAIT)
        return max(0.0, known.last + pause - self._clock.monotonic())
