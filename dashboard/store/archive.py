"""One file for many: a tar with a manifest of every member's SHA-256, whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import file_digest, sha256
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from geodata.errors import DudaoError, SystemProblem

FORMAT = 1
"""Of the archive; an archive of a higher one was written by a newer program."""

MANIFEST = "manifest.json"

_AGE = "age"
_AGE_MARK = b"age-encryption.org/"
_ARMOURED_MARK = b"-----BEGIN AGE ENCRYPTED FILE-----"
_PIECE = 1 << 20
_REASON = 200
_PART = re.compile(r"[A-Za-z0-9_.=-]+")
_ROOMS = frozenset({"tables", "observations", "records", "snapshots", "keys"})


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive holds.

    Attributes:
        created: UTC, ISO 8601.
        program: version of the program that wrote it.
        schema: revision of the tables.
        store_id: names the data; None before it had a name.
        whole: whether facts and snapshots are there too, not only the tables.
        tables: rows of each table.
        chain: last row of the audit: its number and mac; 0 and empty without one.
        members: SHA-256 and size in bytes of every member.
    """

    created: str
    program: str
    schema: str
    store_id: str | None
    whole: bool
    tables: Mapping[str, int]
    chain: tuple[int, str] = (0, "")
    members: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def has_keys(self) -> bool:
        """Whether the secret keys are in it."""
        return any(name.startswith("keys/") for name in self.members)


class Damaged(DudaoError):
    """BACKUP_DAMAGED: the archive does not hold what its manifest says."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "BACKUP_DAMAGED",
            f"备份文件已损坏或被改动：{reason}。",
            "请换用另一份备份；未作任何改动。",
        )


def write(out: Path, directory: Path, manifest: Manifest, recipient: str | None = None) -> Manifest:
    """Write all files below a directory and their manifest to one file, readable by its owner only.

    Args:
        recipient: public key of ``age`` it is encrypted for; None: not encrypted.

    Returns:
        The manifest with its members.

    Raises:
        DudaoError: BACKUP_EXISTS, AGE_MISSING, AGE_FAILED.
        SystemProblem: BACKUP_UNWRITABLE.
    """
    if out.exists():
        raise DudaoError(
            "BACKUP_EXISTS", f"文件 {out} 已存在。", "请换一个文件名，或先移走原来的备份。"
        )
    part = out.with_name(out.name + ".part")
    try:
        try:
            with _sink(part, recipient) as sink:
                members = _fill(sink, directory, manifest)
            part.replace(out)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        handle = os.open(out.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise SystemProblem(
            "BACKUP_UNWRITABLE",
            f"备份文件 {out} 无法写入：{error.strerror}。",
            "请检查路径和写入权限。",
        ) from error
    return members


def _fill(sink: IO[bytes], directory: Path, manifest: Manifest) -> Manifest:
    members: dict[str, tuple[str, int]] = {}
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(path for path in directory.rglob("*") if path.is_file()):
            name = path.relative_to(directory).as_posix()
            info = tarfile.TarInfo(name)
            info.size, info.mode = path.stat().st_size, 0o600
            with path.open("rb") as file:
                hashed = _Hashed(file)
                tar.addfile(info, hashed)
            members[name] = (hashed.digest.hexdigest(), info.size)
        complete = Manifest(**{**asdict(manifest), "members": members})
        body = json.dumps(asdict(complete), ensure_ascii=False, indent=1).encode()
        info = tarfile.TarInfo(MANIFEST)
        info.size, info.mode = len(body), 0o600
        tar.addfile(info, BytesIO(body))
    return complete


class _Hashed:
    """A file that is hashed while somebody reads it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        read = self._file.read(size)
        self.digest.update(read)
        return read


@contextmanager
def _sink(part: Path, recipient: str | None) -> Iterator[IO[bytes]]:
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        if recipient is None:
            yield file
        else:
            # The key is an argument of its own: it can never be taken for an option.
            process = subprocess.Popen(
                [_age(), "--encrypt", f"--recipient={recipient}"],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.PIPE,
            )
            assert process.stdin is not None and process.stderr is not None
            try:
                yield process.stdin
                process.stdin.close()
            except BrokenPipeError:
                pass  # It says why itself.
            except BaseException:
                process.kill()
                process.wait()
                raise
            said = process.stderr.read().decode(errors="replace")
            if process.wait() != 0:
                raise _age_failed(said)
        file.flush()
        os.fsync(file.fileno())


def _age() -> str:
    found = shutil.which(_AGE)
    if found is None:
        raise DudaoError(
            "AGE_MISSING",
            "本机没有安装 age，无法加密或解密备份。",
            "请先安装 age(Debian:apt install age),或去掉加密选项。",
        )
    return found


