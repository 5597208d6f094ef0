"""What search compares: folded names, pinyin and its initials."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from pypinyin import Style, lazy_pinyin


def fold(text: str) -> str:
    """Width, case and spaces removed: ``Ａ 村`` and ``a村`` are the same."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def readings(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """(initials, full pinyin) of each distinct folded name, in its most usual reading.

    ``大城县`` gives ``dcx, dachengxian``; what is not Chinese stands as it is.
    """
    return {name: _reading(name) for name in dict.fromkeys(names)}


def _reading(name: str) -> tuple[str, str]:
    # What has no reading stands character by character; pypinyin takes a list, its types do not.
    syllables = lazy_pinyin(name, style=Style.NORMAL, errors=list)  # type: ignore[arg-type]
    return "".join(syllable[0] for syllable in syllables), "".join(syllables)
