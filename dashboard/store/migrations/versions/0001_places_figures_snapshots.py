"""Places, boundaries, institutions, batches, snapshots."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def key() -> sa.String:
    return sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "place",
        sa.Column("id", key(), primary_key=True),
        sa.Column("valid_from", sa.Date, primary_key=True),
        sa.Column("valid_to", sa.Date),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("level", sa.SmallInteger, nullable=False),
        sa.Column("parent_id", key()),
        sa.Column("path", key(), nullable=False),
        sa.Column("lon", sa.Float),
        sa.Column("lat", sa.Float),
        sa.Column("declared_from", sa.Date, nullable=False),
        sa.Column("declared_to", sa.Date),
        sa.Column("folded", key(), nullable=False),
        sa.Column("initials", key(), nullable=False),
        sa.Column("pinyin", key(), nullable=False),
    )
    op.create_index("ix_place_children", "place", ["parent_id", "level", "id"])
    op.create_index("ix_place_path", "place", ["path"])
    op.create_index("ix_place_level_id", "place", ["level", "id"])
    op.create_index("ix_place_level_folded", "place", ["level", "folded"])
    op.create_index("ix_place_level_initials", "place", ["level", "initials"])
    op.create_index("ix_place_level_pinyin", "place", ["level", "pinyin"])
    op.create_table(
        "boundary",
        sa.Column("place_id", key(), primary_key=True),
        sa.Column("valid_from", sa.Date, primary_key=True, comment="declared_from of the place"),
        sa.Column("shape", sa.LargeBinary, nullable=False, comment="repaired WKB, WGS84"),
        sa.Column("display", sa.LargeBinary, nullable=False, comment="simplified WKB, WGS84"),
        sa.Column("indicative", sa.Boolean, nullable=False),
        sa.Column("label_lon", sa.Float, nullable=False),
        sa.Column("label_lat", sa.Float, nullable=False),
        sa.Column("label_radius", sa.Float, nullable=False, comment="metres"),
        sa.Column("west", sa.Float, nullable=False),
        sa.Column("south", sa.Float, nullable=False),
        sa.Column("east", sa.Float, nullable=False),
        sa.Column("north", sa.Float, nullable=False),
        sa.Column(
            "source_hash",
            sa.String,
            nullable=False,
            comment="of the polygon as the file brought it",
        ),
    )
    op.create_table(
        "institution",
        sa.Column("id", key(), primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("place_id", key(), nullable=False),
        sa.Column("lon", sa.Float),
        sa.Column("lat", sa.Float),
    )
    op.create_index("ix_institution_place", "institution", ["place_id"])
    op.create_table(
        "batch",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("dataset", sa.String, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("months", sa.Text, nullable=False, comment="YYYY-MM, space separated"),
        sa.Column("started", sa.String, nullable=False, comment="UTC, ISO 8601"),
        sa.Column("finished", sa.String),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "snapshot",
        sa.Column("month", key(), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("file", sa.String, nullable=False),
        sa.Column(
            "pairs_hash",
            sa.String,
            nullable=False,
            comment="of the pairs and the roll-up's format",
        ),
        sa.Column(
            "flags", sa.Integer, nullable=False, comment="places whose own figures disagree"
        ),
        sa.Column("created", sa.String, nullable=False),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )


def downgrade() -> None:
    for name in ("meta", "snapshot", "batch", "institution", "boundary", "place"):
        op.drop_table(name)
