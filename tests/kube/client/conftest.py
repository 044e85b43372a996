"""The clients that the behaviour suite runs against.

Each entry of ``CLIENTS`` opens an API server in an empty directory and yields a client that acts as the platform
and one that acts as a user without any role. Another way to reach the API is added here, and only here.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cluster.apiserver.http.serving import serving

from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.local import LocalClient
from headwater.cluster.apiserver.users import User
from headwater.cluster.store.store import Store
from headwater.kube.client import Client
from headwater.kube.client.http import HttpClient


@dataclass(frozen=True)
class Reached:
    """An API server and the ways into it."""

    api: Api
    client: Client
    stranger: Client
    """Authenticated, but without a role."""


@asynccontextmanager
async def local(home: Path) -> AsyncIterator[Reached]:
    store = await Store.open(home / "objects.db")
    api = Api(store)
    await api.start()
    yield Reached(api, LocalClient(api), LocalClient(api, User("nobody", ("system:authenticated",))))
    await api.stop()
    await store.close()


@asynccontextmanager
async def http(home: Path) -> AsyncIterator[Reached]:
    async with serving(home) as running:
        client = HttpClient.from_kubeconfig(running.kubeconfig)
        stranger = HttpClient.from_kubeconfig(running.kubeconfig_of("nobody"))
        yield Reached(running.api, client, stranger)
        await client.close()
        await stranger.close()


CLIENTS: dict[str, Callable[[Path], AbstractAsyncContextManager[Reached]]] = {"http": http, "local": local}


@pytest.fixture(params=sorted(CLIENTS))
async def reached(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Reached]:
    async with CLIENTS[request.param](tmp_path) as opened:
        yield opened


@pytest.fixture
def client(reached: Reached) -> Client:
    return reached.client
