"""The first records: experiments, pipelines, versions, specs, runs, tasks, artifacts and the cache.

Times are microseconds since 1970, in UTC.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "pipelines_artifact_uses",
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("artifact_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "direction", "key", "position"),
    )
    op.create_index("pipelines_artifact_uses_artifact", "pipelines_artifact_uses", ["artifact_id"], unique=False)
    op.create_index("pipelines_artifact_uses_run", "pipelines_artifact_uses", ["run_id"], unique=False)
    op.create_table(
        "pipelines_artifacts",
        sa.Column("artifact_id", sa.String(length=64), nullable=False),
        sa.Column("namespace", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=255), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("artifact_id"),
    )
    op.create_index(
        "pipelines_artifacts_created", "pipelines_artifacts", ["namespace", "created_at", "artifact_id"], unique=False
    )
    op.create_index("pipelines_artifacts_run", "pipelines_artifacts", ["run_id"], unique=False)
    op.create_table(
        "pipelines_cache",
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("namespace", sa.String(length=255), nullable=False),
        sa.Column("pipeline_name", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("task_name", sa.String(length=255), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id"),
    )
    op.create_index(
        "pipelines_cache_fingerprint", "pipelines_cache", ["namespace", "fingerprint", "created_at"], unique=False
    )
    op.create_index("pipelines_cache_name", "pipelines_cache", ["namespace", "task_name", "created_at"], unique=False)
    op.create_index("pipelines_cache_run", "pipelines_cache", ["run_id"], unique=False)
    op.create_table(
        "pipelines_experiments",
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("namespace", sa.String(length=255), nullable=False),
        sa.Column("display_name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("storage_state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_run_created_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("experiment_id"),
        sa.UniqueConstraint("namespace", "display_name", name="pipelines_experiments_name"),
    )
    op.create_index(
        "pipelines_experiments_created",
        "pipelines_experiments",
        ["namespace", "created_at", "experiment_id"],
        unique=False,
    )
    op.create_table(
        "pipelines_pipelines",
        sa.Column("pipeline_id", sa.String(length=64), nullable=False),
        sa.Column("namespace", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("display_name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pipeline_id"),
        sa.UniqueConstraint("namespace", "name", name="pipelines_pipelines_name"),
    )
    op.create_index(
        "pipelines_pipelines_created", "pipelines_pipelines", ["namespace", "created_at", "pipeline_id"], unique=False
    )
    op.create_table(
        "pipelines_runs",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("namespace", sa.String(length=255), nullable=False),
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("display_name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("storage_state", sa.String(length=16), nullable=False),
        sa.Column("state_history", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("pipeline_id", sa.String(length=64), nullable=False),
        sa.Column("pipeline_version_id", sa.String(length=64), nullable=False),
        sa.Column("pipeline_name", sa.String(length=255), nullable=False),
        sa.Column("spec_hash", sa.String(length=64), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("pipeline_root", sa.Text(), nullable=False),
        sa.Column("service_account", sa.String(length=255), nullable=False),
        sa.Column("recurring_run_id", sa.String(length=64), nullable=False),
        sa.Column("terminate", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("scheduled_at", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_index("pipelines_runs_created", "pipelines_runs", ["namespace", "created_at", "run_id"], unique=False)
    op.create_index(
        "pipelines_runs_experiment", "pipelines_runs", ["experiment_id", "created_at", "run_id"], unique=False
    )
    op.create_index("pipelines_runs_named", "pipelines_runs", ["namespace", "display_name", "run_id"], unique=False)
    op.create_index("pipelines_runs_spec", "pipelines_runs", ["spec_hash"], unique=False)
    op.create_index("pipelines_runs_state", "pipelines_runs", ["state", "created_at"], unique=False)
    op.create_index(
        "pipelines_runs_stored", "pipelines_runs", ["namespace", "storage_state", "created_at", "run_id"], unique=False
    )
    op.create_table(
        "pipelines_specs",
        sa.Column("spec_hash", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(length=16777216), nullable=False),
        sa.PrimaryKeyConstraint("spec_hash"),
    )
    op.create_table(
        "pipelines_tasks",
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("parent_path", sa.Text(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("display_name", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("state_history", sa.JSON(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("pod_name", sa.String(length=255), nullable=False),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("outputs", sa.JSON(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("cache_explanation", sa.Text(), nullable=False),
        sa.Column("cached_from", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("task_id"),
        sa.UniqueConstraint("run_id", "sequence", name="pipelines_tasks_sequence"),
    )
    op.create_index("pipelines_tasks_pod", "pipelines_tasks", ["run_id", "pod_name"], unique=False)
    op.create_table(
        "pipelines_versions",
        sa.Column("pipeline_version_id", sa.String(length=64), nullable=False),
        sa.Column("pipeline_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("display_name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("spec_hash", sa.String(length=64), nullable=False),
        sa.Column("package_url", sa.Text(), nullable=False),
        sa.Column("code_source_url", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pipeline_version_id"),
        sa.UniqueConstraint("pipeline_id", "name", name="pipelines_versions_name"),
    )
    op.create_index(
        "pipelines_versions_created",
        "pipelines_versions",
        ["pipeline_id", "created_at", "pipeline_version_id"],
        unique=False,
    )
    op.create_index("pipelines_versions_spec", "pipelines_versions", ["spec_hash"], unique=False)


def downgrade() -> None:
    """Drop the tables, and with them everything that they hold."""
    for table in (
        "pipelines_artifact_uses",
        "pipelines_artifacts",
        "pipelines_cache",
        "pipelines_experiments",
        "pipelines_pipelines",
        "pipelines_runs",
        "pipelines_specs",
        "pipelines_tasks",
        "pipelines_versions",
    ):
        op.drop_table(table)
