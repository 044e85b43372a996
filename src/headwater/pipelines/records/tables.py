"""How the pipelines room's records are stored: the tables, and the indices that its lists and its reconciler need.

One schema for SQLite, PostgreSQL and MySQL. The Alembic revisions in ``migrations`` build these tables; a test holds
the two together. A spec is stored once, under the hash of its content, however many runs and versions use it.
"""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from headwater.database.engine import Moment

metadata = MetaData()

_ID = String(64)
_NAME = String(255)

experiments = Table(
    "pipelines_experiments",
    metadata,
    Column("experiment_id", _ID, primary_key=True),
    Column("namespace", _NAME, nullable=False),
    Column("display_name", _NAME, nullable=False),
    Column("description", Text, nullable=False),
    Column("storage_state", String(16), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("last_run_created_at", Moment),
    UniqueConstraint("namespace", "display_name", name="pipelines_experiments_name"),
    Index("pipelines_experiments_created", "namespace", "created_at", "experiment_id"),
)

pipelines = Table(
    "pipelines_pipelines",
    metadata,
    Column("pipeline_id", _ID, primary_key=True),
    Column("namespace", _NAME, nullable=False),
    Column("name", _NAME, nullable=False),
    Column("display_name", _NAME, nullable=False),
    Column("description", Text, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("namespace", "name", name="pipelines_pipelines_name"),
    Index("pipelines_pipelines_created", "namespace", "created_at", "pipeline_id"),
)

specs = Table(
    "pipelines_specs",
    metadata,
    Column("spec_hash", String(64), primary_key=True),
    Column("body", LargeBinary(2**24), nullable=False),
)

versions = Table(
    "pipelines_versions",
    metadata,
    Column("pipeline_version_id", _ID, primary_key=True),
    Column("pipeline_id", _ID, nullable=False),
    Column("name", _NAME, nullable=False),
    Column("display_name", _NAME, nullable=False),
    Column("description", Text, nullable=False),
    Column("spec_hash", String(64), nullable=False),
    Column("package_url", Text, nullable=False),
    Column("code_source_url", Text, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("pipeline_id", "name", name="pipelines_versions_name"),
    Index("pipelines_versions_created", "pipeline_id", "created_at", "pipeline_version_id"),
    Index("pipelines_versions_spec", "spec_hash"),
)

runs = Table(
    "pipelines_runs",
    metadata,
    Column("run_id", _ID, primary_key=True),
    Column("namespace", _NAME, nullable=False),
    Column("experiment_id", _ID, nullable=False),
    Column("display_name", _NAME, nullable=False),
    Column("description", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("storage_state", String(16), nullable=False),
    Column("state_history", JSON, nullable=False),
    Column("error", Text, nullable=False),
    Column("pipeline_id", _ID, nullable=False),
    Column("pipeline_version_id", _ID, nullable=False),
    Column("pipeline_name", _NAME, nullable=False),
    Column("spec_hash", String(64), nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("pipeline_root", Text, nullable=False),
    Column("service_account", _NAME, nullable=False),
    Column("recurring_run_id", _ID, nullable=False),
    Column("terminate", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("scheduled_at", Moment),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Index("pipelines_runs_created", "namespace", "created_at", "run_id"),
    Index("pipelines_runs_named", "namespace", "display_name", "run_id"),
    Index("pipelines_runs_stored", "namespace", "storage_state", "created_at", "run_id"),
    Index("pipelines_runs_experiment", "experiment_id", "created_at", "run_id"),
    Index("pipelines_runs_state", "state", "created_at"),
    Index("pipelines_runs_spec", "spec_hash"),
)

tasks = Table(
    "pipelines_tasks",
    metadata,
    Column("task_id", _ID, primary_key=True),
    Column("run_id", _ID, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("path", Text, nullable=False),
    Column("parent_path", Text, nullable=False),
    Column("name", _NAME, nullable=False),
    Column("display_name", _NAME, nullable=False),
    Column("type", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("state_history", JSON, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("pod_name", _NAME, nullable=False),
    Column("inputs", JSON, nullable=False),
    Column("outputs", JSON, nullable=False),
    Column("data", JSON, nullable=False),
    Column("error", Text, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("cache_explanation", Text, nullable=False),
    Column("cached_from", _ID, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    UniqueConstraint("run_id", "sequence", name="pipelines_tasks_sequence"),
    Index("pipelines_tasks_pod", "run_id", "pod_name"),
)

artifacts = Table(
    "pipelines_artifacts",
    metadata,
    Column("artifact_id", _ID, primary_key=True),
    Column("namespace", _NAME, nullable=False),
    Column("name", _NAME, nullable=False),
    Column("type", _NAME, nullable=False),
    Column("uri", Text, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("run_id", _ID, nullable=False),
    Column("task_id", _ID, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index("pipelines_artifacts_created", "namespace", "created_at", "artifact_id"),
    Index("pipelines_artifacts_run", "run_id"),
)

uses = Table(
    "pipelines_artifact_uses",
    metadata,
    Column("task_id", _ID, primary_key=True),
    Column("direction", String(8), primary_key=True),
    Column("key", _NAME, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("artifact_id", _ID, nullable=False),
    Column("run_id", _ID, nullable=False),
    Index("pipelines_artifact_uses_run", "run_id"),
    Index("pipelines_artifact_uses_artifact", "artifact_id"),
)

cache = Table(
    "pipelines_cache",
    metadata,
    Column("task_id", _ID, primary_key=True),
    Column("run_id", _ID, nullable=False),
    Column("namespace", _NAME, nullable=False),
    Column("pipeline_name", _NAME, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("task_name", _NAME, nullable=False),
    Column("parts", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index("pipelines_cache_fingerprint", "namespace", "fingerprint", "created_at"),
    Index("pipelines_cache_name", "namespace", "task_name", "created_at"),
    Index("pipelines_cache_run", "run_id"),
)
