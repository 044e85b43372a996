"""Experiments, pipelines and their versions in the records database.

Rules are those of Kubeflow Pipelines: names are unique in their namespace (versions: in their pipeline), archiving an
experiment archives its runs, deleting one leaves them, and a pipeline is deleted with its versions only when asked.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, and_, or_, select

from headwater.database import Database
from headwater.kube.meta.time import Clock
from headwater.pipelines.records.changes import columns_of, ensure_experiment, first
from headwater.pipelines.records.filters import ListQuery
from headwater.pipelines.records.lists import Page, select_page
from headwater.pipelines.records.models import ExperimentRow, PipelineRow, PipelineVersionRow, StorageState
from headwater.pipelines.records.records import random_id
from headwater.pipelines.records.rows import (
    experiment_in,
    experiment_out,
    pipeline_in,
    pipeline_out,
    version_in,
    version_out,
)
from headwater.pipelines.records.specs import Specs
from headwater.pipelines.records.tables import experiments, pipelines, runs, versions


class NameTakenError(Exception):
    """Another one of this name exists where names are unique."""


class NotEmptyError(Exception):
    """A pipeline still has versions."""


class Catalog:
    """What the API and the pages read and write about experiments and pipelines."""

    def __init__(self, database: Database, clock: Clock, new_id: Callable[[], str] = random_id) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id
        self._specs = Specs()

    # Experiments

    async def create_experiment(self, namespace: str, display_name: str, description: str = "") -> ExperimentRow:
        """Store a new experiment. Raises ``NameTakenError``."""
        row = ExperimentRow(
            experiment_id=self._new_id(),
            namespace=namespace,
            display_name=display_name,
            description=description,
            created_at=self._clock.now(),
        )

        def write(connection: Connection) -> ExperimentRow:
            same = and_(experiments.c.namespace == namespace, experiments.c.display_name == display_name)
            if first(connection, experiments, same) is not None:
                raise NameTakenError(f'The experiment "{display_name}" exists already in the namespace "{namespace}".')
            connection.execute(experiments.insert().values(experiment_out(row)))
            return row

        return await self._database.run(write)

    async def default_experiment(self, namespace: str) -> ExperimentRow:
        """Return the experiment for runs that name none; made when it is first asked for."""

        def write(connection: Connection) -> ExperimentRow:
            key = ensure_experiment(connection, namespace, self._new_id(), self._clock.now())
            row = first(connection, experiments, experiments.c.experiment_id == key)
            assert row is not None
            return experiment_in(row)

        return await self._database.run(write)

    async def get_experiment(self, experiment_id: str) -> ExperimentRow | None:
        """Return the experiment, or None."""

        def read(connection: Connection) -> ExperimentRow | None:
            row = first(connection, experiments, experiments.c.experiment_id == experiment_id)
            return experiment_in(row) if row is not None else None

        return await self._database.read(read)

    async def list_experiments(self, query: ListQuery, *, namespace: str) -> Page[ExperimentRow]:
        """Return a page of the namespace's experiments."""

        def read(connection: Connection) -> Page[ExperimentRow]:
            scope = [experiments.c.namespace == namespace]
            page = select_page(connection, experiments, "experiment_id", query, scope)
            return Page([experiment_in(row) for row in page.rows], page.total_size, page.next_page_token)

        return await self._database.read(read)

    async def set_experiment_storage(self, experiment_id: str, state: StorageState) -> bool:
        """Archive an experiment with its runs, or restore it alone; False when there is none."""

        def write(connection: Connection) -> bool:
            this = experiments.update().where(experiments.c.experiment_id == experiment_id)
            if connection.execute(this.values(storage_state=state.value)).rowcount == 0:
                return False
            if state is StorageState.ARCHIVED:
                of_it = runs.update().where(runs.c.experiment_id == experiment_id)
                connection.execute(of_it.values(storage_state=state.value))
            return True

        return await self._database.run(write)

    async def delete_experiment(self, experiment_id: str) -> bool:
        """Forget an experiment; its runs stay. False when there is none."""

        def write(connection: Connection) -> bool:
            this = experiments.delete().where(experiments.c.experiment_id == experiment_id)
            return connection.execute(this).rowcount > 0

        return await self._database.run(write)

    # Pipelines

    async def create_pipeline(
        self, pipeline: PipelineRow, version: PipelineVersionRow | None = None
    ) -> tuple[PipelineRow, PipelineVersionRow | None]:
        """Store a new pipeline, and with it its first version; ids and times are given here.

        Raises ``NameTakenError``.
        """
        stored = replace(pipeline, pipeline_id=self._new_id(), created_at=self._clock.now())

        def write(connection: Connection) -> PipelineVersionRow | None:
            same = and_(pipelines.c.namespace == stored.namespace, pipelines.c.name == stored.name)
            if first(connection, pipelines, same) is not None:
                raise NameTakenError(
                    f'The pipeline "{stored.name}" exists already in the namespace "{stored.namespace}".'
                )
            connection.execute(pipelines.insert().values(pipeline_out(stored)))
            return self._add_version(connection, stored.pipeline_id, version) if version is not None else None

        return stored, await self._database.run(write)

    async def get_pipeline(self, pipeline_id: str) -> PipelineRow | None:
        """Return the pipeline, or None."""

        def read(connection: Connection) -> PipelineRow | None:
            row = first(connection, pipelines, pipelines.c.pipeline_id == pipeline_id)
            return pipeline_in(row) if row is not None else None

        return await self._database.read(read)

    async def find_pipeline(self, namespace: str, name: str) -> PipelineRow | None:
        """Return the namespace's pipeline of this name, else the shared one, or None."""

        def read(connection: Connection) -> PipelineRow | None:
            for where in (namespace, ""):
                row = first(connection, pipelines, and_(pipelines.c.namespace == where, pipelines.c.name == name))
                if row is not None:
                    return pipeline_in(row)
            return None

        return await self._database.read(read)

    async def list_pipelines(self, query: ListQuery, *, namespace: str) -> Page[PipelineRow]:
        """Return a page of the namespace's pipelines and the shared ones."""

        def read(connection: Connection) -> Page[PipelineRow]:
            scope = [or_(pipelines.c.namespace == namespace, pipelines.c.namespace == "")]
            page = select_page(connection, pipelines, "pipeline_id", query, scope)
            return Page([pipeline_in(row) for row in page.rows], page.total_size, page.next_page_token)

        return await self._database.read(read)

    async def update_pipeline(self, pipeline_id: str, values: Mapping[str, Any]) -> PipelineRow | None:
        """Change ``display_name``, ``description`` or ``tags``; None when there is no such pipeline."""

        def write(connection: Connection) -> PipelineRow | None:
            this = pipelines.c.pipeline_id == pipeline_id
            if values:
                connection.execute(pipelines.update().where(this).values(dict(values)))
            row = first(connection, pipelines, this)
            return pipeline_in(row) if row is not None else None

        return await self._database.run(write)

    async def delete_pipeline(self, pipeline_id: str, *, cascade: bool) -> bool:
        """Forget a pipeline; False when there is none.

        Raises ``NotEmptyError`` if it has versions and ``cascade`` is not set. Its runs keep their specs.
        """

        def write(connection: Connection) -> bool:
            of_it = versions.c.pipeline_id == pipeline_id
            hashes = connection.execute(select(versions.c.spec_hash).where(of_it)).scalars().all()
            if hashes and not cascade:
                raise NotEmptyError(
                    f"The pipeline has {len(hashes)} version(s): delete them first, or pass cascade=true."
                )
            connection.execute(versions.delete().where(of_it))
            self._specs.sweep(connection, hashes)
            return connection.execute(pipelines.delete().where(pipelines.c.pipeline_id == pipeline_id)).rowcount > 0

        return await self._database.run(write)

    # Versions

    async def create_version(self, pipeline_id: str, version: PipelineVersionRow) -> PipelineVersionRow:
        """Store a new version of a pipeline; id and time are given here. Raises ``NameTakenError``."""
        return await self._database.run(lambda connection: self._add_version(connection, pipeline_id, version))

    def _add_version(self, connection: Connection, pipeline_id: str, version: PipelineVersionRow) -> PipelineVersionRow:
        same = and_(versions.c.pipeline_id == pipeline_id, versions.c.name == version.name)
        if first(connection, versions, same) is not None:
            raise NameTakenError(f'The pipeline has a version "{version.name}" already.')
        assert version.pipeline_spec is not None
        stored = replace(
            version,
            pipeline_version_id=self._new_id(),
            pipeline_id=pipeline_id,
            spec_hash=self._specs.put(connection, version.pipeline_spec, version.platform_spec),
            created_at=self._clock.now(),
        )
        connection.execute(versions.insert().values(version_out(stored)))
        return stored

    async def get_version(self, pipeline_version_id: str) -> PipelineVersionRow | None:
        """Return the version with its specs, or None."""

        def read(connection: Connection) -> PipelineVersionRow | None:
            row = first(connection, versions, versions.c.pipeline_version_id == pipeline_version_id)
            return version_in(row, self._specs.load(connection, row["spec_hash"])) if row is not None else None

        return await self._database.read(read)

    async def latest_version(self, pipeline_id: str) -> PipelineVersionRow | None:
        """Return the pipeline's newest version with its specs, or None."""

        def read(connection: Connection) -> PipelineVersionRow | None:
            newest = (versions.c.created_at.desc(), versions.c.pipeline_version_id.desc())
            of_it = select(versions).where(versions.c.pipeline_id == pipeline_id)
            found = connection.execute(of_it.order_by(*newest).limit(1)).first()
            if found is None:
                return None
            return version_in(columns_of(found), self._specs.load(connection, found.spec_hash))

        return await self._database.read(read)

    async def list_versions(self, query: ListQuery, *, pipeline_id: str) -> Page[PipelineVersionRow]:
        """Return a page of the pipeline's versions, without specs (``Records.spec_documents`` has them)."""

        def read(connection: Connection) -> Page[PipelineVersionRow]:
            scope = [versions.c.pipeline_id == pipeline_id]
            page = select_page(connection, versions, "pipeline_version_id", query, scope)
            return Page([version_in(row) for row in page.rows], page.total_size, page.next_page_token)

        return await self._database.read(read)

    async def update_version(self, pipeline_version_id: str, values: Mapping[str, Any]) -> PipelineVersionRow | None:
        """Change ``display_name``, ``description`` or ``tags``; None when there is no such version."""

        def write(connection: Connection) -> PipelineVersionRow | None:
            this = versions.c.pipeline_version_id == pipeline_version_id
            if values:
                connection.execute(versions.update().where(this).values(dict(values)))
            row = first(connection, versions, this)
            return version_in(row) if row is not None else None

        return await self._database.run(write)

    async def delete_version(self, pipeline_version_id: str) -> bool:
        """Forget a version; False when there is none. Its runs keep their specs."""

        def write(connection: Connection) -> bool:
            row = first(connection, versions, versions.c.pipeline_version_id == pipeline_version_id)
            if row is None:
                return False
            connection.execute(versions.delete().where(versions.c.pipeline_version_id == pipeline_version_id))
            self._specs.sweep(connection, [row["spec_hash"]])
            return True

        return await self._database.run(write)
