"""Passwords: what is asked of them, and their hashes. At most two are computed at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from unicodedata import normalize

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from geodata.errors import DudaoError

SHORTEST, LONGEST = 10, 256

AT_ONCE = 2
"""Each takes a core and 19 MiB: a burst of sign-ins waits its turn and leaves the pages running."""

# Threads of their own: what malloc has once given to a thread it keeps for that thread, so on the
# callers' threads a burst would leave behind 19 MiB for each of them.
_workers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")

# OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

_COMMON = frozenset(
    {
        "1234567890", "0123456789", "0987654321", "9876543210", "12345678910", "123456789a",
        "a123456789", "1234567890a", "123456789abc", "abc123456789", "qwertyuiop", "1qaz2wsx3edc",
        "qwerty1234", "qwerty12345", "qwerty123456", "password12", "password123", "password1234",
        "passw0rd123", "p@ssw0rd123", "p@ssword123", "admin12345", "admin123456", "admin@1234",
        "admin@12345", "administrator", "iloveyou123", "woaini1314", "woaini520520",
        "woaini1314520", "5201314520", "1314520520", "aa123456789", "qq123456789", "zxcvbnm123",
        "asdfghjkl1", "asdfghjkl123", "1q2w3e4r5t", "1q2w3e4r5t6y", "q1w2e3r4t5", "huawei@123",
        "welcome123", "welcome1234", "changeme123", "letmein123", "abcdefghij", "abcd123456",
        "abcd1234567", "weijianwei", "weijianwei123", "jiankang123", "dudao12345", "dudao123456",
    }
)  # fmt: skip
"""Passwords of ten characters and more that everybody tries first."""


def _plain(password: str) -> str:
    return normalize("NFKC", password)


def check(password: str, login: str) -> None:
    """Refuse a password that is guessed too easily.

    Length counts, not the kinds of characters: those make people write passwords down.

    Raises:
        DudaoError: PASSWORD_SHORT, PASSWORD_LONG, PASSWORD_IS_LOGIN or PASSWORD_COMMON.
    """
    plain = _plain(password)
    folded = plain.casefold()
    if len(plain) < SHORTEST:
        raise DudaoError(
            "PASSWORD_SHORT",
            f"口令太短，至少 {SHORTEST} 个字符。",
            "可以用一句好记的话，不要求大小写或符号。",
        )
    if len(plain) > LONGEST:
        raise DudaoError(
            "PASSWORD_LONG", f"口令太长，最多 {LONGEST} 个字符。", "请换一个短一些的口令。"
        )
    if login and folded.replace(login, "") == "":
        raise DudaoError(
            "PASSWORD_IS_LOGIN", "口令不能与账号名称相同。", "请换一个与账号无关的口令。"
        )
    if folded in _COMMON or len(set(folded)) < 4:
        raise DudaoError(
            "PASSWORD_COMMON", "这个口令太常见，容易被猜中。", "请换一句只有您知道的话。"
        )


def hashed(password: str) -> str:
    """The argon2id hash of a password, with its parameters and salt."""
    return _workers.submit(_hasher.hash, _plain(password)).result()


@cache
def _nobody() -> str:
    return hashed("")


def matches(password_hash: str | None, password: str) -> bool:
    """Whether a password belongs to a hash; takes as long and is False when there is none."""
    compared = password_hash or _nobody()
    try:
        _workers.submit(_hasher.verify, compared, _plain(password)).result()
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def outdated(password_hash: str) -> bool:
    """Whether a hash was made with parameters no longer used."""
    return _hasher.check_needs_rehash(password_hash)
