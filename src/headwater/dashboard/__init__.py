"""The web interface's shell: the frame around every page, its look, and the pages that belong to no single room."""

from collections.abc import Sequence
from pathlib import Path

from headwater.capability import Capability, Context
from headwater.capability.routes import Route


def _routes(context: Context) -> Sequence[Route]:
    from headwater.dashboard.pages import routes

    return routes(context)


capability = Capability(
    name="dashboard",
    routes=_routes,
    templates=Path(__file__).parent / "templates",
    static=Path(__file__).parent / "static",
)
