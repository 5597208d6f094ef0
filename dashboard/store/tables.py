"""The SQL tables. Migrations build them; this module is what the queries speak."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    Float,
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
    sqlite_autoincrement=True,
)

snapshot = Table(
    "snapshot",
    metadata,
    Column("month", Key, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("file", String, nullable=False),
    Column("pairs_hash", String, nullable=False, comment="of the pairs and the roll-up's format"),
    Column("flags", Integer, nullable=False, comment="places whose own figures disagree"),
    Column("created", String, nullable=False),
)

meta = Table(
    "meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
)
