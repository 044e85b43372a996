"""The v2beta1 routes for pipelines and their versions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from headwater.capability.routes import Route
from headwater.pipelines.api.service import Service
from headwater.pipelines.api.shapes import pipeline_json, version_json
from headwater.pipelines.api.submissions import Submission, from_struct
from headwater.pipelines.api.wire import (
    STATUS,
    Kind,
    Message,
    bad_request,
    list_query,
    not_built,
    not_found,
    read_message,
    respond,
    respond_page,
)
from headwater.pipelines.records.lists import PIPELINE_FIELDS, VERSION_FIELDS
from headwater.pipelines.records.models import PipelineRow, PipelineVersionRow

PIPELINE = Message(
    {
        "pipeline_id": Kind.TEXT,
        "display_name": Kind.TEXT,
        "name": Kind.TEXT,
        "description": Kind.TEXT,
        "created_at": Kind.TIME,
        "namespace": Kind.TEXT,
        "error": STATUS,
        "tags": Kind.TEXTS,
    }
)
VERSION = Message(
    {
        "pipeline_id": Kind.TEXT,
        "pipeline_version_id": Kind.TEXT,
        "display_name": Kind.TEXT,
        "name": Kind.TEXT,
        "description": Kind.TEXT,
        "created_at": Kind.TIME,
        "package_url": Message({"pipeline_url": Kind.TEXT}),
        "code_source_url": Kind.TEXT,
        "pipeline_spec": Kind.STRUCT,
        "error": STATUS,
        "tags": Kind.TEXTS,
    }
)
PIPELINE_AND_VERSION = Message({"pipeline": PIPELINE, "pipeline_version": VERSION})

_LATER = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands where the catalog sets the time."""


@dataclass(frozen=True)
class PipelinesApi:
    """Handlers on ``/pipelines``."""

    service: Service

    def routes(self, prefix: str) -> Sequence[Route]:
        """Return the routes below ``prefix``; fixed paths stand before those with an id."""
        all_of_them = f"{prefix}/pipelines"
        one = f"{all_of_them}/{{pipeline_id}}"
        version = f"{one}/versions/{{pipeline_version_id}}"
        return (
            Route("POST", f"{all_of_them}/create", self.create_with_version),
            Route("GET", f"{all_of_them}/names/{{name}}", self.get_by_name),
            Route("GET", all_of_them, self.list),
            Route("POST", all_of_them, self.create),
            Route("GET", one, self.get),
            Route("PATCH", one, self.update),
            Route("DELETE", one, self.delete),
            Route("GET", f"{one}/versions", self.list_versions),
            Route("POST", f"{one}/versions", self.create_version),
            Route("GET", version, self.get_version),
            Route("PATCH", version, self.update_version),
            Route("DELETE", version, self.delete_version),
        )

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Create a pipeline without a version."""
        body = await read_message(request, PIPELINE)
        row = await self._new_pipeline(request, body)
        stored, _ = await self.service.catalog.create_pipeline(row)
        return respond(pipeline_json(stored))

    async def create_with_version(self, request: web.Request) -> web.StreamResponse:
        """Create a pipeline with its first version."""
        body = await read_message(request, PIPELINE_AND_VERSION)
        row = await self._new_pipeline(request, body.get("pipeline", {}))
        given = body.get("pipeline_version", {})
        submission = await _spec_of(given)
        version = new_version({"name": row.name, "display_name": row.display_name} | given, submission)
        stored, _ = await self.service.catalog.create_pipeline(row, version)
        return respond(pipeline_json(stored))

    async def _new_pipeline(self, request: web.Request, body: dict[str, Any]) -> PipelineRow:
        namespace = self.service.namespace(request, body.get("namespace"))
        await self.service.require(request, "create", "pipelines", namespace)
        return new_pipeline(body, namespace)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Read one pipeline."""
        row = await self.service.pipeline(request, "get", request.match_info["pipeline_id"])
        return respond(pipeline_json(row))

    async def get_by_name(self, request: web.Request) -> web.StreamResponse:
        """Read the namespace's pipeline of this name, else the shared one."""
        name, namespace = request.match_info["name"], self.service.namespace(request)
        await self.service.require(request, "get", "pipelines", namespace, name)
        row = await self.service.catalog.find_pipeline(namespace, name)
        if row is None:
            raise not_found("pipeline", name)
        return respond(pipeline_json(row))

    async def list(self, request: web.Request) -> web.StreamResponse:
        """List a namespace's pipelines, and the shared ones."""
        namespace = self.service.namespace(request)
        await self.service.require(request, "list", "pipelines", namespace)
        page = await self.service.catalog.list_pipelines(list_query(request, PIPELINE_FIELDS), namespace=namespace)
        return respond_page("pipelines", [pipeline_json(row) for row in page.rows], page)

    async def update(self, request: web.Request) -> web.StreamResponse:
        """Change a pipeline's display name, description or tags."""
        row = await self.service.pipeline(request, "update", request.match_info["pipeline_id"])
        body = await read_message(request, PIPELINE)
        changed = await self.service.catalog.update_pipeline(row.pipeline_id, _mutable(body))
        if changed is None:
            raise not_found("pipeline", row.pipeline_id)
        return respond(pipeline_json(changed))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Delete a pipeline that has no versions, or with ``cascade=true`` also one that has."""
        row = await self.service.pipeline(request, "delete", request.match_info["pipeline_id"])
        cascade = request.query.get("cascade", "").lower() == "true"
        await self.service.catalog.delete_pipeline(row.pipeline_id, cascade=cascade)
        return respond({})

    async def create_version(self, request: web.Request) -> web.StreamResponse:
        """Add a version to a pipeline."""
        row = await self.service.pipeline(request, "create", request.match_info["pipeline_id"])
        body = await read_message(request, VERSION)
        version = new_version(body, await _spec_of(body))
        stored = await self.service.catalog.create_version(row.pipeline_id, version)
        return await self._version_response(stored)

    async def get_version(self, request: web.Request) -> web.StreamResponse:
        """Read one version with its spec."""
        return await self._version_response(await self._version(request, "get"))

    async def list_versions(self, request: web.Request) -> web.StreamResponse:
        """List a pipeline's versions with their specs."""
        row = await self.service.pipeline(request, "list", request.match_info["pipeline_id"])
        query = list_query(request, VERSION_FIELDS)
        page = await self.service.catalog.list_versions(query, pipeline_id=row.pipeline_id)
        documents = await self.service.records.spec_documents(version.spec_hash for version in page.rows)
        rows = [version_json(one, documents.get(one.spec_hash)) for one in page.rows]
        return respond_page("pipeline_versions", rows, page)

    async def update_version(self, request: web.Request) -> web.StreamResponse:
        """Change a version's display name, description or tags."""
        row = await self._version(request, "update")
        body = await read_message(request, VERSION)
        changed = await self.service.catalog.update_version(row.pipeline_version_id, _mutable(body))
        if changed is None:
            raise not_found("pipeline version", row.pipeline_version_id)
        return await self._version_response(changed)

    async def delete_version(self, request: web.Request) -> web.StreamResponse:
        """Delete a version."""
        row = await self._version(request, "delete")
        await self.service.catalog.delete_version(row.pipeline_version_id)
        return respond({})

    async def _version(self, request: web.Request, verb: str) -> PipelineVersionRow:
        match = request.match_info
        return await self.service.version(request, verb, match["pipeline_id"], match["pipeline_version_id"])

    async def _version_response(self, row: PipelineVersionRow) -> web.Response:
        documents = await self.service.records.spec_documents([row.spec_hash])
        return respond(version_json(row, documents.get(row.spec_hash)))


