"""An API server in the process of the test, on an empty store, with a clock that the test moves."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.local import LocalClient
from headwater.cluster.store.store import Store


class HandClock:
    """Time that passes only when the test says so."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()

    def advance(self, **delta: float) -> None:
        self.moment += timedelta(**delta)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def api(tmp_path: Path, clock: HandClock) -> AsyncIterator[Api]:
    store = await Store.open(tmp_path / "objects.db")
    api = Api(store, clock=clock, rng=random.Random(1))
    await api.start()
    yield api
    await api.stop()
    await store.close()


@pytest.fixture
def client(api: Api) -> LocalClient:
    return LocalClient(api)
