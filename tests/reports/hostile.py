"""Texts that hurt programs which trust them."""

from __future__ import annotations

FORMULAS = (
    "=1+1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://127.0.0.1/?x="&A1,"点此")',
    '=WEBSERVICE("http://127.0.0.1/")',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "\t=1+1",
    "\n=1+1",
    " =1+1",
    "\u3000=1+1",
    "=1+1",
    "+1",
    "-1",
    "@SUM(1)",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20SUM(1)",
    "\ufe62SUM(1)",
    "\ufeff=1+1",
    "\u2066=1+1",
    "\xa0=1+1",
    "\u200b=1+1",
    "'=1+1",
    "''=1+1",
    'DDE("cmd";"/C calc";"x")',
    "{=1+1}",
    '{ DDEAUTO c:\\\\windows\\\\system32\\\\cmd.exe "/k calc" }',
)
MARKUP = (
    "‹村>",
    "<村>&\"'",
    "]]><x/>",
    "<!--",
    "<r><t>富文本</t></r>",
    "<r></r>",
    "&amp;&#x41;",
    "_x0041_",
    "_x000D_",
    "{{ 7*7 }}{% for x in y %}",
    '</w:t></w:r><w:r><w:fldSimple w:instr="DDEAUTO cmd"/>',
    '<?xml version="1.0"?>',
)
SPREADSHEET = (
    "#N/A", "#REF!", "TRUE", "1E5", "0012", "131025100201", "2026-10-01", "1,5;=2", "50%",
)  # fmt: skip
PLAIN = ("大城县", 'a,b"c', "两行\n文字", " 前后空格 ", "𠮷野家", "", "买买提·吐尔逊")
TEXTS = (*FORMULAS, *MARKUP, *SPREADSHEET, *PLAIN)

CONTROL = ("\x00甲", "甲\x01乙", "\x0b=1", "甲\x1f", "\ufffe甲", "甲\x08=1+1")
"""XML cannot carry these characters: the text without them has to arrive."""
