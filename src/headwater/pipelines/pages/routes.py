"""The pages of the pipelines room: runs, pipelines, experiments, artifacts, and their part of the home page.

Each page asks the ``Authorizer`` for the verb and resource that the API would ask for. The lists page on the server
with the API's own queries, so that a table of a hundred thousand runs costs what its one page costs.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from headwater.capability import Context
from headwater.capability.routes import Route, identity_of
from headwater.pipelines.pages.artifacts import ArtifactPages
from headwater.pipelines.pages.code import FIRST_PIPELINE, pipeline_snippets, spec_as_yaml
from headwater.pipelines.pages.filter import FilterError, filter_document
from headwater.pipelines.pages.lists import PAGE_SIZE, address, next_page, page_query
from headwater.pipelines.pages.queries import experiment_names, run_counts, run_metrics, step_counts
from headwater.pipelines.pages.reading import missing, read_pipeline
from headwater.pipelines.pages.run import RunPages
from headwater.pipelines.pages.steps import level
from headwater.pipelines.pages.streams import stream_list
from headwater.pipelines.records.catalog import Catalog
from headwater.pipelines.records.filters import QueryError, parse_query
from headwater.pipelines.records.lists import EXPERIMENT_FIELDS, PIPELINE_FIELDS, RUN_FIELDS, VERSION_FIELDS, Page
from headwater.pipelines.records.models import ACTIVE_RUN, PipelineVersionRow, RunRow
from headwater.pipelines.records.records import Records
from headwater.pipelines.roles import GROUP
from headwater.pipelines.spec.tree import ROOT

STATES = (("", "All"), ("active", "Active"), ("failed", "Failed"), ("succeeded", "Succeeded"))
_COLUMNS = 5
"""At most so many parameters, and so many metrics, have columns of their own."""


def routes(context: Context) -> Sequence[Route]:
    """Return every page of the room."""
    records, catalog = Records(context.database, context.clock), Catalog(context.database, context.clock)
    pages = _Pages(context, records, catalog)
    return [
        Route("GET", "/ns/{namespace}/home/pipelines", pages.home),
        Route("GET", "/ns/{namespace}/runs", pages.runs, page=True),
        Route("GET", "/ns/{namespace}/runs/", pages.runs, page=True),
        Route("GET", "/ns/{namespace}/runs-changes", pages.runs_changes),
        *RunPages(context, records).routes(),
        Route("GET", "/ns/{namespace}/pipelines", pages.pipelines, page=True),
        Route("GET", "/ns/{namespace}/pipelines/", pages.pipelines, page=True),
        Route("GET", "/ns/{namespace}/pipelines/{pipeline_id}", pages.pipeline, page=True),
        Route("GET", "/pipelines/{pipeline_id}", pages.pipeline_redirect, page=True),
        Route("GET", "/ns/{namespace}/experiments", pages.experiments, page=True),
        Route("GET", "/ns/{namespace}/experiments/", pages.experiments, page=True),
        Route("GET", "/ns/{namespace}/experiments/{experiment_id}", pages.experiment, page=True),
        Route("GET", "/experiments/{experiment_id}", pages.experiment_redirect, page=True),
        *ArtifactPages(context, records).routes(),
    ]


class _Pages:
    def __init__(self, context: Context, records: Records, catalog: Catalog) -> None:
        self._context = context
        self._records = records
        self._catalog = catalog

    async def _require(self, request: web.Request, verb: str, plural: str, namespace: str = "") -> str:
        """Ask whether the caller may; return the namespace that is meant."""
        where = namespace or request.match_info["namespace"]
        await self._context.authorizer.require(identity_of(request), verb, GROUP, plural, where)
        return where

    async def home(self, request: web.Request) -> web.Response:
        """Show what runs, what failed since yesterday, and the latest, as a part of the home page."""
        namespace = await self._require(request, "list", "runs")
        since = self._context.clock.now() - timedelta(days=1)
        counts = await run_counts(self._context.database, namespace, since)
        latest = await self._list(namespace, filter_document(""), size=8)
        failed = await self._list(namespace, filter_document("", states=("FAILED",)), size=4)
        recent = [run for run in failed.rows if run.finished_at and run.finished_at >= since]
        table = await self._table(latest.rows)
        values = {"counts": counts, "failures": recent, "snippet": _snippet(request), **table}
        return self._context.render(request, "pipelines/home.html", **values)

    async def runs(self, request: web.Request) -> web.Response:
        """List the namespace's runs."""
        namespace = await self._require(request, "list", "runs")
        values = await self._runs_of(request, namespace)
        return self._context.render(request, "pipelines/runs.html", snippet=_snippet(request), **values)

    async def runs_changes(self, request: web.Request) -> web.StreamResponse:
        """Say when the list has changed."""
        namespace = await self._require(request, "list", "runs")
        return await stream_list(self._context, request, namespace)

    async def _runs_of(self, request: web.Request, namespace: str, experiment_id: str = "") -> dict[str, Any]:
        query = request.query
        text, state, archived = query.get("q", ""), query.get("state", ""), query.get("archived") == "1"
        sort = query.get("sort", "created_at desc")
        states = {"active": tuple(s.value for s in ACTIVE_RUN)}.get(state, (state.upper(),) if state else ())
        said = ""
        page: Page[RunRow] = Page([], 0)
        try:
            document = filter_document(text, archived=archived, states=states)
            page = await self._list(namespace, document, sort, query.get("page", ""), experiment_id)
        except (FilterError, QueryError) as error:
            said = str(error)
        kept = {"q": text, "state": state, "archived": "1" if archived else "", "sort": query.get("sort", "")}
        return {
            "filter": text,
            "said": said,
            "state": state,
            "states": STATES,
            "archived": archived,
            "sort": sort,
            "total": page.total_size,
            "paged": bool(query.get("page")),
            "next_page": next_page(request, page, **kept),
            "address": lambda **changes: address(request, **{**kept, **changes}),
            **await self._table(page.rows),
        }

    async def _list(
        self,
        namespace: str,
        document: str,
        sort: str = "created_at desc",
        token: str = "",
        experiment_id: str = "",
        size: int = PAGE_SIZE,
    ) -> Page[RunRow]:
        query = parse_query(RUN_FIELDS, filter_text=document, sort_by=sort, page_size=str(size), page_token=token)
        return await self._records.list_runs(query, namespace=namespace, experiment_id=experiment_id)

    async def _table(self, runs: Sequence[RunRow]) -> dict[str, Any]:
        ids = [run.run_id for run in runs]
        database = self._context.database
        metrics = await run_metrics(database, ids)
        return {
            "runs": runs,
            "metrics": metrics,
            "steps": await step_counts(database, ids),
            "experiments": await experiment_names(database, sorted({run.experiment_id for run in runs})),
            "parameter_columns": columns([run.parameters for run in runs]),
            "metric_columns": columns(list(metrics.values())),
        }

    async def pipelines(self, request: web.Request) -> web.Response:
        """List the namespace's pipelines and the shared ones."""
        namespace = await self._require(request, "list", "pipelines")
        query = page_query(request, PIPELINE_FIELDS)
        page = await self._catalog.list_pipelines(query, namespace=namespace)
        return self._context.render(
            request,
            "pipelines/pipelines.html",
            pipelines=page.rows,
            total=page.total_size,
            filter=request.query.get("q", ""),
            next_page=next_page(request, page, q=request.query.get("q", "")),
            snippet=_snippet(request),
        )

    async def pipeline(self, request: web.Request) -> web.Response:
        """Show a pipeline: its graph, its versions, its spec."""
        namespace = await self._require(request, "get", "pipelines")
        row = await self._catalog.get_pipeline(request.match_info["pipeline_id"])
        if row is None or row.namespace not in (namespace, ""):
            raise missing("pipeline", request.match_info["pipeline_id"], "namespace", namespace)
        versions = await self._catalog.list_versions(
            parse_query(VERSION_FIELDS, sort_by="created_at desc", page_size="100"), pipeline_id=row.pipeline_id
        )
        wanted = request.query.get("version", "")
        version: PipelineVersionRow | None
        if wanted:
            version = await self._catalog.get_version(wanted)
            if version is None or version.pipeline_id != row.pipeline_id:
                raise missing("version", wanted, "pipeline", row.display_name)
        else:
            version = await self._catalog.latest_version(row.pipeline_id)
        tab = request.query.get("tab", "graph")
        values: dict[str, Any] = {"level": None, "problem": "", "inputs": {}}
        if version is not None:
            drawn, values["problem"] = read_pipeline(version.pipeline_spec, version.platform_spec)
            if drawn is not None:
                values["level"] = level(drawn, {}, request.query.get("at", ROOT), "")
                values["inputs"] = drawn.root.parameters
            host = f"{request.scheme}://{request.host}"
            values["spec"] = spec_as_yaml(version.pipeline_spec, version.platform_spec) if tab == "yaml" else ""
            values["snippets"] = pipeline_snippets(row, version.pipeline_version_id, host)
        return self._context.render(
            request, "pipelines/pipeline.html", pipeline=row, versions=versions.rows, version=version, tab=tab, **values
        )

    async def pipeline_redirect(self, request: web.Request) -> web.Response:
        """Lead from a pipeline's id alone to its page."""
        row = await self._catalog.get_pipeline(request.match_info["pipeline_id"])
        namespace = (row.namespace if row else "") or identity_of(request).namespace
        await self._require(request, "get", "pipelines", namespace)
        if row is None:
            raise missing("pipeline", request.match_info["pipeline_id"], "namespace", namespace)
        version = request.query.get("version", "")
        tail = f"?{urlencode({'version': version})}" if version else ""
        raise web.HTTPFound(f"/ns/{namespace}/pipelines/{row.pipeline_id}{tail}")

    async def experiments(self, request: web.Request) -> web.Response:
        """List the namespace's experiments."""
        namespace = await self._require(request, "list", "experiments")
        page = await self._catalog.list_experiments(page_query(request, EXPERIMENT_FIELDS), namespace=namespace)
        return self._context.render(
            request,
            "pipelines/experiments.html",
            experiments=page.rows,
            total=page.total_size,
            filter=request.query.get("q", ""),
            next_page=next_page(request, page, q=request.query.get("q", "")),
        )

    async def experiment(self, request: web.Request) -> web.Response:
        """Show an experiment's runs."""
        namespace = await self._require(request, "get", "experiments")
        await self._require(request, "list", "runs")
        row = await self._catalog.get_experiment(request.match_info["experiment_id"])
        if row is None or row.namespace != namespace:
            raise missing("experiment", request.match_info["experiment_id"], "namespace", namespace)
        values = await self._runs_of(request, namespace, row.experiment_id)
        return self._context.render(
            request, "pipelines/experiment.html", experiment=row, snippet=_snippet(request), **values
        )

    async def experiment_redirect(self, request: web.Request) -> web.Response:
        """Lead from an experiment's id alone to its page."""
        row = await self._catalog.get_experiment(request.match_info["experiment_id"])
        namespace = row.namespace if row else identity_of(request).namespace
        await self._require(request, "get", "experiments", namespace)
        if row is None:
            raise missing("experiment", request.match_info["experiment_id"], "namespace", namespace)
        raise web.HTTPFound(f"/ns/{namespace}/experiments/{row.experiment_id}")


def columns(values: Sequence[Any]) -> list[str]:
    """Return the names that get columns: those that most of the rows have, in the order of their appearance."""
    counts: dict[str, int] = {}
    for row in values:
        for name in row:
            counts[name] = counts.get(name, 0) + 1
    chosen = set(sorted(counts, key=lambda name: -counts[name])[:_COLUMNS])
    return [name for name in counts if name in chosen]


def _snippet(request: web.Request) -> str:
    return FIRST_PIPELINE.format(host=f"{request.scheme}://{request.host}")
