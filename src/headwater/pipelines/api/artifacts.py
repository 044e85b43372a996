"""The routes for what runs leave behind: artifacts, their lineage, and the steps' logs.

Content is always sent as a download of unknown type: it was written by a user's step, and a browser must not run it in
this site's name.
"""

import base64
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web

from headwater.capability.errors import Code
from headwater.capability.routes import Route
from headwater.pipelines.api.service import Service
from headwater.pipelines.api.shapes import artifact_json, artifact_task_json
from headwater.pipelines.api.wire import (
    ApiError,
    bad_request,
    list_query,
    not_found,
    present,
    respond,
    respond_page,
)
from headwater.pipelines.records.lists import ARTIFACT_FIELDS
from headwater.pipelines.records.models import ArtifactRow, Direction, TaskRow
from headwater.pipelines.runs.logs import stream_log

log = logging.getLogger(__name__)

_MAX_INLINE = 32 << 20
_SAFE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}


@dataclass(frozen=True)
class ArtifactsApi:
    """Handlers on ``/artifacts``, ``/artifact_tasks`` and below a run's nodes."""

    service: Service

    def routes(self, prefix: str) -> Sequence[Route]:
        """Return the routes below ``prefix``, and the log's, which stayed at the oldest version."""
        node = "/runs/{run_id}/nodes/{node_id}"
        return (
            Route("GET", f"{prefix}/artifacts", self.list),
            Route("GET", f"{prefix}/artifacts/{{artifact_id}}:download", self.download),
            Route("GET", f"{prefix}/artifacts/{{artifact_id}}", self.get),
            Route("GET", f"{prefix}/artifact_tasks", self.list_uses),
            Route("GET", f"{prefix}{node}/artifacts/{{artifact_name}}:read", self.read),
            Route("GET", f"/apis/v1alpha1{node}/log", self.log),
        )

    async def list(self, request: web.Request) -> web.StreamResponse:
        """List a namespace's artifacts."""
        namespace = self.service.namespace(request)
        await self.service.require(request, "list", "artifacts", namespace)
        page = await self.service.records.list_artifacts(list_query(request, ARTIFACT_FIELDS), namespace=namespace)
        return respond_page("artifacts", [artifact_json(row) for row in page.rows], page)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Read one artifact's record."""
        return respond(artifact_json(await self._artifact(request)))

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Send an artifact's bytes; ``path`` names a file inside one that is a folder."""
        row = await self._artifact(request)
        uri = f"{row.uri.rstrip('/')}/{request.query['path']}" if request.query.get("path") else row.uri
        if not uri:
            raise bad_request(f'The artifact "{row.name}" has no content, only metadata.')
        await self._require_content(row.namespace, uri)
        pieces = self.service.artifacts.stream(uri)
        try:
            piece = await anext(pieces, b"")
        except (OSError, ValueError) as error:
            raise await self._unreadable(uri, error) from None
        name = quote(uri.rpartition("/")[2], safe="")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        }
        return await _send(request, headers, piece, pieces)

    async def _require_content(self, namespace: str, uri: str) -> None:
        """Raise 403 for a record whose URI is another namespace's: a step may claim any as its output."""
        refused = await self.service.owners.refusal(namespace, uri)
        if refused:
            raise ApiError(Code.PERMISSION_DENIED, f"The artifact's content cannot be read: {refused}.")

    async def _unreadable(self, uri: str, error: Exception) -> ApiError:
        if isinstance(error, IsADirectoryError):
            files = [entry.uri.removeprefix(uri).lstrip("/") for entry in await self.service.artifacts.entries(uri)]
            some = ", ".join(files[:10]) + (", …" if len(files) > 10 else "")
            return bad_request(
                f"The artifact is a folder: name one of its files with ?path=. It holds {some or 'none'}."
            )
        if isinstance(error, ValueError):
            return bad_request(str(error))
        return ApiError(Code.NOT_FOUND, f"The artifact's content cannot be read: {error}")

    async def read(self, request: web.Request) -> web.StreamResponse:
        """Send an output's content inside JSON, as upstream does."""
        run = await self.service.run(request, "readArtifact", request.match_info["run_id"])
        task = await self._task(run.run_id, request.match_info["node_id"])
        name = request.match_info["artifact_name"]
        for use, artifact in await self.service.records.load_artifacts(run.run_id):
            if use.task_id == task.task_id and use.direction is Direction.OUTPUT and use.key == name:
                return respond({"data": base64.b64encode(await self._content(artifact)).decode()})
        raise not_found(f'artifact of the task "{task.path}"', name)

    async def _content(self, artifact: ArtifactRow) -> bytes:
        await self._require_content(artifact.namespace, artifact.uri)
        try:
            data = await self.service.artifacts.read(artifact.uri, limit=_MAX_INLINE + 1)
        except (OSError, ValueError) as error:
            raise await self._unreadable(artifact.uri, error) from None
        if len(data) > _MAX_INLINE:
            raise bad_request(
                f"The artifact is larger than {_MAX_INLINE >> 20} MiB: "
                f"get it from /apis/v2beta1/artifacts/{artifact.artifact_id}:download."
            )
        return data

    async def list_uses(self, request: web.Request) -> web.StreamResponse:
        """List the links between tasks and artifacts, of given runs, tasks or artifacts."""
        query = request.query
        wanted = {name: query.getall(name, []) for name in ("run_ids", "task_ids", "artifact_ids")}
        links = await self.service.records.find_uses(**wanted) if any(wanted.values()) else []
        for namespace in sorted({namespace for _, _, namespace in links} or {self.service.namespace(request)}):
            await self.service.require(request, "list", "artifacts", namespace)
        kind = query.get("type", "").upper()
        answers = [artifact_task_json(use, run_id) for use, run_id, _ in links]
        return respond(present(artifact_tasks=[one for one in answers if not kind or one["type"] == kind]))

    async def log(self, request: web.Request) -> web.StreamResponse:
        """Stream a step's log as text; ``follow=true`` goes on until the step ends."""
        run = await self.service.run(request, "get", request.match_info["run_id"])
        task = await self._task(run.run_id, request.match_info["node_id"])
        follow = request.query.get("follow", "").lower() in ("true", "1")
        attempt = request.query.get("attempt", "")
        if attempt and not attempt.isdigit():
            raise bad_request(f"attempt: {attempt!r} is not a number")
        context = self.service.context
        wanted = int(attempt) if attempt else None
        pieces = stream_log(context.client, context.artifacts, run.namespace, task, attempt=wanted, follow=follow)
        try:
            piece = await anext(pieces, b"")
        except FileNotFoundError as error:
            raise ApiError(Code.NOT_FOUND, f'The task "{task.path}": {error}.') from None
        return await _send(request, {"Content-Type": "text/plain; charset=utf-8"}, piece, pieces)

    async def _artifact(self, request: web.Request) -> ArtifactRow:
        key = request.match_info["artifact_id"]
        row = await self.service.records.get_artifact(key)
        if row is None:
            raise not_found("artifact", key)
        await self.service.require(request, "get", "artifacts", row.namespace, row.artifact_id)
        return row

    async def _task(self, run_id: str, node: str) -> TaskRow:
        """Find a task by its pod, its id, its path, or its name where only one has it."""
        tasks = await self.service.records.load_tasks(run_id)
        for task in tasks:
            if node in (task.pod_name, task.task_id, task.path):
                return task
        named = [task for task in tasks if task.name == node]
        if len(named) != 1:
            raise (
                not_found("task", node)
                if not named
                else bad_request(f'{len(named)} tasks are called "{node}": name one by its id or its path.')
            )
        return named[0]


async def _send(
    request: web.Request, headers: Mapping[str, str], first: bytes, rest: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Send a body piece by piece. An error half-way breaks the connection, so that no one takes it for the whole."""
    response = web.StreamResponse(headers={**_SAFE, **headers})
    await response.prepare(request)
    try:
        await response.write(first)
        async for piece in rest:
            await response.write(piece)
        await response.write_eof()
    except ConnectionError:
        log.debug("the reader of %s went away", request.path)
    except Exception:
        log.exception("sending %s failed half-way", request.path)
        if request.transport is not None:
            request.transport.abort()
    return response
