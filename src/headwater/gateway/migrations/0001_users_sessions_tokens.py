"""Lay out users, sessions and tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "gateway_users",
        sa.Column("name", sa.String(253), primary_key=True),
        sa.Column("display_name", sa.String(253), nullable=False),
        sa.Column("password_hash", sa.String(100), nullable=False),
        sa.Column("groups", sa.JSON, nullable=False),
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("password_changed_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "gateway_sessions",
        sa.Column("id_hash", sa.String(64), primary_key=True),
        sa.Column("user_name", sa.String(253), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_gateway_sessions_user_name", "gateway_sessions", ["user_name"])
    op.create_index("ix_gateway_sessions_expires_at", "gateway_sessions", ["expires_at"])
    op.create_table(
        "gateway_tokens",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("token_id", sa.String(36), nullable=False, unique=True),
        sa.Column("user_name", sa.String(253), nullable=False),
        sa.Column("description", sa.String(253), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("revoked", sa.Boolean, nullable=False),
    )
    op.create_index("ix_gateway_tokens_user_name", "gateway_tokens", ["user_name"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("gateway_tokens")
    op.drop_table("gateway_sessions")
    op.drop_table("gateway_users")
