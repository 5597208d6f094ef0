"""What is shown of names, identity numbers and phones by default. Pure; low enough for the checks.

What cannot be recognised is masked whole: a mask shows too little rather than too much.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from unicodedata import normalize

STAR = "*"

# People write numbers in groups, with blanks of every kind and with hyphens. \d takes full-width
# digits too.
_GAP = r"[\s\-‐-―_.·\u200b-\u200f\u2060\ufeff]{0,2}"
_BEFORE, _AFTER = r"(?<!\d)", r"(?!\d)"


def _spaced(*characters: str) -> re.Pattern[str]:
    return re.compile(_BEFORE + _GAP.join(characters) + _AFTER)


_ID = _spaced(*[r"\d"] * 17, r"[\dXxＸｘ]")
_OLD_ID = _spaced(*[r"\d"] * 15)
_MOBILE = _spaced(r"(?:(?:00)?86)?" + _GAP + "[1１]", "[3-9３-９]", *[r"\d"] * 9)

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECKS = "10X98765432"
_BIRTHDAY = re.compile(r"(?:1[89]|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_SHORT_BIRTHDAY = re.compile(r"\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")


_SUSPECT = re.compile(r"(?:\d\D{0,2}){10}\d")
"""No number that is masked is without this; most texts are told by one look."""


def _plain(found: str) -> str:
    return "".join(c for c in normalize("NFKC", found).upper() if c.isdecimal() or c == "X")


def _is_id(found: str) -> bool:
    """A birthday in its place, or a right check character: a slip of the pen is still a person."""
    number = _plain(found)
    total = sum(int(digit) * weight for digit, weight in zip(number[:17], WEIGHTS, strict=True))
    return bool(_BIRTHDAY.fullmatch(number[6:14])) or CHECKS[total % 11] == number[17]


def _is_old_id(found: str) -> bool:
    return bool(_SHORT_BIRTHDAY.fullmatch(_plain(found)[6:12]))


def _anything(found: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class _Kind:
    """A number to look for, its length, what makes a match certain, what stays at each end."""

    length: int
    pattern: re.Pattern[str]
    certain: Callable[[str], bool]
    first: int
    last: int

    def hide(self, match: re.Match[str]) -> str:
        """The match with its middle starred, its gaps kept."""
        found = match.group()
        if not self.certain(found):
            return found
        at = [place for place, c in enumerate(found) if c.isdecimal() or c in "XxＸｘ"]
        at = at[-self.length :]
        hidden = set(at[self.first : self.length - self.last])
        return "".join(STAR if place in hidden else c for place, c in enumerate(found))


_KINDS = (
    _Kind(18, _ID, _is_id, 0, 4),
    _Kind(15, _OLD_ID, _is_old_id, 0, 4),
    _Kind(11, _MOBILE, _anything, 3, 4),
)


def mask_text(text: str) -> str:
    """Free text with identity numbers (18 and 15 digits) and mobile numbers masked.

    Digits may be full-width and stand in groups. Everything else, such as 12-digit codes of places,
    stays; the length of the text too.
    """
    if _SUSPECT.search(text) is None:
        return text
    for kind in _KINDS:
        text = kind.pattern.sub(kind.hide, text)
    return text


COMPOUND_SURNAMES = frozenset(
    re.findall(
        r"\S+",
        """
    欧阳 上官 司马 诸葛 夏侯 皇甫 尉迟 公孙 慕容 令狐 宇文 长孙 司徒 司空 东方 独孤 南宫 西门 东郭
    百里 呼延 端木 轩辕 申屠 钟离 闻人 赫连 澹台 宗政 濮阳 淳于 单于 太叔 仲孙 公冶 公羊 鲜于 闾丘
    司寇 亓官 拓跋 夹谷 宰父 谷梁 段干 漆雕 乐正 公西 巫马 公良 梁丘 左丘 东门 万俟 第五 达奚 纳兰
    """,
    )
)
"""Surnames of two characters."""

_DOTS = re.compile(r"[·•・‧∙⋅.]")
_HAN = re.compile(r"[㐀-鿿豈-﫿\U00020000-\U0003ffff]+")


def mask_name(text: str) -> str:
    """``张*``, ``欧阳**``; ``买*·*`` for a name with a dot, ``J***`` for other scripts."""
    written = normalize("NFKC", text).strip()
    if not written:
        return ""
    if len(written) == 1:
        return STAR
    if _DOTS.search(written):
        first, *others = (part.strip() for part in _DOTS.split(written))
        return f"{first[:1]}{STAR}" + f"·{STAR}" * len(others)
    if _HAN.fullmatch(written):
        surname = 2 if len(written) > 2 and written[:2] in COMPOUND_SURNAMES else 1
        return written[:surname] + STAR * (len(written) - surname)
    return written[0] + STAR * 3


def mask_id_number(text: str) -> str:
    """The last four characters behind stars; nothing but stars for less than twelve."""
    return _keep("".join(normalize("NFKC", text).split()), 0, 4, 12)


def mask_phone(text: str) -> str:
    """``138****5678``; of another number of seven digits and more the last two."""
    digits = "".join(c for c in normalize("NFKC", text) if c.isdigit())
    if len(digits) == 13 and digits.startswith("86"):
        digits = digits[2:]
    if re.fullmatch(r"1[3-9]\d{9}", digits):
        return _keep(digits, 3, 4, 11)
    return _keep(digits or STAR * len(text.strip()), 0, 2, 7)


def _keep(text: str, first: int, last: int, least: int) -> str:
    """Stars for all but the first and last characters, for all where there are too few."""
    if len(text) < least:
        return STAR * len(text)
    return text[:first] + STAR * (len(text) - first - last) + text[-last:]
