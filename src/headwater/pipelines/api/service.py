"""What every part of the pipelines API shares: the records, and the question whether the caller may.

Authorization is Kubernetes RBAC on the group ``pipelines.kubeflow.org``, with upstream's resource names and verbs, so
that the roles that Kubeflow's users have keep their meaning. A record is read first, since only it knows its namespace.
"""

from dataclasses import dataclass

from aiohttp import web

from headwater.artifacts import ArtifactStore
from headwater.capability import Context
from headwater.capability.routes import identity_of
from headwater.pipelines.api.wire import not_found
from headwater.pipelines.records.catalog import Catalog
from headwater.pipelines.records.models import ExperimentRow, PipelineRow, PipelineVersionRow, RunRow
from headwater.pipelines.records.owners import ArtifactOwners
from headwater.pipelines.records.records import Records
from headwater.pipelines.roles import GROUP


@dataclass(frozen=True)
class Service:
    """The records and the caller's rights to them."""

    context: Context
    records: Records
    catalog: Catalog
    owners: ArtifactOwners

    @classmethod
    def of(cls, context: Context) -> "Service":
        """Return the service on the context's database."""
        records = Records(context.database, context.clock)
        owners = ArtifactOwners(context.database, context.artifacts)
        return cls(context, records, Catalog(context.database, context.clock), owners)

    @property
    def artifacts(self) -> ArtifactStore:
        """The artifact store."""
        return self.context.artifacts

    async def require(self, request: web.Request, verb: str, plural: str, namespace: str, name: str = "") -> None:
        """Raise ``StatusError`` 403 unless the caller may do this in the namespace (empty: in the whole cluster)."""
        await self.context.authorizer.require(identity_of(request), verb, GROUP, plural, namespace, name)

    def namespace(self, request: web.Request, given: str | None = None) -> str:
        """Return the namespace that a request means: the one it names, else the caller's own."""
        return given or request.query.get("namespace") or identity_of(request).namespace

    async def experiment(self, request: web.Request, verb: str, experiment_id: str) -> ExperimentRow:
        """Return an experiment with which the caller may do this. Raises ``ApiError`` 404, ``StatusError`` 403."""
        row = await self.catalog.get_experiment(experiment_id)
        if row is None:
            raise not_found("experiment", experiment_id)
        await self.require(request, verb, "experiments", row.namespace, row.display_name)
        return row

    async def pipeline(self, request: web.Request, verb: str, pipeline_id: str) -> PipelineRow:
        """Return a pipeline with which the caller may do this. Raises ``ApiError`` 404, ``StatusError`` 403."""
        row = await self.catalog.get_pipeline(pipeline_id)
        if row is None:
            raise not_found("pipeline", pipeline_id)
        await self.require_pipeline(request, verb, row)
        return row

    async def require_pipeline(self, request: web.Request, verb: str, row: PipelineRow) -> None:
        """Raise unless the caller may do this; who reads pipelines in their own namespace reads shared ones too."""
        namespace = row.namespace
        if not namespace and verb in ("get", "list"):
            namespace = identity_of(request).namespace
        await self.require(request, verb, "pipelines", namespace, row.name)

    async def version(self, request: web.Request, verb: str, pipeline_id: str, version_id: str) -> PipelineVersionRow:
        """Return a pipeline's version with which the caller may do this. Raises as ``pipeline`` does."""
        await self.pipeline(request, verb, pipeline_id)
        row = await self.catalog.get_version(version_id)
        if row is None or row.pipeline_id != pipeline_id:
            raise not_found("pipeline version", version_id)
        return row

    async def run(self, request: web.Request, verb: str, run_id: str, *, with_spec: bool = False) -> RunRow:
        """Return a run with which the caller may do this. Raises ``ApiError`` 404, ``StatusError`` 403."""
        row = await self.records.get_run(run_id, with_spec=with_spec)
        if row is None:
            raise not_found("run", run_id)
        await self.require(request, verb, "runs", row.namespace, row.run_id)
        return row
