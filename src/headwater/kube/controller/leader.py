"""Leader election: of several processes with the same controllers, one works.

The record is a ``Lease`` with client-go's rules: a holder renews it; another takes it over when it has not changed
for its duration, measured by the observer's own clock (so that clocks need not agree); a holder that cannot renew
in time stops working before anyone else may begin.
"""

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from headwater.kube.client import Client
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import LEASES
from headwater.kube.meta.time import Clock, format_micro_time

log = logging.getLogger(__name__)


class LeadershipLostError(Exception):
    """The process may no longer work: it could not renew its lease, or another one holds it."""


@dataclass(frozen=True, slots=True)
class LeaderElection:
    """Which lease is fought for, by whom, and how patiently (seconds)."""

    namespace: str
    name: str
    identity: str
    """Unique to this process: the pod's name, or host and process id."""
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0


class Move(Enum):
    """What a candidate does next."""

    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"


def next_move(lease: Object | None, identity: str, unchanged_for: float) -> Move:
    """Decide from the lease as read and from how long it has been seen unchanged (seconds)."""
    if lease is None:
        return Move.CREATE
    spec = lease.get("spec") or {}
    holder = spec.get("holderIdentity") or ""
    if holder == identity:
        return Move.RENEW
    if not holder or unchanged_for >= float(spec.get("leaseDurationSeconds") or 0):
        return Move.TAKE
    return Move.WAIT


def lease_for(lease: Object | None, election: LeaderElection, move: Move, now: datetime) -> Object:
    """Return the lease as this candidate writes it."""
    spec = dict((lease or {}).get("spec") or {})
    if move is not Move.RENEW:
        transitions = int(spec.get("leaseTransitions") or 0)
        spec["leaseTransitions"] = transitions if move is Move.CREATE else transitions + 1
        spec["acquireTime"] = format_micro_time(now)
    spec["holderIdentity"] = election.identity
    spec["leaseDurationSeconds"] = max(1, round(election.lease_duration))
    spec["renewTime"] = format_micro_time(now)
    metadata = dict((lease or {}).get("metadata") or {"name": election.name, "namespace": election.namespace})
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


class Candidate:
    """Takes part in one election."""

    def __init__(
        self, client: Client, election: LeaderElection, clock: Clock, rng: random.Random | None = None
    ) -> None:
        self._client = client
        self._election = election
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 (jitter, no secret)
        self._seen: tuple[object, ...] = ()
        self._seen_at = 0.0

    async def acquire(self) -> None:
        """Return when this process leads."""
        while True:
            with contextlib.suppress(StatusError):
                if await self._try():
                    log.info("%s leads %s", self._election.identity, self._election.name)
                    return
            await self._clock.sleep(self._election.retry_period * (1 + 0.2 * self._rng.random()))

    async def hold(self) -> None:
        """Renew until that fails for too long. Always ends by raising ``LeadershipLostError`` or by cancellation."""
        renewed = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._election.retry_period)
            left = self._election.renew_deadline - (self._clock.monotonic() - renewed)
            try:
                if not await asyncio.wait_for(self._try(), max(left, 0.001)):
                    raise LeadershipLostError(f"another process holds the lease {self._election.name}")
                renewed = self._clock.monotonic()
            except (StatusError, TimeoutError) as error:
                if self._clock.monotonic() - renewed >= self._election.renew_deadline:
                    raise LeadershipLostError(
                        f"the lease {self._election.name} could not be renewed for "
                        f"{self._election.renew_deadline:g} s: {error}"
                    ) from error

    async def release(self) -> None:
        """Let another process take over at once, if this one leads."""
        with contextlib.suppress(StatusError):
            lease = await self._read()
            if lease is not None and (lease.get("spec") or {}).get("holderIdentity") == self._election.identity:
                lease["spec"]["holderIdentity"] = ""
                lease["spec"]["leaseDurationSeconds"] = 1
                await self._client.update(LEASES, lease)

    async def _read(self) -> Object | None:
        try:
            return await self._client.get(LEASES, self._election.name, self._election.namespace)
        except StatusError as error:
            if error.code == 404:
                return None
            raise

    async def _try(self) -> bool:
        lease = await self._read()
        now = self._clock.monotonic()
        spec = (lease or {}).get("spec") or {}
        record = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        if record != self._seen:
            self._seen, self._seen_at = record, now
        move = next_move(lease, self._election.identity, now - self._seen_at)
        if move is Move.WAIT:
            return False
        wanted = lease_for(lease, self._election, move, self._clock.now())
        try:
            if move is Move.CREATE:
                await self._client.create(LEASES, wanted, self._election.namespace)
            else:
                await self._client.update(LEASES, wanted)
        except StatusError as error:
            if error.code == 409:
                return False  # somebody was faster
            raise
        return True
