"""Targets of a place and year; what is set above a scope holds within it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

EVERYTHING = "current_setting('dudao.scope', true) = '*'"
WITHIN = "EXISTS (SELECT 1 FROM place p WHERE p.id = target.place_id)"
# The scope is paths like C/A/A1/, one a line: their parts are the places it lies in.
ABOVE = (
    "place_id = ANY (string_to_array("
    "replace(current_setting('dudao.scope', true), E'\\n', ''), '/'))"
)


def key() -> sa.String:
    return sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "target",
        sa.Column("layer", key(), primary_key=True),
        sa.Column("place_id", key(), primary_key=True),
        sa.Column("year", sa.SmallInteger, primary_key=True),
        sa.Column("value", sa.Float, nullable=False, comment="in the layer's unit"),
        sa.Column("batch", sa.Integer, nullable=False, comment="the load that set it"),
    )
    op.create_index("ix_target_place", "target", ["place_id", "year"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE target ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE target FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY target_scope ON target USING ({EVERYTHING} OR {WITHIN} OR {ABOVE})"
        )


def downgrade() -> None:
    op.drop_table("target")
