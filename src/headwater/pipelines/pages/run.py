"""The run page: the graph and the timeline, the picked step beside them, the results, the events, the spec.

Everything is in the address (``?tab=results``, ``?at=root/models/1&step=root/models/1/train``), so every view can be
shared and reloaded. The page is whole without scripts; with them parts of it are fetched anew when the run changes.
"""

from collections import OrderedDict
from typing import Any

from aiohttp import web

from headwater.capability import Context
from headwater.capability.routes import Route, identity_of
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.resources import EVENTS
from headwater.pipelines.pages.code import run_snippets, spec_as_yaml
from headwater.pipelines.pages.queries import experiment_names
from headwater.pipelines.pages.reading import missing, read_pipeline
from headwater.pipelines.pages.results import (
    Loaded,
    artifacts_of,
    first_failure,
    first_stuck,
    happenings,
    involved,
    results,
    summary,
    why_it_waits,
)
from headwater.pipelines.pages.steps import Level, label_of, level, said_parameters, timeline
from headwater.pipelines.pages.streams import send_log, stream_run
from headwater.pipelines.records.models import ArtifactRow, ArtifactUse, Direction, RunRow, StorageState
from headwater.pipelines.records.records import Records
from headwater.pipelines.roles import GROUP
from headwater.pipelines.spec.tree import ROOT, Container, Pipeline

TABS = (("overview", "Overview"), ("results", "Results"), ("events", "Events"), ("yaml", "YAML"), ("code", "From code"))
PANELS = (("details", "Details"), ("logs", "Logs"), ("events", "Events"))
_SPECS_KEPT = 16


