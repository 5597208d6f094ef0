"""Takes away from this process, for good, what reading a file does not need.

Runs first in the reading process, before any library is loaded and any byte of the file is seen.
Every function returns the names of the protections that are now in force; what a system does not
have is left out, and the caller reports it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable

from loaders.sandbox.limits import Limits

WANTED = (
    "memory", "cpu", "file_size", "open_files", "core", "dies_with_parent", "not_dumpable",
    "no_new_privileges", "no_network", "own_network", "no_processes", "no_capabilities", "files",
)  # fmt: skip
"""Every protection, as it stands on Linux with Landlock."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SIGKILL = 9
_CAPABILITIES_VERSION = 0x20080522
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_THREAD = 0x10000000, 0x40000000, 0x00010000

# Numbers of the system calls: (x86-64, aarch64); None where the machine has no such call.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198), "connect": (42, 203), "accept": (43, 202), "sendto": (44, 206),
    "sendmsg": (46, 211), "bind": (49, 200), "listen": (50, 201), "socketpair": (53, 199),
    "accept4": (288, 242), "sendmmsg": (307, 269),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "kill": (62, 129), "tkill": (200, 130),
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "open_by_handle_at": (304, 265), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "quotactl": (179, 60),
    "setrlimit": (160, 164), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "msgget": (68, 186), "shmget": (29, 194), "semget": (64, 190),
    "mq_open": (240, 180), "mknod": (133, None), "mknodat": (259, 33),
}  # fmt: skip
_CLONE, _CLONE3, _TGKILL, _PRLIMIT = (56, 220), (435, 435), (234, 131), (302, 261)
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32_CALLS = 0x40000000
_LOAD_WORD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AT_CALL, _AT_MACHINE, _AT_FIRST, _AT_THIRD, _AT_THIRD_HIGH = 0, 4, 16, 32, 36
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_LANDLOCK_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_OWN_FOLDER = sum(1 << bit for bit in (1, 2, 3, 5, 7, 8, 14))
"""Write and read files, list, remove and make plain files and folders, truncate."""


def protect(limits: Limits, readable: Iterable[str], folder: str) -> tuple[str, ...]:
    """Apply everything this system offers; the names of what is in force.

    Args:
        readable: files and folders that stay readable.
        folder: the one folder that stays writable.
    """
    active = [*_bound(limits)]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        active += _own_network(libc)
        active += _few_rights(libc)
        if "no_new_privileges" in active:
            active += _only_files(libc, readable, folder)
            active += _few_calls(libc)
        active += _no_capabilities(libc)
    return tuple(active)


def _bound(limits: Limits) -> Iterable[str]:
    try:
        import resource  # Windows has none.
    except ImportError:
        return
    wanted = {
        "memory": (resource.RLIMIT_AS, limits.memory_bytes),
        "cpu": (resource.RLIMIT_CPU, limits.cpu_s),
        "file_size": (resource.RLIMIT_FSIZE, limits.file_bytes),
        "open_files": (resource.RLIMIT_NOFILE, limits.open_files),
        "core": (resource.RLIMIT_CORE, 0),
    }
    for name, (kind, most) in wanted.items():
        try:
            # One second between the soft and the hard limit tells the cause of death: SIGXCPU.
            resource.setrlimit(kind, (most, most + 1 if name == "cpu" else most))
        except (OSError, ValueError):
            continue
        yield name


def _own_network(libc: ctypes.CDLL) -> Iterable[str]:
    """A network of its own, without any device; without privileges by way of a user namespace."""
    if libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        yield "own_network"


def _few_rights(libc: ctypes.CDLL) -> Iterable[str]:
    for name, option, value in (
        ("dies_with_parent", _PR_SET_PDEATHSIG, _SIGKILL),
        ("not_dumpable", _PR_SET_DUMPABLE, 0),
        ("no_new_privileges", _PR_SET_NO_NEW_PRIVS, 1),
    ):
        if libc.prctl(option, value, 0, 0, 0) == 0:
            yield name


