"""Bytes into text: a mark, strict UTF-8, strict GB18030, else the person says. Never a guess."""

from __future__ import annotations

import codecs
import re
from collections import Counter

from loaders.readers.problem import ReadProblem

ENCODINGS = {
    "utf-8": "utf-8-sig",
    "gb18030": "gb18030",
    "big5": "cp950",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
    "utf-16": "utf-16",
    "utf-32": "utf-32",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "windows-1252": "cp1252",
}
"""What a person may say, and the codec for it."""

_SYNONYMS = {
    "utf8": "utf-8", "utf-8-sig": "utf-8", "gbk": "gb18030", "gb2312": "gb18030",
    "cp936": "gb18030", "936": "gb18030", "ansi": "gb18030", "65001": "utf-8", "950": "big5",
    "cp950": "big5", "big5-hkscs": "big5", "utf16": "utf-16", "unicode": "utf-16-le",
    "utf-16le": "utf-16-le", "utf-16be": "utf-16-be", "utf32": "utf-32", "sjis": "shift_jis",
    "cp932": "shift_jis", "cp949": "euc-kr", "cp1252": "windows-1252", "1252": "windows-1252",
    "latin-1": "windows-1252", "latin1": "windows-1252", "iso-8859-1": "windows-1252",
}  # fmt: skip
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ASKED = ("gb18030", "big5", "utf-16-le", "utf-16-be", "shift_jis", "euc-kr", "windows-1252")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x19\x1b-\x1f]")
_SAMPLE = 1 << 16
# Chinese text is mostly the common characters of GB 2312 level 1; text in another encoding read as
# GB18030 is mostly rare characters.
_SURELY_CHINESE, _PERHAPS_CHINESE = 0.85, 0.5


def check_name(name: str) -> str:
    """The registered name of an encoding a person wrote.

    Raises:
        ReadProblem: it is none we read.
    """
    plain = name.strip().lower().replace("_", "-").replace("shift-jis", "shift_jis")
    plain = _SYNONYMS.get(plain, plain)
    if plain not in ENCODINGS:
        raise ReadProblem("ENCODING_NAME_UNKNOWN", value=name[:40], encodings="、".join(ENCODINGS))
    return plain


def decode(data: bytes, said: str | None = None) -> tuple[str, str]:
    """The text and the name of its encoding.

    Args:
        said: the encoding the person named (a key of `ENCODINGS`), or None.

    Raises:
        ReadProblem: ``ENCODING_WRONG``, the bytes are not what the person or their mark says;
            ``ENCODING_UNKNOWN``, nobody says and it cannot be told, with the candidates.
    """
    marked = next((name for mark, name in _BOMS if data.startswith(mark)), None)
    name = said or marked
    if name is not None:
        text = _strictly(data, name)
        if text is None:
            raise ReadProblem("ENCODING_WRONG", encoding=name, candidates=_named(data))
        return text.removeprefix("\ufeff"), name
    # A text has no zero bytes but in UTF-16 and UTF-32, where without a mark nothing is certain.
    if b"\x00" not in data:
        text = _strictly(data, "utf-8")
        if text is not None:
            return text, "utf-8"
        text = _strictly(data, "gb18030")
        if text is not None and _is_chinese(text, data):
            return text, "gb18030"
    raise ReadProblem("ENCODING_UNKNOWN", candidates=_named(data))


def _strictly(data: bytes, name: str) -> str | None:
    try:
        return data.decode(ENCODINGS[name])
    except UnicodeDecodeError:
        return None


def _is_chinese(text: str, data: bytes) -> bool:
    """Whether a text read as GB18030 is what was written, and not Big5 or another encoding."""
    share = _common(text, "gb2312", 0xB0, 0xD7)
    if share == 1.0:
        return True
    other = _strictly(data, "big5")
    rival = 0.0 if other is None else _common(other, "big5", 0xA4, 0xC6)
    return (
        share >= _PERHAPS_CHINESE
        and share >= rival
        and (share >= _SURELY_CHINESE or rival < _PERHAPS_CHINESE)
    )


def _common(text: str, codec: str, first: int, last: int) -> float:
    """Share of a text's wide characters that are common ones or punctuation in a codec.

    Args:
        first, last: lead bytes of the codec's common characters.
    """
    sample = Counter(char for char in text[:_SAMPLE] if char > "\x7f")
    common = 0
    for char, count in sample.items():
        written = char.encode(codec, errors="ignore")
        if len(written) == 2 and (first <= written[0] <= last or 0xA1 <= written[0] <= 0xA3):
            common += count
    return common / sample.total() if sample else 1.0


def candidates(data: bytes) -> list[str]:
    """The encodings in which the bytes are a text, as the person may name them."""
    found = []
    for name in _ASKED:
        text = _strictly(data, name)
        if text is not None and not _CONTROLS.search(text):
            found.append(name)
    return found


def _named(data: bytes) -> str:
    return "、".join(candidates(data)) or "（无）"