class RunPages:
    """Serves the run page and what it fetches."""

    def __init__(self, context: Context, records: Records) -> None:
        self._context = context
        self._records = records
        self._pipelines: OrderedDict[str, tuple[Pipeline | None, str]] = OrderedDict()

    def routes(self) -> list[Route]:
        """Return the routes below one run."""
        here = "/ns/{namespace}/runs/{run_id}"
        return [
            Route("GET", "/runs/{run_id}", self.redirect, page=True),
            Route("GET", here, self.show, page=True),
            Route("GET", f"{here}/changes", self.changes),
            Route("GET", f"{here}/log", self.log),
        ]

    async def redirect(self, request: web.Request) -> web.Response:
        """Lead from a run's id alone to its page in its namespace."""
        run = await self._run(request, request.match_info["run_id"])
        raise web.HTTPFound(f"/ns/{run.namespace}/runs/{run.run_id}")

    async def show(self, request: web.Request) -> web.Response:
        """Show the run."""
        run = await self._run(request, request.match_info["run_id"], with_spec=True)
        loaded = await self._load(run)
        tab = request.query.get("tab", "overview")
        tab = tab if tab in dict(TABS) else "overview"
        names = await experiment_names(self._context.database, [run.experiment_id])
        values: dict[str, Any] = {
            "run": run,
            "tabs": TABS,
            "tab": tab,
            "problem": loaded.problem,
            "experiment": names.get(run.experiment_id, ""),
            "failed": first_failure(loaded),
            "stuck": first_stuck(loaded),
            "may": await self._may(request, run),
        }
        shown = {
            "overview": self._overview,
            "results": self._results,
            "events": self._events,
            "yaml": self._yaml,
            "code": self._code,
        }
        values |= await shown[tab](request, loaded)
        return self._context.render(request, "pipelines/run.html", **values)

    async def _overview(self, request: web.Request, loaded: Loaded) -> dict[str, Any]:
        step = request.query.get("step", "")
        at = request.query.get("at") or (step.rpartition("/")[0] if step else "") or ROOT
        shown: Level | None = None
        if loaded.pipeline is not None:
            shown = level(loaded.pipeline, loaded.tasks, at, step)
        picked = step or (shown.path if shown is not None and shown.path != ROOT else "")
        panel = await self._panel(request, loaded, picked) if picked else None
        return {
            "level": shown,
            "timeline": timeline(loaded.pipeline, loaded.tasks, self._context.clock.now()),
            "step": step,
            "panel": panel,
            "summary": None if panel else summary(loaded),
            "panels": PANELS,
        }

    async def _results(self, request: web.Request, loaded: Loaded) -> dict[str, Any]:
        return results(loaded)

    async def _events(self, request: web.Request, loaded: Loaded) -> dict[str, Any]:
        pods = {task.pod_name for task in loaded.tasks.values() if task.pod_name}
        found = [
            e for e in await self._kubernetes_events(loaded.run.namespace) if involved(e) in {*pods, loaded.run.run_id}
        ]
        return {"happenings": happenings(loaded.run.state_history, found), "whose": True}

    async def _yaml(self, request: web.Request, loaded: Loaded) -> dict[str, Any]:
        return {"spec": spec_as_yaml(loaded.run.pipeline_spec, loaded.run.platform_spec)}

    async def _code(self, request: web.Request, loaded: Loaded) -> dict[str, Any]:
        return {"snippets": run_snippets(loaded.run, f"{request.scheme}://{request.host}")}

    async def changes(self, request: web.Request) -> web.StreamResponse:
        """Stream what changes in the run."""
        run = await self._run(request, request.match_info["run_id"])
        return await stream_run(self._context, request, run.run_id)

    async def log(self, request: web.Request) -> web.StreamResponse:
        """Send a step's log; ``?follow=1`` goes on until the step is over, ``?skip=`` starts at a byte."""
        run = await self._run(request, request.match_info["run_id"])
        tasks = {task.path: task for task in await self._records.load_tasks(run.run_id)}
        task = tasks.get(request.query.get("step", ""))
        if task is None:
            raise missing("step", request.query.get("step", ""), "run", run.display_name)
        return await send_log(
            self._context,
            request,
            run,
            task,
            attempt=_number(request, "attempt", task.attempt),
            follow=request.query.get("follow") == "1" and not task.state.finished,
            skip=_number(request, "skip", 0),
        )

    async def _panel(self, request: web.Request, loaded: Loaded, path: str) -> dict[str, Any] | None:
        task = loaded.tasks.get(path)
        found = loaded.pipeline.at(path) if loaded.pipeline is not None else None
        if task is None and found is None:
            return None
        panel = request.query.get("panel", "details")
        panel = panel if panel in dict(PANELS) and (task is None or task.pod_name or panel == "details") else "details"
        component = found[0] if found else None
        values: dict[str, Any] = {
            "path": path,
            "task": task,
            "state": task.state.value if task else "NONE",
            "label": label_of(loaded.pipeline, loaded.tasks, path),
            "image": component.body.image if component is not None and isinstance(component.body, Container) else "",
            "shown": panel,
            "why": why_it_waits(loaded, path, task),
            "happenings": [],
        }
        if task is not None:
            values["inputs"] = said_parameters(task.inputs)
            values["outputs"] = said_parameters(task.outputs)
            values["taken"] = artifacts_of(loaded, task, Direction.INPUT)
            values["made"] = artifacts_of(loaded, task, Direction.OUTPUT)
            if panel == "events":
                events = await self._kubernetes_events(loaded.run.namespace, task.pod_name)
                values["happenings"] = happenings(task.state_history, events)
        return values

    async def _kubernetes_events(self, namespace: str, name: str = "") -> list[dict[str, Any]]:
        selector = f"involvedObject.name={name}" if name else ""
        try:
            found = await self._context.client.list(EVENTS, namespace, field_selector=selector, limit=500)
        except StatusError:
            return []
        return found.items

    async def _may(self, request: web.Request, run: RunRow) -> frozenset[str]:
        """Return what the caller may do with the run now, by the API's verbs."""
        if run.state.finished:
            archived = run.storage_state is StorageState.ARCHIVED
            verbs = ["unarchive" if archived else "archive", "delete"]
        else:
            verbs = [] if run.terminate else ["terminate"]
        identity, authorizer = identity_of(request), self._context.authorizer
        return frozenset([v for v in verbs if await authorizer.allowed(identity, v, GROUP, "runs", run.namespace)])

    async def _run(self, request: web.Request, run_id: str, *, with_spec: bool = False) -> RunRow:
        """Return the run if the caller may see it; 404 for one that is not in the address's namespace."""
        run = await self._records.get_run(run_id, with_spec=with_spec)
        namespace = request.match_info.get("namespace")
        asked = namespace or (run.namespace if run is not None else identity_of(request).namespace)
        await self._context.authorizer.require(identity_of(request), "get", GROUP, "runs", asked, run_id)
        if run is None or run.namespace != asked:
            raise missing("run", run_id, "namespace", asked)
        return run

    async def _load(self, run: RunRow) -> Loaded:
        tasks = {task.path: task for task in await self._records.load_tasks(run.run_id)}
        links: dict[str, list[tuple[ArtifactUse, ArtifactRow]]] = {}
        for use, artifact in await self._records.load_artifacts(run.run_id):
            links.setdefault(use.task_id, []).append((use, artifact))
        pipeline, problem = self._pipeline(run)
        return Loaded(run, pipeline, problem, tasks, links)

    def _pipeline(self, run: RunRow) -> tuple[Pipeline | None, str]:
        known = self._pipelines.get(run.spec_hash) if run.spec_hash else None
        if known is None:
            known = read_pipeline(run.pipeline_spec, run.platform_spec)
            if run.spec_hash:
                self._pipelines[run.spec_hash] = known
                while len(self._pipelines) > _SPECS_KEPT:
                    self._pipelines.popitem(last=False)
        return known


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return int(text) if text.isdigit() else default
