"""Kubeflow Pipelines: the API, the PipelineSpec front end, the run reconciler, the records and the pages.

The room's one public object is ``capability``. What it is made of is imported when the platform asks for it, so that
naming a small module of the room does not load all of it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headwater.capability import Capability, Context
    from headwater.capability.routes import Route
    from headwater.kube.controller import Controller

    capability: Capability

_HERE = Path(__file__).parent


def _controllers(context: "Context") -> "Sequence[Controller]":
    from headwater.pipelines.runs.reconciler import controllers

    return controllers(context)


def _routes(context: "Context") -> "Sequence[Route]":
    from headwater.pipelines.api.routes import routes
    from headwater.pipelines.pages.routes import routes as page_routes

    return (*routes(context), *page_routes(context))


def _capability() -> "Capability":
    from headwater.capability import Capability, NavigationEntry
    from headwater.kube.schema.typed import crd
    from headwater.pipelines.roles import ROLES
    from headwater.pipelines.types import Run

    return Capability(
        name="pipelines",
        resources=(crd(Run),),
        roles=ROLES,
        migrations=_HERE / "migrations",
        controllers=_controllers,
        routes=_routes,
        navigation=(
            NavigationEntry("Pipelines", "Runs", "/runs"),
            NavigationEntry("Pipelines", "Pipelines", "/pipelines"),
            NavigationEntry("Pipelines", "Experiments", "/experiments"),
            NavigationEntry("Data", "Artifacts", "/artifacts"),
        ),
        templates=_HERE / "templates",
        static=_HERE / "static",
    )


def __getattr__(name: str) -> object:
    if name == "capability":
        globals()[name] = made = _capability()
        return made
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
