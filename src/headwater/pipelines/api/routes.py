"""The pipelines API, v2beta1: every route of it, each answering errors in the API's own shape.

The contract is the ``kfp`` 2.x Client and ``kfp-server-api``; what is not built yet answers 501 and says so.
"""

from collections.abc import Sequence
from dataclasses import replace

from aiohttp import web

from headwater import __version__
from headwater.capability import Context
from headwater.capability.routes import Access, Route
from headwater.pipelines.api.artifacts import ArtifactsApi
from headwater.pipelines.api.experiments import ExperimentsApi
from headwater.pipelines.api.pipelines import PipelinesApi
from headwater.pipelines.api.runs import RunsApi
from headwater.pipelines.api.service import Service
from headwater.pipelines.api.uploads import UploadsApi
from headwater.pipelines.api.wire import answering, respond

PREFIX = "/apis/v2beta1"


def routes(context: Context) -> Sequence[Route]:
    """Return the API's routes."""
    service = Service.of(context)
    apis = (
        ExperimentsApi(service),
        UploadsApi(service),
        PipelinesApi(service),
        RunsApi(service),
        ArtifactsApi(service),
    )
    table = [Route("GET", f"{PREFIX}/healthz", healthz, Access.PUBLIC)]
    for api in apis:
        table.extend(replace(route, handler=answering(route.handler)) for route in api.routes(PREFIX))
    return tuple(table)


async def healthz(request: web.Request) -> web.StreamResponse:
    """Say that the API answers. ``multi_user`` is false: the SDK then needs no namespace, the caller's own is meant."""
    return respond({"multi_user": False, "tag_name": __version__, "pipeline_store": "database"})
