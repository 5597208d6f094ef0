"""What is asked of a password, and its hash."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher, extract_parameters

from dashboard.accounts import passwords
from geodata.errors import DudaoError


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("短口令", "PASSWORD_SHORT"),
        ("a" * 257 + "bcd", "PASSWORD_LONG"),
        ("wang.xiaoming", "PASSWORD_IS_LOGIN"),
        ("WANG.XiaoMing", "PASSWORD_IS_LOGIN"),
        ("wang.xiaomingwang.xiaoming", "PASSWORD_IS_LOGIN"),
        ("1234567890", "PASSWORD_COMMON"),
        ("１２３４５６７８９０", "PASSWORD_COMMON"),
        ("Password123", "PASSWORD_COMMON"),
        ("aaaaaaaaaaaa", "PASSWORD_COMMON"),
        ("abababababab", "PASSWORD_COMMON"),
    ],
)
def test_what_is_guessed_easily_is_refused(password: str, code: str) -> None:
    with pytest.raises(DudaoError) as caught:
        passwords.check(password, "wang.xiaoming")
    assert caught.value.code == code
    assert caught.value.remedy


@pytest.mark.parametrize(
    "password", ["秋收之后修村路口三里", "correct horse battery", "a1b2c3d4e5"]
)
def test_length_is_enough(password: str) -> None:
    passwords.check(password, "wang.xiaoming")


def test_a_hash_is_argon2id_with_its_own_salt_and_holds_no_password() -> None:
    one, other = passwords.hashed("秋收之后修村路"), passwords.hashed("秋收之后修村路")
    assert one != other
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.matches(one, "秋收之后修村路")
    assert not passwords.matches(one, "秋收之后修村道")
    assert not passwords.matches(None, "")
    assert not passwords.matches(None, "秋收之后修村路")


def test_full_width_characters_are_the_same_password() -> None:
    assert passwords.matches(passwords.hashed("ABC１２３ｄｅｆｇ"), "ABC123defg")


def test_a_damaged_hash_matches_nothing() -> None:
    assert not passwords.matches("$argon2id$", "秋收之后修村路")
    assert not passwords.matches("plain text", "plain text")


def test_a_hash_of_other_parameters_is_outdated() -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("秋收之后修村路")
    assert passwords.matches(weak, "秋收之后修村路")
    assert passwords.outdated(weak)
    assert not passwords.outdated(passwords.hashed("秋收之后修村路"))


def test_a_burst_takes_the_memory_of_two() -> None:
    """Thirty-two at once must not need thirty-two times the memory."""
    stored = passwords.hashed("秋收之后修村路")
    before = _peak_kib()
    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(lambda _: passwords.matches(stored, "秋收之后修村路"), range(32)))
    each = extract_parameters(stored).memory_cost
    assert _peak_kib() - before < each * (passwords.AT_ONCE + 2)


def _peak_kib() -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1])
