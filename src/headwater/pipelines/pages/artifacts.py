"""The artifact pages: the list, one artifact with a preview and its lineage, and its content."""

from typing import Any

from aiohttp import web

from headwater.capability import Context
from headwater.capability.routes import Route, identity_of
from headwater.pipelines.pages.charts import charts_of, other_metadata, scalar_metrics
from headwater.pipelines.pages.lists import next_page, page_query
from headwater.pipelines.pages.preview import SANDBOX, Preview, look
from headwater.pipelines.pages.reading import missing
from headwater.pipelines.records.lists import ARTIFACT_FIELDS
from headwater.pipelines.records.models import ArtifactRow, Direction
from headwater.pipelines.records.owners import ArtifactOwners
from headwater.pipelines.records.records import Records
from headwater.pipelines.roles import GROUP


class ArtifactPages:
    """Serves what steps read and made."""

    def __init__(self, context: Context, records: Records) -> None:
        self._context = context
        self._records = records
        self._owners = ArtifactOwners(context.database, context.artifacts)

    def routes(self) -> list[Route]:
        """Return the routes of artifacts."""
        here = "/ns/{namespace}/artifacts/{artifact_id}"
        return [
            Route("GET", "/ns/{namespace}/artifacts", self.index, page=True),
            Route("GET", "/ns/{namespace}/artifacts/", self.index, page=True),
            Route("GET", here, self.show, page=True),
            Route("GET", f"{here}/preview", self.preview),
            Route("GET", f"{here}/content", self.content),
            Route("GET", "/artifacts/{artifact_id}", self.redirect, page=True),
        ]

    async def _artifact(self, request: web.Request) -> ArtifactRow:
        """Return the artifact if the caller may see it; 404 for one of another namespace."""
        artifact_id = request.match_info["artifact_id"]
        row = await self._records.get_artifact(artifact_id)
        namespace = request.match_info.get("namespace")
        asked = namespace or (row.namespace if row else identity_of(request).namespace)
        await self._context.authorizer.require(identity_of(request), "get", GROUP, "artifacts", asked)
        if row is None or row.namespace != asked:
            raise missing("artifact", artifact_id, "namespace", asked)
        return row

    async def _look(self, row: ArtifactRow) -> Preview:
        """Look into the artifact, unless its record claims what is another namespace's."""
        if await self._owners.refusal(row.namespace, row.uri):
            return Preview("missing")
        return await look(self._context.artifacts, row.uri, row.type)

    async def index(self, request: web.Request) -> web.Response:
        """List the namespace's artifacts, newest first."""
        namespace = request.match_info["namespace"]
        await self._context.authorizer.require(identity_of(request), "list", GROUP, "artifacts", namespace)
        page = await self._records.list_artifacts(page_query(request, ARTIFACT_FIELDS), namespace=namespace)
        return self._context.render(
            request,
            "pipelines/artifacts.html",
            artifacts=page.rows,
            total=page.total_size,
            next_page=next_page(request, page),
        )

    async def redirect(self, request: web.Request) -> web.Response:
        """Lead from an artifact's id alone to its page."""
        row = await self._artifact(request)
        raise web.HTTPFound(f"/ns/{row.namespace}/artifacts/{row.artifact_id}")

    async def show(self, request: web.Request) -> web.Response:
        """Show an artifact: what it is, what is in it, what made it and what used it."""
        row = await self._artifact(request)
        links = await self._records.artifact_uses(row.artifact_id)
        runs: dict[str, str] = {}
        for _, task in links:
            if task.run_id not in runs:
                run = await self._records.get_run(task.run_id, with_spec=False)
                runs[task.run_id] = run.display_name if run else task.run_id
        metrics = scalar_metrics(row.metadata) if row.type.endswith("Metrics") else {}
        values: dict[str, Any] = {
            "artifact": row,
            "preview": await self._look(row),
            "made_by": [(use, task) for use, task in links if use.direction is Direction.OUTPUT],
            "used_by": [(use, task) for use, task in links if use.direction is Direction.INPUT],
            "run_names": runs,
            "metrics": metrics,
            "charts": charts_of(row.metadata),
            "rest": other_metadata(row.metadata, metrics),
        }
        return self._context.render(request, "pipelines/artifact.html", **values)

    async def preview(self, request: web.Request) -> web.Response:
        """Show only what is in the artifact, for a step's panel."""
        row = await self._artifact(request)
        preview = await self._look(row)
        return self._context.render(request, "pipelines/preview.html", artifact=row, preview=preview)

    async def content(self, request: web.Request) -> web.StreamResponse:
        """Send the artifact's bytes: to look at in a sandbox, or with ``?download=1`` to keep."""
        row = await self._artifact(request)
        preview = await self._look(row)
        if preview.kind in ("missing", "folder"):
            raise missing("object", row.uri, "artifact", row.name)
        response = web.StreamResponse(headers=_headers(row, preview, download=request.query.get("download") == "1"))
        await response.prepare(request)
        if preview.kind != "empty":
            async for piece in self._context.artifacts.stream(row.uri):
                await response.write(piece)
        return response


def _headers(row: ArtifactRow, preview: Preview, *, download: bool) -> dict[str, str]:
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in row.uri.rpartition("/")[2])
    inline = preview.kind in ("image", "html", "text", "table") and not download
    content_type = preview.content_type if inline else "application/octet-stream"
    if content_type.startswith("text/"):
        content_type += "; charset=utf-8"
    headers = {"Content-Type": content_type, "Content-Security-Policy": SANDBOX}
    if not inline:
        headers["Content-Disposition"] = f'attachment; filename="{name or "artifact"}"'
        headers["Content-Length"] = str(preview.size)
    return headers
