"""The upload routes: a compiled pipeline as a multipart file, everything else in the query."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import BodyPartReader, MultipartReader, web

from headwater.capability.routes import Route
from headwater.pipelines.api.pipelines import new_pipeline, new_version
from headwater.pipelines.api.service import Service
from headwater.pipelines.api.shapes import pipeline_json, version_json
from headwater.pipelines.api.submissions import Submission, from_upload
from headwater.pipelines.api.wire import (
    MAX_BODY,
    Kind,
    answering,
    bad_request,
    check_message,
    respond,
    upload_error_response,
)
from headwater.pipelines.api.wire import Message as Fields

_TAGS = Fields({"tags": Kind.TEXTS})


@dataclass(frozen=True)
class UploadsApi:
    """Handlers on ``/pipelines/upload`` and ``/pipelines/upload_version``."""

    service: Service

    def routes(self, prefix: str) -> Sequence[Route]:
        """Return the routes below ``prefix``; they answer errors in their own shape."""
        return (
            Route("POST", f"{prefix}/pipelines/upload", answering(self.upload, upload_error_response)),
            Route("POST", f"{prefix}/pipelines/upload_version", answering(self.upload_version, upload_error_response)),
        )

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Create a pipeline and its first version from a file."""
        namespace = self.service.namespace(request)
        await self.service.require(request, "create", "pipelines", namespace)
        values = _query_values(request)
        submission = await _read_file(request)
        row = new_pipeline({"name": submission.pipeline.name} | values, namespace)
        version = new_version({"name": row.name, "display_name": row.display_name} | values, submission)
        stored, _ = await self.service.catalog.create_pipeline(row, version)
        return respond(pipeline_json(stored))

    async def upload_version(self, request: web.Request) -> web.StreamResponse:
        """Add a version to a pipeline from a file."""
        pipeline_id = request.query.get("pipelineid", "")
        if not pipeline_id:
            raise bad_request("The query needs pipelineid: the pipeline that the version belongs to.")
        row = await self.service.pipeline(request, "create", pipeline_id)
        submission = await _read_file(request)
        stored = await self.service.catalog.create_version(
            row.pipeline_id, new_version(_query_values(request), submission)
        )
        documents = await self.service.records.spec_documents([stored.spec_hash])
        return respond(version_json(stored, documents.get(stored.spec_hash)))


def _query_values(request: web.Request) -> dict[str, Any]:
    names = ("name", "display_name", "description", "code_source_url")
    values: dict[str, Any] = {name: request.query[name] for name in names if request.query.get(name)}
    if tags := request.query.get("tags"):
        try:
            values |= check_message({"tags": orjson.loads(tags)}, _TAGS)
        except orjson.JSONDecodeError as error:
            raise bad_request(f"tags is not valid JSON: {error}") from None
    return values


async def _read_file(request: web.Request) -> Submission:
    if not request.content_type.startswith("multipart/"):
        raise bad_request('The request must be multipart/form-data with the file in the part "uploadfile".')
    try:
        data, filename = await _find_file(await request.multipart())
    except ValueError as error:
        raise bad_request(f"The multipart body cannot be read: {error}") from None
    return await from_upload(data, filename)


async def _find_file(parts: MultipartReader) -> tuple[bytes, str]:
    while (part := await parts.next()) is not None:
        if isinstance(part, BodyPartReader) and part.name == "uploadfile":
            return await _read_part(part), part.filename or ""
    raise bad_request('The request has no part "uploadfile".')


async def _read_part(part: BodyPartReader) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := await part.read_chunk(1 << 16):
        size += len(piece)
        if size > MAX_BODY:
            raise bad_request(f"The file is larger than {MAX_BODY >> 20} MiB.")
        pieces.append(bytes(piece))
    return b"".join(pieces)