def _no_capabilities(libc: ctypes.CDLL) -> Iterable[str]:
    """Root reads like anybody else."""
    header = struct.pack("=Ii", _CAPABILITIES_VERSION, 0)
    if libc.capset(header, bytes(24)) == 0:
        yield "no_capabilities"


def _only_files(libc: ctypes.CDLL, readable: Iterable[str], folder: str) -> Iterable[str]:
    """Landlock: only the given paths can be opened from now on (what is open stays so)."""
    version = libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return
    handled = (1 << _LANDLOCK_BITS.get(version, 16)) - 1
    network = 3 if version >= 4 else 0
    scopes = 3 if version >= 6 else 0
    attributes = struct.pack("=QQQ", handled, network, scopes)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = libc.syscall(_LANDLOCK_CREATE, attributes, size, 0)
    if rules < 0:
        return
    try:
        for path in readable:
            _allow(libc, rules, path, _READ_FILE | _READ_DIR)
        _allow(libc, rules, folder, _OWN_FOLDER & handled)
        if libc.syscall(_LANDLOCK_RESTRICT, rules, 0) == 0:
            yield "files"
    finally:
        os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _READ_FILE
        libc.syscall(_LANDLOCK_ADD, rules, 1, struct.pack("=Qi", rights, handle), 0)
    finally:
        os.close(handle)


def _few_calls(libc: ctypes.CDLL) -> Iterable[str]:
    """A seccomp filter that refuses network, other processes and the administration of the kernel.

    Threads are allowed (``clone`` with CLONE_THREAD); ``clone3`` is said not to exist, since a
    filter cannot see its flags, and the C library falls back to ``clone``. Limits can be asked but
    not set, and a signal reaches this process only (``abort`` needs that).
    """
    machine = _MACHINES.get(platform.machine())
    if machine is None or struct.calcsize("P") != 8:
        return
    column, audit = machine
    program = _filter(column, audit)
    code = b"".join(program)

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]

    given = Program(len(program), code)
    if libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(given), 0, 0) == 0:
        yield "no_network"
        yield "no_processes"


def _filter(column: int, audit: int) -> list[bytes]:
    def step(kind: int, value: int, true: int = 0, false: int = 0) -> bytes:
        return struct.pack("=HBBI", kind, true, false, value)

    refused = [calls[column] for calls in _REFUSED.values()]
    program = [
        step(_LOAD_WORD, _AT_MACHINE),
        step(_IF_EQUAL, audit, true=1),
        step(_RETURN, _KILL),
        step(_LOAD_WORD, _AT_CALL),
        step(_IF_AT_LEAST, _X32_CALLS, false=1),
        step(_RETURN, _KILL),
        step(_IF_EQUAL, _CLONE3[column], false=1),
        step(_RETURN, _REFUSE | errno.ENOSYS),
        step(_IF_EQUAL, _CLONE[column], false=4),
        step(_LOAD_WORD, _AT_FIRST),
        step(_IF_ANY_BIT, _CLONE_THREAD, false=1),
        step(_RETURN, _ALLOW),
        step(_RETURN, _REFUSE | errno.EPERM),
        step(_IF_EQUAL, _TGKILL[column], false=4),
        step(_LOAD_WORD, _AT_FIRST),
        step(_IF_EQUAL, os.getpid(), false=1),
        step(_RETURN, _ALLOW),
        step(_RETURN, _REFUSE | errno.EPERM),
        step(_IF_EQUAL, _PRLIMIT[column], false=6),
        step(_LOAD_WORD, _AT_THIRD),
        step(_IF_EQUAL, 0, false=3),
        step(_LOAD_WORD, _AT_THIRD_HIGH),
        step(_IF_EQUAL, 0, false=1),
        step(_RETURN, _ALLOW),
        step(_RETURN, _REFUSE | errno.EPERM),
    ]
    for call in refused:
        if call is not None:
            program += [
                step(_IF_EQUAL, call, false=1),
                step(_RETURN, _REFUSE | errno.EPERM),
            ]
    return [*program, step(_RETURN, _ALLOW)]
