"""The composition root: the embedded cluster, the records, the rooms and the gateway, put together.

This is the only place that knows all of them. Each part is given what it needs and nothing more. They start in
the order below and stop in the reverse.
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from headwater import dashboard, pipelines
from headwater.artifacts import VOLUME_DRIVER
from headwater.artifacts.directory import DirectoryStore
from headwater.capability import Capability, Context
from headwater.capability.identity import Authorizer
from headwater.cli.daemon import FirstLogin
from headwater.cli.home import Home, Ports
from headwater.cli.people import generate_password
from headwater.cli.volumes import ArtifactVolumes
from headwater.cluster.embedded import ClusterSettings, EmbeddedCluster
from headwater.cluster.node import Tier
from headwater.dashboard.shell import Shell
from headwater.database import Database
from headwater.gateway.app import Gateway, migrate
from headwater.gateway.sessions import Sessions
from headwater.gateway.tokens import Tokens
from headwater.gateway.users import Users
from headwater.kube.client import Client
from headwater.kube.controller import Manager
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, name_of
from headwater.kube.meta.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CUSTOM_RESOURCE_DEFINITIONS,
    Resource,
)
from headwater.kube.meta.time import Clock
from headwater.pipelines.records.owners import ArtifactOwners

ROOMS: Sequence[Capability] = (dashboard.capability, pipelines.capability)

ADMINISTRATOR = "admin"
ADMINISTRATORS = "headwater:administrators"
"""The group that the first user is in, bound to ``cluster-admin``."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What there is to say when the platform has started."""

    gateway_url: str
    api_url: str
    tier: Tier
    login: FirstLogin | None
    """Set at the very first start only."""


class Platform:
    """Everything that one ``headwater up`` runs."""

    def __init__(self, home: Home, ports: Ports, clock: Clock) -> None:
        self._home = home
        self._clock = clock
        self._ports = ports
        self._parts = AsyncExitStack()

    async def start(self) -> Ready:
        """Start everything and return when requests are answered.

        Raises the parts' own errors, each a sentence: ``StoreError``, ``PkiError``, ``DatabaseTooNew``, ``OSError``.
        """
        try:
            return await self._start()
        except BaseException:
            await self._parts.aclose()
            raise

    async def stop(self) -> None:
        """Stop everything in the reverse order of its start."""
        await self._parts.aclose()

    async def _start(self) -> Ready:
        home, clock = self._home, self._clock
        artifacts = DirectoryStore(home.artifacts)
        # SQLite gives its other files the mode of this one; a data directory that was there before may be open to all.
        home.database.touch(mode=0o600)
        home.database.chmod(0o600)
        database = Database.open(f"sqlite:///{home.database}")
        self._parts.push_async_callback(database.close)
        await asyncio.to_thread(self._migrate, database)

        settings = ClusterSettings(
            store=home.store, pki=home.pki, home=home.path, kubeconfig=home.kubeconfig, port=self._ports.api
        )
        volumes = ArtifactVolumes(artifacts, ArtifactOwners(database, artifacts))
        cluster = EmbeddedCluster(settings, drivers={VOLUME_DRIVER: volumes}, clock=clock)
        await cluster.start()
        self._parts.push_async_callback(cluster.stop)
        await _install(cluster.client, ROOMS)

        authorizer = Authorizer(cluster.client)
        shell = Shell.of(ROOMS, clock)
        context = Context(
            client=cluster.client,
            informers=cluster.informers,
            database=database,
            artifacts=artifacts,
            authorizer=authorizer,
            render=shell,
            clock=clock,
            mounts_volumes=cluster.tier.name == "sandboxed",
        )
        manager = Manager(
            cluster.client,
            cluster.informers,
            [controller for room in ROOMS for controller in room.controllers(context)],
            clock,
        )
        await manager.start()
        self._parts.push_async_callback(manager.stop)

        users = Users(database, clock)
        gateway = Gateway(
            users=users,
            tokens=Tokens(database, users, clock),
            sessions=Sessions(database, clock),
            authorizer=authorizer,
            client=cluster.client,
            routes=[route for room in ROOMS for route in room.routes(context)],
            render=shell,
            static_roots={room.name: room.static for room in ROOMS if room.static is not None},
            clock=clock,
            port=self._ports.gateway,
            names=os.environ.get("HEADWATER_HOSTS", "").split(","),
        )
        await gateway.start()
        self._parts.push_async_callback(gateway.stop)
        # Last, since the password is said only once: a start that fails must not have used it up.
        login = await _first_login(users)
        return Ready(gateway.url, cluster.url, cluster.tier, login)

    def _migrate(self, database: Database) -> None:
        migrate(database)
        for room in ROOMS:
            if room.migrations is not None:
                database.migrate(room.name, room.migrations)


async def _first_login(users: Users) -> FirstLogin | None:
    """Create the administrator when there is no user at all."""
    if await users.list():
        return None
    password = generate_password()
    await users.create(ADMINISTRATOR, password, display_name="Administrator", groups=[ADMINISTRATORS])
    return FirstLogin(ADMINISTRATOR, password)


async def _install(client: Client, rooms: Sequence[Capability]) -> None:
    """Bring the rooms' resource definitions and roles, and the administrators' binding, to this version."""
    for room in rooms:
        for definition in room.resources:
            await _ensure(client, CUSTOM_RESOURCE_DEFINITIONS, definition)
        for role in room.roles:
            await _ensure(client, CLUSTER_ROLES, role)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": ADMINISTRATORS},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": ADMINISTRATORS}],
    }
    await _ensure(client, CLUSTER_ROLE_BINDINGS, binding)


async def _ensure(client: Client, resource: Resource, wanted: Object) -> None:
    """Create the object, or make what it says true of the one that is there."""
    try:
        found = await client.get(resource, name_of(wanted))
    except StatusError as error:
        if error.code != 404:
            raise
        await client.create(resource, wanted)
        return
    merged = {**found, **{key: value for key, value in wanted.items() if key != "metadata"}}
    if merged != found:
        await client.update(resource, merged)
