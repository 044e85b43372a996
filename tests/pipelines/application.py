"""The pipelines API on a real API server with RBAC, behind a stand-in for the gateway that believes a header."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from headwater.artifacts.directory import DirectoryStore
from headwater.capability import Context
from headwater.capability.identity import Authorizer, Identity
from headwater.capability.routes import IDENTITY, Access, Route
from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.local import LocalClient
from headwater.cluster.apiserver.rbac.authorizer import RbacAuthorizer
from headwater.cluster.apiserver.rbac.policy import ensure_policy
from headwater.cluster.apiserver.rbac.reviews import register_access_reviews
from headwater.cluster.store import Store
from headwater.database import Database
from headwater.kube.controller import Informers
from headwater.kube.meta.resources import CLUSTER_ROLES, CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, ROLE_BINDINGS
from headwater.kube.meta.time import SystemClock
from headwater.pipelines import capability
from headwater.pipelines.api.routes import routes
from headwater.pipelines.records.catalog import Catalog
from headwater.pipelines.records.records import Records
from headwater.pipelines.roles import ROLES

MIGRATIONS = Path(__file__).parents[2] / "src/headwater/pipelines/migrations"
ANN, BOB, VIC = "ann", "bob", "vic"
"""Ann edits the namespace team-a, Vic views it, Bob edits team-b."""


@dataclass
class Application:
    """What a test needs to ask the API and to look behind it."""

    context: Context
    routes: Sequence[Route]
    app: web.Application

    @property
    def records(self) -> Records:
        return Records(self.context.database, self.context.clock)

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.context.database, self.context.clock)


@asynccontextmanager
async def application(directory: Path) -> AsyncIterator[Application]:
    clock = SystemClock()
    database = Database.open(f"sqlite:///{directory / 'records.db'}")
    database.migrate("pipelines", MIGRATIONS)
    store = await Store.open(directory / "cluster.db")
    api = Api(store, clock=clock)
    authorizer = RbacAuthorizer()
    api.authorizer = authorizer
    register_access_reviews(api, authorizer)
    await api.start()
    authorizer.follow(api)
    await ensure_policy(api)
    client = LocalClient(api)
    for definition in capability.resources:
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition)
    for role in ROLES:
        await client.create(CLUSTER_ROLES, role)
    for namespace, users in {"team-a": {ANN: "edit", VIC: "view"}, "team-b": {BOB: "edit"}}.items():
        await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for user, role in users.items():
            await client.create(ROLE_BINDINGS, _binding(namespace, user, role))
    context = Context(
        client=client,
        informers=Informers(client, clock=clock),
        database=database,
        artifacts=DirectoryStore(directory / "artifacts"),
        authorizer=Authorizer(client),
        render=_no_pages,
        clock=clock,
    )
    table = routes(context)
    app = web.Application(middlewares=[_gateway])
    for route in table:
        app.router.add_route(route.method, route.path, route.handler)
    yield Application(context, table, app)
    await api.stop()
    await store.close()
    await database.close()


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[tuple[Application, TestClient]]:
    """The application and an HTTP client whose caller is named by the header ``who``."""
    async with application(directory) as made, TestClient(TestServer(made.app)) as client:
        yield made, client


class Thread:
    """The application on a port, in a thread of its own, for the SDK, which blocks."""

    def __init__(self, directory: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self._directory = directory
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self.error: BaseException | None = None
        self.url = ""
        self.application: Application
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Thread":
        self._thread.start()
        self._ready.wait()
        if self.error:
            raise self.error
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def call(self, coroutine: Any) -> Any:
        """Run a coroutine where the application runs."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._serve())
        except BaseException as error:
            self.error = error
        finally:
            self._ready.set()
            self.loop.close()

    async def _serve(self) -> None:
        async with application(self._directory) as self.application:
            server = TestServer(self.application.app)
            await server.start_server()
            self.url = str(server.make_url("")).rstrip("/")
            self._ready.set()
            await self._stop.wait()
            await server.close()


def _binding(namespace: str, user: str, role: str) -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{user}-{role}", "namespace": namespace},
        "subjects": [{"kind": "User", "name": user, "apiGroup": group}],
        "roleRef": {"kind": "ClusterRole", "name": role, "apiGroup": group},
    }


_HOMES = {ANN: "team-a", VIC: "team-a", BOB: "team-b"}


@web.middleware
async def _gateway(request: web.Request, handler: Any) -> web.StreamResponse:
    user = request.headers.get("who") or request.headers.get("Authorization", "").removeprefix("Bearer ") or ANN
    request[IDENTITY] = Identity(user, ("system:authenticated",), _HOMES.get(user, "default"))
    return await handler(request)


def _no_pages(request: web.Request, template: str, /, *, status: int = 200, **values: Any) -> web.Response:
    raise AssertionError("the API renders no pages")


__all__ = ["ANN", "BOB", "VIC", "Access", "Application", "Thread", "application", "served"]