def _age_failed(said: str) -> DudaoError:
    line = next(iter(said.strip().splitlines()), "没有说明原因").removeprefix("age: error: ")
    reason = "".join(character for character in line if character.isprintable())[:_REASON]
    return DudaoError("AGE_FAILED", f"age 没有完成：{reason}。", "请核对公钥或私钥文件后重试。")


def unpack(source: Path, directory: Path, identity: Path | None = None) -> Manifest:
    """Copy the members of an archive into an empty directory, every one checked.

    Where a member is written follows from its checked name; links and special files are refused.

    Args:
        identity: file with the private key of ``age``, for an encrypted archive.

    Raises:
        DudaoError: BACKUP_NOT_FOUND, BACKUP_ENCRYPTED, BACKUP_DAMAGED, BACKUP_NEWER, AGE_MISSING,
            AGE_FAILED.
    """
    found: dict[str, tuple[str, int]] = {}
    body: bytes | None = None
    try:
        with _source(source, identity) as file, tarfile.open(fileobj=file, mode="r|") as tar:
            for info in tar:
                member = tar.extractfile(info) if info.isreg() else None
                if member is None:
                    raise Damaged(f"成员“{info.name}”不是普通文件")
                if info.name == MANIFEST:
                    body = member.read()
                    continue
                target = directory / _safe(info.name)
                if info.name in found:
                    raise Damaged(f"成员“{info.name}”出现两次")
                target.parent.mkdir(parents=True, exist_ok=True)
                found[info.name] = _copy(member, target)
    except tarfile.TarError as error:
        raise Damaged(f"不是完整的 tar 文件({error})") from error
    if body is None:
        raise Damaged("没有清单")
    manifest = _read_manifest(body)
    for name in sorted(manifest.members.keys() | found.keys()):
        if name not in found:
            raise Damaged(f"缺少成员“{name}”")
        if found[name] != manifest.members.get(name):
            raise Damaged(f"成员“{name}”与清单不符")
    return manifest


def _safe(name: str) -> Path:
    """The relative path of a member, made of plain parts below a known directory.

    Raises:
        Damaged
    """
    parts = name.split("/")
    plain = all(_PART.fullmatch(part) and part.strip(".") for part in parts)
    if len(parts) < 2 or parts[0] not in _ROOMS or not plain:
        raise Damaged(f"成员名“{name}”不合规定")
    return Path(*parts)


def _copy(member: IO[bytes], target: Path) -> tuple[str, int]:
    digest, size = sha256(), 0
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        while piece := member.read(_PIECE):
            digest.update(piece)
            size += len(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), size


def _read_manifest(body: bytes) -> Manifest:
    try:
        written: dict[str, Any] = json.loads(body)
        if written["format"] > FORMAT:
            raise DudaoError(
                "BACKUP_NEWER",
                "备份由更新版本的程序写成，本程序读不了。",
                "请升级程序后再恢复；未作任何改动。",
            )
        members = {name: (str(sha), int(size)) for name, (sha, size) in written["members"].items()}
        chain = (int(written["chain"][0]), str(written["chain"][1]))
        return Manifest(**{**written, "members": members, "chain": chain})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged("清单无法读取") from error


@contextmanager
def _source(source: Path, identity: Path | None) -> Iterator[IO[bytes]]:
    try:
        # Unbuffered: age is handed the file itself, from its first byte.
        file = source.open("rb", buffering=0)
    except OSError as error:
        raise DudaoError(
            "BACKUP_NOT_FOUND",
            f"备份文件 {source} 无法打开：{error.strerror}。",
            "请核对路径和读取权限。",
        ) from error
    with file:
        start = file.read(len(_ARMOURED_MARK))
        file.seek(0)
        if not start.startswith((_AGE_MARK, _ARMOURED_MARK)):
            yield file
            return
        if identity is None:
            raise DudaoError(
                "BACKUP_ENCRYPTED",
                "备份是加密的。",
                "请用 --identity 指定 age 私钥文件。",
            )
        process = subprocess.Popen(
            [_age(), "--decrypt", f"--identity={identity}"],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None and process.stderr is not None
        try:
            yield process.stdout
        except (Damaged, tarfile.TarError):
            _raise_if_failed(process)
            raise
        except BaseException:
            process.kill()
            process.wait()
            raise
        # What comes after the tar's end must still decrypt: the last block seals the whole.
        while process.stdout.read(_PIECE):
            pass
        _raise_if_failed(process)


def _raise_if_failed(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    said = process.stderr.read().decode(errors="replace")
    if process.wait() != 0 and said:
        raise _age_failed(said)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
