"""The run reconciler on a real API server, store and records; the node is the test, which ends pods as it likes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.pipelines.simulation import DATA, python

from headwater.artifacts.directory import DirectoryStore
from headwater.capability import Context
from headwater.capability.identity import Authorizer
from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.local import LocalClient
from headwater.cluster.store import Store
from headwater.database import Database
from headwater.kube.controller import Informers, Manager
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, annotations_of, is_deleting, name_of
from headwater.kube.meta.resources import CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, PODS, SERVICE_ACCOUNTS
from headwater.kube.meta.time import SystemClock, format_time
from headwater.pipelines import capability
from headwater.pipelines.records.models import RunRow, RunState, TaskRow
from headwater.pipelines.records.records import Records
from headwater.pipelines.runs.execute import PATH_ANNOTATION
from headwater.pipelines.runs.reconciler import controllers
from headwater.pipelines.runs.tasks import Values
from headwater.pipelines.spec.documents import read_documents
from headwater.pipelines.types import RUNS, run_object

MIGRATIONS = Path(__file__).parents[2] / "src/headwater/pipelines/migrations"
NAMESPACE = "team"


@dataclass
class Cluster:
    """What a test holds."""

    client: LocalClient
    context: Context
    records: Records
    manager: Manager | None = None
    informers: Informers | None = None
    ended: list[str] = field(default_factory=list)
    """Task paths, in the order in which their programs ran to an end."""

    async def submit(self, name: str, parameters: Mapping[str, Any] | None = None, **spec: Any) -> str:
        """Record a run and create its object, as the API does; return its id."""
        documents = read_documents((DATA / f"{name}.yaml").read_bytes())
        number = len(await self.client_runs())
        row = RunRow(
            run_id=f"run-{number}",
            namespace=NAMESPACE,
            experiment_id="",
            display_name=f"{name} {number}",
            pipeline_name=documents.spec["pipelineInfo"]["name"],
            pipeline_spec=documents.spec,
            platform_spec=documents.platform,
            parameters=parameters or {},
            created_at=datetime.now(UTC),
        )
        await self.records.create_run(row)
        run = run_object(row)
        run["spec"] |= spec
        await self.client.create(RUNS, run)
        return row.run_id

    async def client_runs(self) -> list[Object]:
        return (await self.client.list(RUNS)).items

    async def pods(self) -> list[Object]:
        """Return the pods that have not ended, oldest first."""
        found = (await self.client.list(PODS, NAMESPACE)).items
        alive = [pod for pod in found if pod["status"].get("phase", "Pending") in ("Pending", "Running")]
        return sorted(alive, key=lambda pod: int(pod["metadata"]["resourceVersion"]))

    async def pod(self, path: str) -> Object:
        """Wait for the pod of a task."""
        return await self.until(lambda: self._pod(path), f"pod of {path}")

    async def _pod(self, path: str) -> Object | None:
        found = [pod for pod in await self.pods() if annotations_of(pod)[PATH_ANNOTATION] == f"root/{path}"]
        return found[0] if found else None

    async def task(self, run_id: str, path: str) -> TaskRow | None:
        rows = {row.path: row for row in await self.records.load_tasks(run_id)}
        return rows.get(f"root/{path}")

    async def until(self, ask: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
        """Ask until there is an answer."""
        async with asyncio.timeout(seconds):
            while True:
                answer = await ask()
                if answer:
                    return answer
                await asyncio.sleep(0.002)
        raise AssertionError(what)

    async def set_status(self, pod: Object, status: Object) -> None:
        await self.client.patch(PODS, name_of(pod), {"status": status}, NAMESPACE, subresource="status")

    async def start(self, pod: Object) -> None:
        now = format_time(datetime.now(UTC))
        state = {"running": {"startedAt": now}}
        await self.set_status(pod, {"phase": "Running", "containerStatuses": [_container(state)]})

    async def succeed(self, pod: Object, outputs: Mapping[str, Any] | None = None) -> None:
        """End a pod well, with what its program wrote."""
        given = executor_input(pod)
        store = self.context.artifacts
        artifacts = {
            key: {"artifacts": [{**value["artifacts"][0], "metadata": {"made by": name_of(pod)}}]}
            for key, value in given["outputs"].get("artifacts", {}).items()
        }
        uri = _uri(given["outputs"]["outputFile"])
        said = {"parameterValues": dict(outputs or {}), "artifacts": artifacts}
        await store.write(uri, json.dumps(said).encode())
        for value in artifacts.values():
            await store.write(value["artifacts"][0]["uri"], name_of(pod).encode())
        await self.end(pod, 0)

    async def end(self, pod: Object, code: int, message: str = "") -> None:
        """End a pod with an exit code."""
        self.ended.append(annotations_of(pod)[PATH_ANNOTATION].removeprefix("root/"))
        state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed", "message": message}}
        status = {"phase": "Failed" if code else "Succeeded", "containerStatuses": [_container(state)]}
        await self.set_status(pod, status)

    async def remove(self, pod: Object) -> None:
        """Take a pod away, as a node agent does after a deletion."""
        await self.client.delete(PODS, name_of(pod), NAMESPACE, grace_period_seconds=0)

    async def work(self, run_id: str) -> RunRow:
        """Be a node that runs everything at once and well, until the run is over."""

        async def step() -> RunRow | None:
            for pod in await self.pods():
                path = annotations_of(pod)[PATH_ANNOTATION]
                given = executor_input(pod)
                ids = {
                    key: tuple(one["uri"] for one in v["artifacts"])
                    for key, v in given["inputs"].get("artifacts", {}).items()
                }
                made = python(path, Values(given["inputs"]["parameterValues"], ids))
                if is_deleting(pod):
                    await self.remove(pod)
                elif made is None:
                    await self.end(pod, 1, "Traceback\nRuntimeError: on purpose\n")
                else:
                    await self.succeed(pod, made)
            row = await self.records.get_run(run_id, with_spec=False)
            return row if row is not None and row.state.finished else None

        found: RunRow = await self.until(step, "the run's end")
        return found

    async def finished(self, run_id: str) -> RunRow:
        """Wait for the end of a run without being a node."""

        async def ended() -> RunRow | None:
            row = await self.records.get_run(run_id, with_spec=False)
            return row if row is not None and row.state.finished else None

        found: RunRow = await self.until(ended, "the run's end")
        return found

    async def start_controllers(self) -> None:
        self.informers = Informers(self.client, clock=self.context.clock)
        object.__setattr__(self.context, "informers", self.informers)
        self.manager = Manager(self.client, self.informers, controllers(self.context), self.context.clock)
        await self.manager.start()

    async def stop_controllers(self) -> None:
        """End the controllers in the middle of whatever they do."""
        assert self.manager is not None
        assert self.informers is not None
        await self.manager.stop()
        await self.informers.stop()

    async def run_state(self, run_id: str) -> RunState:
        row = await self.records.get_run(run_id, with_spec=False)
        assert row is not None
        return row.state


def executor_input(pod: Object) -> dict[str, Any]:
    """Return what the pod's program is told; container components are told nothing but by their arguments."""
    arguments = pod["spec"]["containers"][0]["args"]
    if "--executor_input" in arguments:
        found: dict[str, Any] = json.loads(arguments[arguments.index("--executor_input") + 1])
        return found
    root = pod["spec"]["volumes"][0]["csi"]["volumeAttributes"]["uri"]
    return {"inputs": {"parameterValues": {"text": ""}}, "outputs": {"outputFile": f"{root}/executor_output.json"}}


