"""The gateway's own tables: local users, their sessions, and their personal access tokens.

Passwords are kept as bcrypt hashes in the form that Kubeflow's static users have (``$2b$12$…``), so an existing one can
be moved over. Session ids and tokens are random and long, so a plain SHA-256 of them is enough and makes looking one up
a primary-key read; what is in the table opens nothing.
"""

from sqlalchemy import JSON, Boolean, Column, Integer, MetaData, String, Table

from headwater.database.engine import Moment

metadata = MetaData()

users = Table(
    "gateway_users",
    metadata,
    Column("name", String(253), primary_key=True),
    Column("display_name", String(253), nullable=False, default=""),
    Column("password_hash", String(100), nullable=False),
    Column("groups", JSON, nullable=False),
    Column("namespace", String(63), nullable=False),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("generation", Integer, nullable=False, default=1),
    Column("created_at", Moment, nullable=False),
    Column("password_changed_at", Moment, nullable=False),
)
"""``generation`` goes up when the password changes or the user is disabled: sessions of an older one are over."""

sessions = Table(
    "gateway_sessions",
    metadata,
    Column("id_hash", String(64), primary_key=True),
    Column("user_name", String(253), nullable=False, index=True),
    Column("generation", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
)

tokens = Table(
    "gateway_tokens",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("token_id", String(36), nullable=False, unique=True),
    Column("user_name", String(253), nullable=False, index=True),
    Column("description", String(253), nullable=False, default=""),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("revoked", Boolean, nullable=False, default=False),
)
