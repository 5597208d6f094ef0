"""Alembic migrations, run by ``dashboard.store.database.migrate`` and by nothing else."""

HEAD = "0003"
"""The revision this program works with; known without importing Alembic, so opening is quick."""
