"""The SQL tables. Migrations build them; this module is what the queries speak."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)

Key = String().with_variant(String(collation="C"), "postgresql")
"""Text compared byte by byte on both databases, so range queries on prefixes use the index."""

metadata = MetaData()

place = Table(
    "place",
    metadata,
    Column("id", Key, primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("valid_to", Date),
    Column("name", String, nullable=False),
    Column("level", SmallInteger, nullable=False),
    Column("parent_id", Key),
    Column("path", Key, nullable=False),
    Column("lon", Float),
    Column("lat", Float),
    # A row's period is cut where a place above it moves, so that `path` holds all through it;
    # the period the file declared is kept to tell whether a later file changes anything.
    Column("declared_from", Date, nullable=False),
    Column("declared_to", Date),
    Column("folded", Key, nullable=False),
    Column("initials", Key, nullable=False),
    Column("pinyin", Key, nullable=False),
    Index("ix_place_children", "parent_id", "level", "id"),
    Index("ix_place_path", "path"),
    Index("ix_place_level_id", "level", "id"),
    Index("ix_place_level_folded", "level", "folded"),
    Index("ix_place_level_initials", "level", "initials"),
    Index("ix_place_level_pinyin", "level", "pinyin"),
)

boundary = Table(
    "boundary",
    metadata,
    Column("place_id", Key, primary_key=True),
    Column("valid_from", Date, primary_key=True, comment="declared_from of the place"),
    Column("shape", LargeBinary, nullable=False, comment="repaired WKB, WGS84"),
    Column("display", LargeBinary, nullable=False, comment="simplified WKB, WGS84"),
    Column("indicative", Boolean, nullable=False),
    Column("label_lon", Float, nullable=False),
    Column("label_lat", Float, nullable=False),
    Column("label_radius", Float, nullable=False, comment="metres"),
    Column("west", Float, nullable=False),
    Column("south", Float, nullable=False),
    Column("east", Float, nullable=False),
    Column("north", Float, nullable=False),
    Column("source_hash", String, nullable=False, comment="of the polygon as the file brought it"),
)

institution = Table(
    "institution",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("place_id", Key, nullable=False),
    Column("lon", Float),
    Column("lat", Float),
    Index("ix_institution_place", "place_id"),
)

batch = Table(
    "batch",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("file", Text, nullable=False),
    Column("sha256", String, nullable=False),
    Column("dataset", String, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("months", Text, nullable=False, comment="YYYY-MM, space separated"),
    Column("started", String, nullable=False, comment="UTC, ISO 8601"),
    Column("finished", String),
    Column("operator", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("actor", Key, nullable=False, server_default="", comment="id of who loaded"),
    Column("path", Key, nullable=False, server_default="", comment="shared by all its places"),
    Column("summary", Text, nullable=False, server_default="{}", comment="JSON: rows and issues"),
    sqlite_autoincrement=True,
)

snapshot = Table(
    "snapshot",
    metadata,
    Column("month", Key, primary_key=True),
    Column("version", Integer, primary_key=True),
    # Several names with blanks between where a correction left most as it was; the newest first.
    Column("file", String, nullable=False),
    Column("pairs_hash", String, nullable=False, comment="of the pairs and the roll-up's format"),
    Column("flags", Integer, nullable=False, comment="places whose own figures disagree"),
    Column("created", String, nullable=False),
)

target = Table(
    "target",
    metadata,
    Column("layer", Key, primary_key=True),
    Column("place_id", Key, primary_key=True),
    Column("year", SmallInteger, primary_key=True),
    Column("value", Float, nullable=False, comment="in the layer's unit"),
    Column("batch", Integer, nullable=False, comment="the load that set it"),
    Index("ix_target_place", "place_id", "year"),
)

meta = Table(
    "meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
)

# Who may enter

account = Table(
    "account",
    metadata,
    Column("id", Key, primary_key=True, comment="random"),
    Column("login", Key, nullable=False, unique=True),
    Column("title", String, nullable=False, comment="name and office, for people to read"),
    Column("password_hash", String, comment="argon2id; empty until the first link is used"),
    Column("subject", Key, unique=True, comment="issuer and subject of an OIDC account"),
    Column("demonstration", Boolean, nullable=False),
    Column("state", String, nullable=False, comment="active or closed"),
    Column("created", String, nullable=False, comment="UTC, ISO 8601"),
    Column("version", Integer, nullable=False, comment="counts up with every change"),
)

access_grant = Table(
    "access_grant",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("account_id", Key, ForeignKey("account.id"), nullable=False, index=True),
    Column("role", String, nullable=False),
    Column("place_id", Key, comment="empty: everywhere"),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date),
    Column("granted_by", String, nullable=False),
    Column("created", String, nullable=False, comment="UTC, ISO 8601"),
    sqlite_autoincrement=True,
)

session = Table(
    "session",
    metadata,
    Column("id", Key, primary_key=True, comment="random; not the token"),
    Column("token_hash", Key, nullable=False, unique=True, comment="SHA-256 of the token"),
    Column("account_id", Key, ForeignKey("account.id"), nullable=False, index=True),
    Column("created", Float, nullable=False, comment="seconds since 1970"),
    Column("last_seen", Float, nullable=False),
    Column("expires", Float, nullable=False, comment="absolute"),
    Column("ended", Float),
    Column("ended_reason", String),
    Column("address", String, nullable=False),
    Column("agent", String, nullable=False),
)

sign_in_link = Table(
    "sign_in_link",
    metadata,
    Column("token_hash", Key, primary_key=True, comment="SHA-256 of the token"),
    Column("account_id", Key, ForeignKey("account.id"), nullable=False, index=True),
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=False),
    Column("used", Float),
)

sign_in_attempt = Table(
    "sign_in_attempt",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("login", Key, nullable=False, comment="keyed hash of what was typed"),
    Column("address", Key, nullable=False),
    Column("at", Float, nullable=False),
    Column("succeeded", Boolean, nullable=False),
    Index("ix_attempt_login", "login", "at"),
    Index("ix_attempt_address", "address", "at"),
    sqlite_autoincrement=True,
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False, comment="1, 2, 3 without gap"),
    Column("at", Key, nullable=False, index=True, comment="UTC, ISO 8601"),
    Column("actor", Key, nullable=False),
    Column("actor_name", String, nullable=False),
    Column("via", String, nullable=False),
    Column("action", Key, nullable=False),
    Column("place_id", Key, index=True),
    Column("path", Key, comment="of the place at that time"),
    Column("subject", Text, nullable=False, index=True, comment="id of what it was done to"),
    Column("outcome", String, nullable=False, comment="done, denied or failed"),
    Column("details", Text, nullable=False, comment="JSON, keys sorted; no name of a patient"),
    Column("previous", String, nullable=False, comment="mac of the row before"),
    Column("mac", String, nullable=False, unique=True),
    Index("ix_audit_actor", "actor", "seq"),
    Index("ix_audit_action", "action", "seq"),
)

person = Table(
    "person",
    metadata,
    Column("key", Key, primary_key=True, comment="keyed hash of the ID number"),
    Column("place_id", Key, nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("id_last4", String, nullable=False),
    Column("phone", String),
    Column("sex", String),
    Column("birth_year", SmallInteger),
    Column("dataset", String, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("held_since", String, nullable=False, comment="UTC, ISO 8601"),
    Column("keep_until", Date),
    Column("version", Integer, nullable=False),
)

erasure = Table(
    "erasure",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key", Key, nullable=False, index=True, comment="the erased person's key"),
    Column("dataset", String, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", String, nullable=False, comment="UTC, ISO 8601"),
    Column("by", String, nullable=False),
    Column("proof", String, nullable=False, comment="HMAC over the row"),
    sqlite_autoincrement=True,
)

batch_before = Table(
    "batch_before",
    metadata,
    Column("batch", Integer, primary_key=True),
    Column("table_name", String, primary_key=True),
    Column("removed", LargeBinary, nullable=False, comment="Arrow IPC: rows the load deleted"),
    Column("added", LargeBinary, nullable=False, comment="Arrow IPC: keys of rows it inserted"),
)
