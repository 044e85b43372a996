"""The v2beta1 routes for runs: submit, watch, stop, put away; and for recurring runs, which are not built yet."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from headwater.capability.errors import Code
from headwater.capability.routes import Route
from headwater.pipelines.api.service import Service
from headwater.pipelines.api.shapes import run_json, task_details, tasks_json
from headwater.pipelines.api.submissions import Submission, from_struct, run_parameters
from headwater.pipelines.api.wire import (
    STATUS,
    ApiError,
    Kind,
    Message,
    bad_request,
    checked_display_name,
    list_query,
    not_built,
    not_found,
    present,
    read_message,
    respond,
    respond_page,
    wants_full,
)
from headwater.pipelines.records.lists import RUN_FIELDS
from headwater.pipelines.records.models import ExperimentRow, PipelineVersionRow, RunRow, StorageState
from headwater.pipelines.runs.submission import delete, submit, terminate

RUN = Message(
    {
        "experiment_id": Kind.TEXT,
        "run_id": Kind.TEXT,
        "display_name": Kind.TEXT,
        "storage_state": Kind.TEXT,
        "description": Kind.TEXT,
        "pipeline_version_id": Kind.TEXT,
        "pipeline_spec": Kind.STRUCT,
        "pipeline_version_reference": Message({"pipeline_id": Kind.TEXT, "pipeline_version_id": Kind.TEXT}),
        "runtime_config": Message({"parameters": Kind.STRUCT, "pipeline_root": Kind.TEXT}),
        "service_account": Kind.TEXT,
        "created_at": Kind.TIME,
        "scheduled_at": Kind.TIME,
        "finished_at": Kind.TIME,
        "state": Kind.TEXT,
        "error": STATUS,
        "run_details": Kind.STRUCT,
        "recurring_run_id": Kind.TEXT,
        "state_history": Kind.ANY,
        "plugins_input": Kind.STRUCT,
        "plugins_output": Kind.STRUCT,
        "tasks": Kind.ANY,
    }
)


@dataclass(frozen=True)
class RunsApi:
    """Handlers on ``/runs`` and ``/recurringruns``."""

    service: Service

    def routes(self, prefix: str) -> Sequence[Route]:
        """Return the routes below ``prefix``."""
        one = f"{prefix}/runs/{{run_id}}"
        recurring = f"{prefix}/recurringruns"
        again = f"{recurring}/{{recurring_run_id}}"
        return (
            Route("GET", f"{prefix}/runs", self.list),
            Route("POST", f"{prefix}/runs", self.create),
            Route("GET", one, self.get),
            Route("DELETE", one, self.delete),
            Route("POST", f"{one}:archive", self.archive),
            Route("POST", f"{one}:unarchive", self.unarchive),
            Route("POST", f"{one}:terminate", self.terminate),
            Route("POST", f"{one}:retry", self.retry),
            Route("GET", f"{one}/tasks", self.list_tasks),
            Route("GET", f"{one}/tasks/{{task_id}}", self.get_task),
            Route("GET", recurring, self.list_recurring),
            Route("POST", recurring, self.recurring),
            Route("GET", again, self.recurring),
            Route("DELETE", again, self.recurring),
            Route("POST", f"{again}:enable", self.recurring),
            Route("POST", f"{again}:disable", self.recurring),
        )

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Submit a run."""
        body = await read_message(request, RUN)
        experiment = await self._experiment(request, body.get("experiment_id") or request.query.get("experiment_id"))
        name = checked_display_name(body)
        if body.get("plugins_input"):
            raise not_built("plugins_input")
        version, submission = await self._source(request, body)
        config = body.get("runtime_config", {})
        await run_parameters(submission.pipeline, config.get("parameters", {}))
        now = self.service.context.clock.now()
        run = RunRow(
            run_id=str(uuid.uuid4()),
            namespace=experiment.namespace,
            experiment_id=experiment.experiment_id,
            display_name=name,
            description=body.get("description", ""),
            pipeline_id=version.pipeline_id if version else "",
            pipeline_version_id=version.pipeline_version_id if version else "",
            pipeline_name=submission.pipeline.name,
            pipeline_spec=submission.documents.spec,
            platform_spec=submission.documents.platform,
            parameters=config.get("parameters", {}),
            pipeline_root=config.get("pipeline_root", ""),
            service_account=body.get("service_account", ""),
            created_at=now,
            scheduled_at=now,
        )
        await submit(self.service.context.client, self.service.records, run)
        return await self._respond(run.run_id, full=False)

    async def _experiment(self, request: web.Request, experiment_id: str | None) -> ExperimentRow:
        if not experiment_id:
            namespace = self.service.namespace(request)
            await self.service.require(request, "create", "runs", namespace)
            row: ExperimentRow | None = await self.service.catalog.default_experiment(namespace)
        else:
            row = await self.service.catalog.get_experiment(experiment_id)
            if row is not None:
                await self.service.require(request, "create", "runs", row.namespace)
        if row is None:
            raise not_found("experiment", experiment_id or "")
        if row.storage_state is StorageState.ARCHIVED:
            message = f'The experiment "{row.display_name}" is archived: restore it before you run in it.'
            raise ApiError(Code.FAILED_PRECONDITION, message)
        return row

    async def _source(self, request: web.Request, body: dict[str, Any]) -> tuple[PipelineVersionRow | None, Submission]:
        given = [
            name for name in ("pipeline_spec", "pipeline_version_reference", "pipeline_version_id") if body.get(name)
        ]
        if len(given) != 1:
            raise bad_request(
                "A run needs exactly one of pipeline_spec and pipeline_version_reference"
                + (f", and has {' and '.join(given)}." if given else ".")
            )
        if body.get("pipeline_spec"):
            return None, await from_struct(body["pipeline_spec"])
        reference = body.get("pipeline_version_reference", {})
        version_id = reference.get("pipeline_version_id") or body.get("pipeline_version_id", "")
        pipeline_id = reference.get("pipeline_id", "")
        catalog = self.service.catalog
        found = await catalog.get_version(version_id) if version_id else await catalog.latest_version(pipeline_id)
        if found is None:
            raise not_found("pipeline version", version_id or f"of the pipeline {pipeline_id}")
        version = await self.service.version(
            request, "get", pipeline_id or found.pipeline_id, found.pipeline_version_id
        )
        document = {"pipeline_spec": version.pipeline_spec, "platform_spec": version.platform_spec}
        return version, await from_struct(document)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Read a run with its tasks; ``view=FULL`` adds them in the newer shape."""
        run = await self.service.run(request, "get", request.match_info["run_id"])
        return await self._respond(run.run_id, full=wants_full(request))

    async def _respond(self, run_id: str, *, full: bool) -> web.Response:
        records = self.service.records
        run = await records.get_run(run_id, with_spec=False)
        if run is None:
            raise not_found("run", run_id)
        tasks, linked = await records.load_tasks(run_id), await records.load_artifacts(run_id)
        documents = await records.spec_documents([run.spec_hash])
        answer = run_json(run, documents.get(run.spec_hash))
        if tasks:
            answer["run_details"] = {"task_details": task_details(run, tasks, linked)}
        if full:
            answer["tasks"] = tasks_json(run, tasks, linked)
            answer["task_count"] = len(tasks)
        return respond(answer)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """List the runs of an experiment or a namespace, without their tasks unless ``view=FULL``."""
        experiment_id = request.query.get("experiment_id", "")
        if experiment_id:
            experiment = await self.service.catalog.get_experiment(experiment_id)
            if experiment is None:
                raise not_found("experiment", experiment_id)
            namespace = experiment.namespace
        else:
            namespace = self.service.namespace(request)
        await self.service.require(request, "list", "runs", namespace)
        records = self.service.records
        query = list_query(request, RUN_FIELDS)
        page = await records.list_runs(query, namespace=namespace, experiment_id=experiment_id)
        documents = await records.spec_documents(run.spec_hash for run in page.rows if not run.pipeline_version_id)
        answers = [run_json(run, documents.get(run.spec_hash)) for run in page.rows]
        if wants_full(request):
            for run, answer in zip(page.rows, answers, strict=True):
                tasks, linked = await records.load_tasks(run.run_id), await records.load_artifacts(run.run_id)
                answer["tasks"] = tasks_json(run, tasks, linked)
        return respond_page("runs", answers, page)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Delete a run, its pods and its records."""
        run = await self.service.run(request, "delete", request.match_info["run_id"])
        await delete(self.service.context.client, self.service.records, run)
        return respond({})

    async def archive(self, request: web.Request) -> web.StreamResponse:
        """Put a run among the archived ones; a running one goes on."""
        run = await self.service.run(request, "archive", request.match_info["run_id"])
        await self.service.records.set_run_storage(run.run_id, StorageState.ARCHIVED)
        return respond({})

    async def unarchive(self, request: web.Request) -> web.StreamResponse:
        """Restore an archived run; its experiment must not be archived."""
        run = await self.service.run(request, "unarchive", request.match_info["run_id"])
        experiment = await self.service.catalog.get_experiment(run.experiment_id)
        if experiment is not None and experiment.storage_state is StorageState.ARCHIVED:
            message = f'The experiment "{experiment.display_name}" is archived: restore it before its runs.'
            raise ApiError(Code.FAILED_PRECONDITION, message)
        await self.service.records.set_run_storage(run.run_id, StorageState.AVAILABLE)
        return respond({})

    async def terminate(self, request: web.Request) -> web.StreamResponse:
        """Ask for a run's end: it goes CANCELING and ends FAILED."""
        run = await self.service.run(request, "terminate", request.match_info["run_id"])
        if not await terminate(self.service.context.client, self.service.records, run):
            raise ApiError(Code.FAILED_PRECONDITION, f'The run "{run.display_name}" is over already ({run.state}).')
        return respond({})

    async def retry(self, request: web.Request) -> web.StreamResponse:
        """Say that retrying a run is not built yet."""
        await self.service.run(request, "retry", request.match_info["run_id"])
        raise not_built("Retrying a run; submit it again, and finished steps are taken from the cache")

    async def list_tasks(self, request: web.Request) -> web.StreamResponse:
        """List a run's tasks in the newer shape."""
        tasks = await self._tasks(request)
        return respond(present(tasks=tasks, total_size=len(tasks) or None))

    async def get_task(self, request: web.Request) -> web.StreamResponse:
        """Read one task in the newer shape."""
        for task in await self._tasks(request):
            if task["task_id"] == request.match_info["task_id"]:
                return respond(task)
        raise not_found("task", request.match_info["task_id"])

    async def _tasks(self, request: web.Request) -> Sequence[dict[str, Any]]:
        run = await self.service.run(request, "get", request.match_info["run_id"])
        records = self.service.records
        return tasks_json(run, await records.load_tasks(run.run_id), await records.load_artifacts(run.run_id))

    async def list_recurring(self, request: web.Request) -> web.StreamResponse:
        """Answer that there are no recurring runs, since none can be created yet."""
        await self.service.require(request, "list", "jobs", self.service.namespace(request))
        return respond({})

    async def recurring(self, request: web.Request) -> web.StreamResponse:
        """Say that recurring runs are not built yet."""
        verb = {"GET": "get", "DELETE": "delete"}.get(request.method, "create")
        await self.service.require(request, verb, "jobs", self.service.namespace(request))
        raise not_built("Recurring runs")
