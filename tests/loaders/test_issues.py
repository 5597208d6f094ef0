"""The registry of issues: complete, used, and filled in without a gap."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import numpy as np
import pytest

from loaders.issues import CODES, OWN_FIELDS, block, make
from loaders.model import Severity

ROOM = Path(__file__).parents[2] / "loaders"


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


@pytest.mark.parametrize("code", CODES)
def test_an_entry_is_complete(code: str) -> None:
    entry = CODES[code]
    assert re.fullmatch(r"[A-Z][A-Z0-9_]+", code)
    assert entry.message.endswith(("。", "{detail}"))
    assert entry.message_en.endswith((".", "{detail_en}"))
    assert re.search(r"[\u4e00-\u9fff]", entry.message)
    if entry.severity is not Severity.INFO:
        assert entry.remedy.endswith("。")
        assert entry.remedy_en.endswith(".")
    # What one language names in the file, the other does too.
    shared = fields(entry.template) & OWN_FIELDS
    assert shared == fields(entry.template_en) & OWN_FIELDS
    params = {name: f"<{name}>" for name in entry.params}
    issue = make(code, "S", 7, "C", "V", **params)
    for text in (issue.message, issue.message_en):
        assert "{" not in text
    assert issue.severity is entry.severity


def test_every_code_is_raised_somewhere_and_every_raised_code_is_registered() -> None:
    used: set[str] = set()
    for path in ROOM.rglob("*.py"):
        # The reading process's environment holds names of GDAL's that look like codes.
        if path.name not in ("issues.py", "environment.py"):
            used |= set(re.findall(r'"([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)"', path.read_text("utf-8")))
    assert CODES.keys() - used == set()
    assert used - CODES.keys() <= {"REGISTRY_INVALID"}


def test_params_must_fit() -> None:
    with pytest.raises(TypeError, match="MONTH_CONFLICT"):
        make("MONTH_CONFLICT", value="x")
    with pytest.raises(TypeError, match="BAD_NUMBER"):
        make("BAD_NUMBER", detail="x")
    with pytest.raises(KeyError):
        make("NO_SUCH_CODE")


def test_a_block_makes_the_same_issues_as_single_ones() -> None:
    rows = np.array([3, 9])
    values = np.array(["-1", "-{2}"], dtype=object)
    made = list(block("NEGATIVE_COUNT", rows, "表", "户数", values))
    assert made == [
        make("NEGATIVE_COUNT", "表", 3, "户数", "-1"),
        make("NEGATIVE_COUNT", "表", 9, "户数", "-{2}"),
    ]
    assert made[1].message == "第 9 行“户数”是负数“-{2}”。数量不能为负，请核对。"
