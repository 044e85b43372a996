"""The v2beta1 routes for experiments."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from headwater.capability.routes import Route
from headwater.pipelines.api.service import Service
from headwater.pipelines.api.shapes import experiment_json
from headwater.pipelines.api.wire import (
    Kind,
    Message,
    checked_display_name,
    list_query,
    read_message,
    respond,
    respond_page,
)
from headwater.pipelines.records.lists import EXPERIMENT_FIELDS
from headwater.pipelines.records.models import StorageState

EXPERIMENT = Message(
    {
        "experiment_id": Kind.TEXT,
        "display_name": Kind.TEXT,
        "description": Kind.TEXT,
        "created_at": Kind.TIME,
        "namespace": Kind.TEXT,
        "storage_state": Kind.TEXT,
        "last_run_created_at": Kind.TIME,
    }
)


@dataclass(frozen=True)
class ExperimentsApi:
    """Handlers on ``/experiments``."""

    service: Service

    def routes(self, prefix: str) -> Sequence[Route]:
        """Return the routes below ``prefix``."""
        one = f"{prefix}/experiments/{{experiment_id}}"
        return (
            Route("GET", f"{prefix}/experiments", self.list),
            Route("POST", f"{prefix}/experiments", self.create),
            Route("GET", one, self.get),
            Route("DELETE", one, self.delete),
            Route("POST", f"{one}:archive", self.archive),
            Route("POST", f"{one}:unarchive", self.unarchive),
        )

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Create an experiment."""
        body = await read_message(request, EXPERIMENT)
        namespace = self.service.namespace(request, body.get("namespace"))
        await self.service.require(request, "create", "experiments", namespace)
        name = checked_display_name(body)
        row = await self.service.catalog.create_experiment(namespace, name, body.get("description", ""))
        return respond(experiment_json(row))

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Read one experiment."""
        row = await self.service.experiment(request, "get", request.match_info["experiment_id"])
        return respond(experiment_json(row))

    async def list(self, request: web.Request) -> web.StreamResponse:
        """List a namespace's experiments."""
        namespace = self.service.namespace(request)
        await self.service.require(request, "list", "experiments", namespace)
        query = list_query(request, EXPERIMENT_FIELDS)
        page = await self.service.catalog.list_experiments(query, namespace=namespace)
        return respond_page("experiments", [experiment_json(row) for row in page.rows], page)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Delete an experiment; its runs stay."""
        row = await self.service.experiment(request, "delete", request.match_info["experiment_id"])
        await self.service.catalog.delete_experiment(row.experiment_id)
        return respond({})

    async def archive(self, request: web.Request) -> web.StreamResponse:
        """Archive an experiment and its runs."""
        row = await self.service.experiment(request, "archive", request.match_info["experiment_id"])
        await self.service.catalog.set_experiment_storage(row.experiment_id, StorageState.ARCHIVED)
        return respond({})

    async def unarchive(self, request: web.Request) -> web.StreamResponse:
        """Restore an experiment; its runs stay archived until each is restored."""
        row = await self.service.experiment(request, "unarchive", request.match_info["experiment_id"])
        await self.service.catalog.set_experiment_storage(row.experiment_id, StorageState.AVAILABLE)
        return respond({})
