"""Where uploads wait for their owner: ``uploads/<id>/`` in the data directory, private to it.

What is written here decides nothing about who may see it: that is the desk's.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import IO

from dashboard.intake.model import Upload
from geodata.errors import DudaoError, SystemProblem
from loaders.model import Request

_ID = re.compile(r"[0-9a-f]{32}")
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")
_CHUNK = 1 << 20
_LONGEST_NAME = 200
_STATE, _FILE, _REJECTED = "state.json", "file", "rejected.xlsx"
# One for all shelves: a state is read, changed and written again in a few milliseconds.
_lock = Lock()


class Shelf:
    """The uploads of one data directory."""

    def __init__(self, directory: Path) -> None:
        self._root = directory / "uploads"

    def put(self, owner: str, name: str, stream: IO[bytes], most_bytes: int) -> Upload:
        """Keep a file; nothing is left of one that is refused.

        Raises:
            DudaoError: UPLOAD_TOO_LARGE.
            SystemProblem: UPLOAD_NOT_KEPT, the disk is full or not writable.
        """
        shown = _shown(name)
        suffix = Path(shown).suffix.lower()
        upload_id = secrets.token_hex(16)
        folder = self._root / upload_id
        try:
            self._root.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700)
            kept = suffix if _SUFFIX.fullmatch(suffix) else ""
            size = _copy(stream, folder / f"{_FILE}{kept}", most_bytes, shown)
            upload = Upload(
                upload_id, owner, shown, kept, size, datetime.now(UTC), Request(name=shown)
            )
            self._write(upload)
        except DudaoError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise SystemProblem(
                "UPLOAD_NOT_KEPT",
                f"文件“{shown}”没有存下：{error.strerror}。",
                "请联系管理员检查数据目录的空间和写入权限，再重新上传。",
            ) from error
        return upload

    def find(self, upload_id: str) -> Upload | None:
        """The upload of an id, whoever owns it; None for none, or one past its time."""
        if not _ID.fullmatch(upload_id):
            return None
        try:
            text = (self._root / upload_id / _STATE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        found = Upload.from_dict(json.loads(text))
        return found if datetime.now(UTC) < found.expires else None

    def all(self) -> Iterator[Upload]:
        """Every upload within its time."""
        for folder in self._folders():
            found = self.find(folder.name)
            if found is not None:
                yield found

    def file(self, upload: Upload) -> Path:
        """Where its file lies."""
        return self._root / upload.id / f"{_FILE}{upload.suffix}"

    def save(self, upload: Upload) -> None:
        """Replace an upload's state, if it is still there."""
        with _lock:
            if (self._root / upload.id).is_dir():
                self._write(upload)

    def keep_rejected(self, upload: Upload, body: bytes) -> None:
        """Keep the workbook of its rejected rows, after its file is gone."""
        with _private(self._root / upload.id / _REJECTED) as target:
            target.write(body)

    def rejected_file(self, upload: Upload) -> Path:
        """Where the workbook of its rejected rows lies, if there is one."""
        return self._root / upload.id / _REJECTED

    def rejected(self, upload: Upload) -> bytes | None:
        """The workbook of its rejected rows, None when there is none."""
        try:
            return (self._root / upload.id / _REJECTED).read_bytes()
        except FileNotFoundError:
            return None

    def drop_file(self, upload: Upload) -> None:
        """Delete its file and keep what came of it."""
        self.file(upload).unlink(missing_ok=True)

    def remove(self, upload_id: str) -> None:
        """Delete an upload whole."""
        with _lock:
            shutil.rmtree(self._root / upload_id, ignore_errors=True)

    def sweep(self) -> list[str]:
        """Delete what is past its time, and folders without a state; the ids deleted."""
        gone = []
        for folder in self._folders():
            if self.find(folder.name) is None and not _just_made(folder):
                self.remove(folder.name)
                gone.append(folder.name)
        return gone

    def _folders(self) -> list[Path]:
        if not self._root.is_dir():
            return []
        return [folder for folder in self._root.iterdir() if _ID.fullmatch(folder.name)]

    def _write(self, upload: Upload) -> None:
        folder = self._root / upload.id
        fresh = folder / f"{_STATE}.new"
        with _private(fresh) as target:
            target.write(json.dumps(upload.as_dict(), ensure_ascii=False).encode())
        fresh.replace(folder / _STATE)


def _shown(name: str) -> str:
    """A name as people read it: its last part, without signs that control or turn the text."""
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join(sign for sign in last if sign.isprintable()).strip()
    return plain[-_LONGEST_NAME:] or "未命名"


def _copy(stream: IO[bytes], path: Path, most_bytes: int, shown: str) -> int:
    size = 0
    with _private(path) as target:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > most_bytes:
                raise DudaoError(
                    "UPLOAD_TOO_LARGE",
                    f"文件“{shown}”超过 {most_bytes >> 20} MB 的上限。",
                    "请按月份或地区拆成几个文件分别上传。",
                )
            target.write(chunk)
    return size


def _private(path: Path) -> IO[bytes]:
    """A file for writing that only the owner of the process may read."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def _just_made(folder: Path) -> bool:
    """Whether a folder may be one whose file is being written right now."""
    try:
        age = datetime.now().timestamp() - folder.stat().st_mtime
    except FileNotFoundError:
        return False
    return not (folder / _STATE).exists() and age < 3600