def new_pipeline(body: dict[str, Any], namespace: str) -> PipelineRow:
    """Return a pipeline as a request describes it. Raises ``ApiError``."""
    name = body.get("name") or body.get("display_name", "")
    return PipelineRow(
        pipeline_id="",
        namespace=namespace,
        name=_checked_name(name, "A pipeline"),
        display_name=_checked_name(body.get("display_name") or name, "A pipeline"),
        description=body.get("description", ""),
        tags=body.get("tags", {}),
        created_at=_LATER,
    )


def new_version(body: dict[str, Any], submission: Submission) -> PipelineVersionRow:
    """Return a version as a request describes it; its name defaults to the pipeline's own. Raises ``ApiError``."""
    name = body.get("name") or body.get("display_name") or submission.pipeline.name
    return PipelineVersionRow(
        pipeline_version_id="",
        pipeline_id="",
        name=_checked_name(name, "A pipeline version"),
        display_name=_checked_name(body.get("display_name") or name, "A pipeline version"),
        description=body.get("description", ""),
        pipeline_spec=submission.documents.spec,
        platform_spec=submission.documents.platform,
        package_url=body.get("package_url", {}).get("pipeline_url", ""),
        code_source_url=body.get("code_source_url", ""),
        tags=body.get("tags", {}),
        created_at=_LATER,
    )


def _checked_name(name: str, what: str) -> str:
    if not name.strip() or len(name) > 255:
        raise bad_request(f"{what} needs a name (name or display_name) of 1 to 255 characters.")
    return name


async def _spec_of(body: dict[str, Any]) -> Submission:
    if "pipeline_spec" in body:
        return await from_struct(body["pipeline_spec"])
    if body.get("package_url", {}).get("pipeline_url"):
        raise not_built("Fetching a pipeline from package_url; send pipeline_spec or upload the file")
    raise bad_request("A pipeline version needs a pipeline_spec.")


def _mutable(body: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {name: body[name] for name in ("display_name", "description", "tags") if name in body}
    if "display_name" in values:
        _checked_name(values["display_name"], "It")
    return values
