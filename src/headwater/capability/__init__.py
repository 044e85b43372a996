"""What a room and the house agree on.

A room exports one ``capability``. The composition root (``headwater.cli``) reads it: it installs the room's
resource definitions and roles, runs its migrations, starts its controllers, and mounts its routes behind the
gateway. A room knows nothing of the gateway, of the dashboard's code or of the cluster that hosts it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headwater.artifacts import ArtifactStore
from headwater.capability.identity import Authorizer
from headwater.capability.routes import PageRenderer, Route
from headwater.database import Database
from headwater.kube.client import Client
from headwater.kube.controller import Controller, Informers
from headwater.kube.meta.objects import Object
from headwater.kube.meta.time import Clock


@dataclass(frozen=True)
class Context:
    """What a room is given when the platform starts."""

    client: Client
    """Acts as the platform itself; decisions about a user go through ``authorizer``."""
    informers: Informers
    database: Database
    artifacts: ArtifactStore
    authorizer: Authorizer
    render: PageRenderer
    clock: Clock
    mounts_volumes: bool = True
    """False where pods have no mount namespace of their own (the plain tier): a volume is then not at the
    container's path, and paths handed to a process must be the host's."""


@dataclass(frozen=True)
class NavigationEntry:
    """A link in the dashboard's left column."""

    section: str
    label: str
    path: str
    """Below ``/ns/<namespace>``, for example ``/runs``."""


@dataclass(frozen=True)
class Capability:
    """One room, as the composition root sees it."""

    name: str
    resources: Sequence[Object] = ()
    """CustomResourceDefinitions, generated from the room's ``types.py``."""
    roles: Sequence[Object] = ()
    """ClusterRoles, most with labels that aggregate them into admin, edit and view."""
    migrations: Path | None = None
    """The folder of the room's Alembic revisions."""
    controllers: Callable[[Context], Sequence[Controller]] = field(default=lambda _: ())
    routes: Callable[[Context], Sequence[Route]] = field(default=lambda _: ())
    navigation: Sequence[NavigationEntry] = ()
    templates: Path | None = None
    """The folder of the room's Jinja templates, found under the room's name: ``pipelines/run.html``."""
    static: Path | None = None
    """The folder of the room's scripts and styles, served at ``/static/<room>/``."""