def _uri(path: str) -> str:
    return path.replace("/minio/", "minio://", 1)


def _container(state: Object) -> Object:
    return {"name": "main", "image": "i", "imageID": "i", "ready": False, "restartCount": 0, "state": state}


@asynccontextmanager
async def cluster(directory: Path) -> AsyncIterator[Cluster]:
    """A running platform without node, garbage collection and gateway."""
    clock = SystemClock()
    database = Database.open(f"sqlite:///{directory / 'records.db'}")
    database.migrate("pipelines", MIGRATIONS)
    store = await Store.open(directory / "cluster.db")
    api = Api(store, clock=clock)
    await api.start()
    client = LocalClient(api)
    for definition in capability.resources:
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition)
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    try:
        await client.create(
            SERVICE_ACCOUNTS,
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NAMESPACE}},
        )
    except StatusError:
        pass
    context = Context(
        client=client,
        informers=Informers(client, clock=clock),
        database=database,
        artifacts=DirectoryStore(directory / "artifacts"),
        authorizer=Authorizer(client),
        render=None,
        clock=clock,
    )
    made = Cluster(client, context, Records(database, clock))
    await made.start_controllers()
    try:
        yield made
    finally:
        await made.stop_controllers()
        await api.stop()
        await store.close()
        await database.close()
