"""All SQL tables as files and back, in a form both databases share."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, select

from dashboard import __version__
from dashboard.store import archive, database, images
from dashboard.store.archive import Damaged, Manifest
from dashboard.store.tables import audit, meta

TABLES = "tables"
"""Directory of the table files in an archive."""

STORE_ID = "store_id"


def save(connection: Connection, directory: Path, whole: bool) -> Manifest:
    """Write every table to ``directory/tables``, all from the state this transaction sees.

    Args:
        whole: whether facts and snapshots will lie beside them.
    """
    (directory / TABLES).mkdir(parents=True)
    counts = {
        table.name: images.save(
            directory / TABLES / f"{table.name}.arrow", table, images.read(connection, table)
        )
        for table in images.tables(connection)
    }
    last = None
    if audit.name in counts:
        newest = select(audit.c.seq, audit.c.mac).order_by(audit.c.seq.desc()).limit(1)
        last = connection.execute(newest).first()
    return Manifest(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        program=__version__,
        schema=database.revision(connection) or "",
        store_id=connection.execute(select(meta.c.value).where(meta.c.key == STORE_ID)).scalar(),
        whole=whole,
        tables=counts,
        chain=(last.seq, last.mac) if last else (0, ""),
    )


def load(connection: Connection, directory: Path, manifest: Manifest) -> None:
    """Fill empty tables of the manifest's schema from ``directory/tables``.

    Raises:
        Damaged: a table the schema has not, a column it has not, or another number of rows.
    """
    files = {path.stem: path for path in (directory / TABLES).iterdir()}
    found = images.tables(connection)
    unknown = sorted(files.keys() ^ {table.name for table in found})
    if unknown:
        raise Damaged(f"数据表不符：{'、'.join(unknown)}")
    for table in found:
        try:
            count = images.write(connection, table, images.load(files[table.name]))
        except (KeyError, OSError, ValueError) as error:
            raise Damaged(f"数据表“{table.name}”无法读取") from error
        if count != manifest.tables.get(table.name):
            raise Damaged(f"数据表“{table.name}”的行数与清单不符")


def keep(connection: Connection, directory: Path, name: str) -> Path:
    """Write an archive of the tables alone, over an older one of that name.

    Raises:
        SystemProblem: BACKUP_UNWRITABLE.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    target = directory / f"{name}.tar"
    with tempfile.TemporaryDirectory(prefix="dump-", dir=directory) as scratch:
        content = Path(scratch) / "content"
        manifest = save(connection, content, whole=False)
        fresh = Path(scratch) / target.name
        archive.write(fresh, content, manifest)
        fresh.replace(target)
    return target
