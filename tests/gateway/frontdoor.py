"""The gateway with the dashboard and the pipelines room on a real API server with RBAC, on a free port."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from headwater import dashboard, pipelines
from headwater.artifacts.directory import DirectoryStore
from headwater.capability import Context
from headwater.capability.identity import Authorizer
from headwater.capability.routes import Route
from headwater.cluster.apiserver.authn.reviews import register_authentication_reviews
from headwater.cluster.apiserver.authn.tokens import TokenIssuer
from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.local import LocalClient
from headwater.cluster.apiserver.rbac.authorizer import RbacAuthorizer
from headwater.cluster.apiserver.rbac.policy import ensure_policy
from headwater.cluster.apiserver.rbac.reviews import register_access_reviews
from headwater.cluster.store import Store
from headwater.dashboard.shell import Shell
from headwater.database import Database
from headwater.gateway.app import Gateway, migrate
from headwater.gateway.sessions import Sessions
from headwater.gateway.tokens import Tokens
from headwater.gateway.users import Users
from headwater.kube.controller import Informers
from headwater.kube.meta.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, NAMESPACES, ROLE_BINDINGS
from headwater.kube.meta.time import Clock, SystemClock
from headwater.pipelines.records.catalog import Catalog
from headwater.pipelines.records.records import Records

ANN, BOB, VIC, ROOT = "ann", "bob", "vic", "root"
"""Ann edits the namespace team-a, Vic views it, Bob edits team-b, Root may do everything."""
PASSWORD = "correct horse battery"
HOMES = {ANN: "team-a", VIC: "team-a", BOB: "team-b", ROOT: "team-a"}
_RBAC = "rbac.authorization.k8s.io"


@dataclass
class FrontDoor:
    """What a test needs to knock, and to look behind the door."""

    gateway: Gateway
    context: Context
    users: Users
    tokens: Tokens
    sessions: Sessions
    issuer: TokenIssuer

    @property
    def url(self) -> str:
        return self.gateway.url

    @property
    def records(self) -> Records:
        return Records(self.context.database, self.context.clock)

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.context.database, self.context.clock)

    @property
    def artifacts(self) -> DirectoryStore:
        assert isinstance(self.context.artifacts, DirectoryStore)
        return self.context.artifacts


@asynccontextmanager
async def front_door(
    directory: Path, *, more: Sequence[Route] = (), clock: Clock | None = None, port: int = 0
) -> AsyncIterator[FrontDoor]:
    """Start it; ``more`` are routes that a test adds; ``clock`` is the one that logins and tokens go by."""
    clock = clock or SystemClock()
    rooms = (dashboard.capability, pipelines.capability)
    records = directory / "records.db"
    if not records.exists():
        records.write_bytes(_empty_records())
    database = Database.open(f"sqlite:///{records}")
    store = await Store.open(directory / "cluster.db")
    api = Api(store, clock=SystemClock())
    authorizer = RbacAuthorizer()
    issuer = TokenIssuer(_key(), api.peek, SystemClock())
    api.authorizer = authorizer
    register_authentication_reviews(api, issuer)
    register_access_reviews(api, authorizer)
    await api.start()
    authorizer.follow(api)
    await ensure_policy(api)
    client = LocalClient(api)
    await _people(client)
    shell = Shell.of(rooms, SystemClock())
    context = Context(
        client=client,
        informers=Informers(client, clock=SystemClock()),
        database=database,
        artifacts=DirectoryStore(directory / "artifacts"),
        authorizer=Authorizer(client),
        render=shell,
        clock=SystemClock(),
    )
    users = Users(database, clock, rounds=4)
    for name, namespace in HOMES.items():
        if await users.get(name) is None:
            await users.create(name, PASSWORD, namespace=namespace, display_name=name.title())
    tokens, sessions = Tokens(database, users, clock), Sessions(database, clock)
    gateway = Gateway(
        users=users,
        tokens=tokens,
        sessions=sessions,
        authorizer=context.authorizer,
        client=client,
        routes=[*(route for room in rooms for route in room.routes(context)), *more],
        render=shell,
        static_roots={room.name: room.static for room in rooms if room.static is not None},
        clock=clock,
        port=port,
    )
    try:
        await gateway.start()
        yield FrontDoor(gateway, context, users, tokens, sessions, issuer)
    finally:
        await gateway.stop()
        await api.stop()
        await store.close()
        await database.close()


@lru_cache
def _empty_records() -> bytes:
    """A records database with all tables; made once, since Alembic takes its time."""
    with TemporaryDirectory() as scratch:
        database = Database.open(f"sqlite:///{scratch}/records.db")
        migrate(database)
        for room in (dashboard.capability, pipelines.capability):
            if room.migrations is not None:
                database.migrate(room.name, room.migrations)
        database.close_now()
        return Path(scratch, "records.db").read_bytes()


def _key() -> bytes:
    made = ec.generate_private_key(ec.SECP256R1())
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


async def _people(client: LocalClient) -> None:
    if any(one["metadata"]["name"] == "team-a" for one in (await client.list(NAMESPACES)).items):
        return
    for role in pipelines.capability.roles:
        await client.create(CLUSTER_ROLES, role)
    for namespace, people in {"team-a": {ANN: "edit", VIC: "view"}, "team-b": {BOB: "edit"}}.items():
        await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for user, role in people.items():
            binding = _binding("RoleBinding", user, role, {"namespace": namespace})
            await client.create(ROLE_BINDINGS, binding)
    await client.create(CLUSTER_ROLE_BINDINGS, _binding("ClusterRoleBinding", ROOT, "cluster-admin", {}))


def _binding(kind: str, user: str, role: str, metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": kind,
        "metadata": {"name": f"{user}-{role}", **metadata},
        "subjects": [{"kind": "User", "name": user, "apiGroup": _RBAC}],
        "roleRef": {"kind": "ClusterRole", "name": role, "apiGroup": _RBAC},
    }
