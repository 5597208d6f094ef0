"""How written words are compared: width, case, spaces and bracketed units do not matter."""

from __future__ import annotations

import re
import unicodedata

_SPACE = re.compile(r"\s+")
_CJK_SPACE = re.compile(r"(?<=[^\x00-\x7f])\s+(?=[^\x00-\x7f])")
_BRACKETS = re.compile(r"[(\[【〔][^()\[\]【】〔〕]*[)\]】〕]")
_ORGAN = re.compile(r"((村民|居民)委员会|村委会|居委会|村委|居委)$")


def plain(text: str) -> str:
    """Full-width forms made ordinary, outer spaces gone, spaces between Chinese characters gone.

    ``'北    京'`` becomes ``'北京'``; ``'New  York'`` becomes ``'New York'``.
    """
    narrow = unicodedata.normalize("NFKC", text).strip()
    return _SPACE.sub(" ", _CJK_SPACE.sub("", narrow))


def fold(text: str) -> str:
    """The form two headings or words are compared in: narrow, lower case, without any space."""
    return _SPACE.sub("", unicodedata.normalize("NFKC", text)).lower().strip(":*")


def without_brackets(folded: str) -> str:
    """A folded heading without its bracketed parts: ``签约人数(人)`` becomes ``签约人数``."""
    return _BRACKETS.sub("", folded)


def bracketed(folded: str) -> list[str]:
    """The texts inside a folded heading's brackets: ``签约人数(人)`` gives ``['人']``."""
    return [found[1:-1] for found in _BRACKETS.findall(folded)]


def stem(name: str) -> str:
    """A folded place name without 村, 村委会, 居委会 and the like; only to say what is similar."""
    folded = fold(name)
    return _ORGAN.sub("", folded).removesuffix("村") or folded
