"""Secret keys, in files beside the database: who has only the database can forge nothing."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from functools import cache
from pathlib import Path

from geodata.errors import SystemProblem

AUDIT, PERSONS, SIGN_IN = "audit", "persons", "sign_in"
NAMES = (AUDIT, PERSONS, SIGN_IN)

_LENGTH = 32


class Keys:
    """The directory of keys.

    Attributes:
        directory: ``keys`` in the data directory unless the settings say otherwise.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.read = cache(self._read)

    def path(self, name: str) -> Path:
        """The file of a key."""
        return self.directory / f"{name}.key"

    def create_missing(self) -> None:
        """Make the keys that are not there; only for a database that has used none of them.

        Raises:
            SystemProblem: KEYS_UNUSABLE.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in NAMES:
                try:
                    handle = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                except FileExistsError:
                    continue
                with os.fdopen(handle, "wb") as file:
                    file.write(secrets.token_bytes(_LENGTH))
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise SystemProblem(
                "KEYS_UNUSABLE",
                f"密钥目录 {self.directory} 无法使用：{error.strerror}。",
                "请检查该目录的写入权限。",
            ) from error

    def _read(self, name: str) -> bytes:
        path = self.path(name)
        try:
            found = path.read_bytes()
        except OSError as error:
            raise SystemProblem(
                "KEY_MISSING",
                f"密钥文件 {path.name} 不在密钥目录 {self.directory} 中。",
                "请从备份中恢复密钥目录；没有原来的密钥，审计记录无法核验、个人数据无法对应。",
            ) from error
        if len(found) != _LENGTH:
            raise SystemProblem(
                "KEY_MISSING",
                f"密钥文件 {path.name} 已损坏。",
                "请从备份中恢复密钥目录。",
            )
        return found

    def mac(self, name: str, text: str) -> str:
        """HMAC-SHA256 of a text under one of the keys, in hexadecimal.

        Raises:
            SystemProblem: KEY_MISSING.
        """
        return hmac.new(self.read(name), text.encode(), hashlib.sha256).hexdigest()
