"""Accounts, grants, sessions, the audit chain, persons, undo; row-level security on PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = ("audit", "erasure")

SCOPED = {
    "place": "path ^@ ANY (string_to_array(current_setting('dudao.scope', true), E'\\n'))",
    "boundary": "EXISTS (SELECT 1 FROM place p WHERE p.id = boundary.place_id)",
    "institution": "EXISTS (SELECT 1 FROM place p WHERE p.id = institution.place_id)",
}


def key() -> sa.String:
    return sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", key(), primary_key=True, comment="random"),
        sa.Column("login", key(), nullable=False, unique=True),
        sa.Column("title", sa.String, nullable=False, comment="name and office, for people to read"),
        sa.Column("password_hash", sa.String, comment="argon2id; empty until the first link is used"),
        sa.Column("subject", key(), unique=True, comment="issuer and subject of an OIDC account"),
        sa.Column("demonstration", sa.Boolean, nullable=False),
        sa.Column("state", sa.String, nullable=False, comment="active or closed"),
        sa.Column("created", sa.String, nullable=False, comment="UTC, ISO 8601"),
        sa.Column("version", sa.Integer, nullable=False, comment="counts up with every change"),
    )
    op.create_table(
        "access_grant",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("account_id", key(), sa.ForeignKey("account.id"), nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("place_id", key(), comment="empty: everywhere"),
        sa.Column("valid_from", sa.Date, nullable=False),
        sa.Column("valid_to", sa.Date),
        sa.Column("granted_by", sa.String, nullable=False),
        sa.Column("created", sa.String, nullable=False, comment="UTC, ISO 8601"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_access_grant_account_id", "access_grant", ["account_id"])
    op.create_table(
        "session",
        sa.Column("id", key(), primary_key=True, comment="random; not the token"),
        sa.Column("token_hash", key(), nullable=False, unique=True, comment="SHA-256 of the token"),
        sa.Column("account_id", key(), sa.ForeignKey("account.id"), nullable=False),
        sa.Column("created", sa.Float, nullable=False, comment="seconds since 1970"),
        sa.Column("last_seen", sa.Float, nullable=False),
        sa.Column("expires", sa.Float, nullable=False, comment="absolute"),
        sa.Column("ended", sa.Float),
        sa.Column("ended_reason", sa.String),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("agent", sa.String, nullable=False),
    )
    op.create_index("ix_session_account_id", "session", ["account_id"])
    op.create_table(
        "sign_in_link",
        sa.Column("token_hash", key(), primary_key=True, comment="SHA-256 of the token"),
        sa.Column("account_id", key(), sa.ForeignKey("account.id"), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("expires", sa.Float, nullable=False),
        sa.Column("used", sa.Float),
    )
    op.create_index("ix_sign_in_link_account_id", "sign_in_link", ["account_id"])
    op.create_table(
        "sign_in_attempt",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("login", key(), nullable=False, comment="keyed hash of what was typed"),
        sa.Column("address", key(), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("succeeded", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_attempt_login", "sign_in_attempt", ["login", "at"])
    op.create_index("ix_attempt_address", "sign_in_attempt", ["address", "at"])
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False, comment="1, 2, 3 without gap"),
        sa.Column("at", key(), nullable=False, comment="UTC, ISO 8601"),
        sa.Column("actor", key(), nullable=False),
        sa.Column("actor_name", sa.String, nullable=False),
        sa.Column("via", sa.String, nullable=False),
        sa.Column("action", key(), nullable=False),
        sa.Column("place_id", key()),
        sa.Column("path", key(), comment="of the place at that time"),
        sa.Column("subject", sa.Text, nullable=False, comment="id of what it was done to"),
        sa.Column("outcome", sa.String, nullable=False, comment="done, denied or failed"),
        sa.Column("details", sa.Text, nullable=False, comment="JSON, keys sorted; no name of a patient"),
        sa.Column("previous", sa.String, nullable=False, comment="mac of the row before"),
        sa.Column("mac", sa.String, nullable=False, unique=True),
    )
    for name in ("at", "place_id", "subject"):
        op.create_index(f"ix_audit_{name}", "audit", [name])
    for name in ("actor", "action"):
        op.create_index(f"ix_audit_{name}", "audit", [name, "seq"])
    op.create_table(
        "person",
        sa.Column("key", key(), primary_key=True, comment="keyed hash of the ID number"),
        sa.Column("place_id", key(), nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("id_last4", sa.String, nullable=False),
        sa.Column("phone", sa.String),
        sa.Column("sex", sa.String),
        sa.Column("birth_year", sa.SmallInteger),
        sa.Column("dataset", sa.String, nullable=False),
        sa.Column("batch", sa.Integer, nullable=False),
        sa.Column("held_since", sa.String, nullable=False, comment="UTC, ISO 8601"),
        sa.Column("keep_until", sa.Date),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_index("ix_person_place_id", "person", ["place_id"])
    op.create_table(
        "erasure",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("key", key(), nullable=False, comment="the erased person's key"),
        sa.Column("dataset", sa.String, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.String, nullable=False, comment="UTC, ISO 8601"),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("proof", sa.String, nullable=False, comment="HMAC over the row"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_erasure_key", "erasure", ["key"])
    op.create_table(
        "batch_before",
        sa.Column("batch", sa.Integer, primary_key=True),
        sa.Column("table_name", sa.String, primary_key=True),
        sa.Column("removed", sa.LargeBinary, nullable=False, comment="Arrow IPC: rows the load deleted"),
        sa.Column("added", sa.LargeBinary, nullable=False, comment="Arrow IPC: keys of rows it inserted"),
    )
    # Who may see a load: whose it is, and the path all its places share.
    op.add_column("batch", sa.Column("actor", key(), nullable=False, server_default="", comment="id of who loaded"))
    op.add_column("batch", sa.Column("path", key(), nullable=False, server_default="", comment="shared by all its places"))
    op.add_column("batch", sa.Column("summary", sa.Text, nullable=False, server_default="{}", comment="JSON: rows and issues"))
    if op.get_bind().dialect.name == "postgresql":
        _postgresql()
    else:
        for table in APPEND_ONLY:
            for verb in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )


def _postgresql() -> None:
    op.execute(
        "CREATE FUNCTION dudao_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION dudao_append_only()"
        )
    everything = "current_setting('dudao.scope', true) = '*'"
    for table, rule in SCOPED.items():
        _protect(table, f"{everything} OR {rule}")
    _protect(
        "person",
        "current_setting('dudao.persons', true) = '*' OR EXISTS (SELECT 1 FROM place p "
        "WHERE p.id = person.place_id AND p.path ^@ ANY "
        "(string_to_array(current_setting('dudao.persons', true), E'\\n')))",
    )
    # What loads replaced is kept for undo: persons in it are for who may see every person.
    _protect(
        "batch_before",
        "table_name <> 'person' OR current_setting('dudao.persons', true) = '*'",
    )
    # The planner's statistics would keep names and numbers that were erased.
    for column in ("name", "id_last4", "phone"):
        op.execute(f"ALTER TABLE person ALTER COLUMN {column} SET STATISTICS 0")
    # Superusers pass every policy, so their reads step down to a role that cannot. Roles belong to
    # the server, not to the database: another one may have made it already, even just now.
    op.execute(
        "DO $$ BEGIN "
        "IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN "
        "PERFORM pg_advisory_xact_lock(7385131); "
        "IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'dudao_reader') THEN "
        "CREATE ROLE dudao_reader NOLOGIN; END IF; "
        "EXECUTE format('GRANT USAGE ON SCHEMA %I TO dudao_reader', current_schema()); "
        "EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO dudao_reader', "
        "current_schema()); "
        "EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT ON TABLES "
        "TO dudao_reader', current_schema()); "
        "END IF; END $$"
    )


def _protect(table: str, rule: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY {table}_scope ON {table} USING ({rule})")


def downgrade() -> None:
    for name in (
        "batch_before", "erasure", "person", "audit", "sign_in_attempt", "sign_in_link",
        "session", "access_grant", "account",
    ):  # fmt: skip
        op.drop_table(name)
    op.drop_column("batch", "actor")
    op.drop_column("batch", "path")
    op.drop_column("batch", "summary")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION dudao_append_only()")
        for table in SCOPED:
            op.execute(f"DROP POLICY {table}_scope ON {table}")
            op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
