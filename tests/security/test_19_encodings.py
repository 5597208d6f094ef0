"""Attack 19: every encoding a county's software writes is read right or asked about."""

from __future__ import annotations

import json
from pathlib import Path

import openpyxl
import pytest

from loaders import inspect
from loaders.model import Known, Prepared, Request
from loaders.prepare import prepare
from loaders.readers.encoding import ENCODINGS, candidates, check_name, decode
from loaders.readers.problem import ReadProblem

KNOWN = Known.nothing()
HEAD = "id,名称,level,parent_id\n"
SIMPLIFIED = HEAD + "131000000000,廊坊市,city,\n131025000000,大城县,county,131000000000\n"
TRADITIONAL = (
    "id,name,level,parent_id,備註\n131000000000,廊坊市,city,,\n"
    "131025000000,廣陽縣,county,131000000000,鄉鎮衛生院\n"
)
NAMES = ["廊坊市", "大城县"]


def load(path: Path, text: str, encoding: str, said: str | None = None) -> Prepared:
    path.write_bytes(text.encode(encoding))
    return prepare(path, Request(dataset="places", encoding=said), KNOWN)


def codes(prepared: Prepared) -> set[str]:
    return {issue.code for issue in prepared.report.issues if issue.severity == "error"}


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("gbk", "gb18030"),
        ("gb2312", "gb18030"),
        ("gb18030", "gb18030"),
        ("utf-16", "utf-16"),
        ("utf-32", "utf-32"),
    ],
)
def test_what_can_be_told_is_read_right(encoding: str, found: str, tmp_path: Path) -> None:
    text = SIMPLIFIED.replace("\n", "\r\n")
    prepared = load(tmp_path / "x.csv", text, encoding)
    assert codes(prepared) == set()
    assert prepared.report.encoding == found
    assert prepared.frame["name"].tolist() == NAMES
    # What the data page shows before anything is loaded.
    (table,) = inspect(tmp_path / "x.csv")
    assert table.headings == ("id", "名称", "level", "parent_id")


def test_a_marked_file_in_the_other_byte_order(tmp_path: Path) -> None:
    prepared = load(tmp_path / "x.csv", "\ufeff" + SIMPLIFIED, "utf-16-be")
    assert prepared.frame["name"].tolist() == NAMES


@pytest.mark.parametrize("encoding", ["big5", "utf-16-le", "utf-16-be"])
def test_what_cannot_be_told_is_asked_and_then_read_right(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    asked = load(path, TRADITIONAL, encoding)
    assert codes(asked) == {"ENCODING_UNKNOWN"}
    (issue,) = list(asked.report.issues)
    assert encoding in issue.message and encoding in issue.message_en
    said = load(path, TRADITIONAL, encoding, said=encoding)
    assert codes(said) == set()
    assert said.report.encoding == encoding
    assert said.frame["name"].tolist() == ["廊坊市", "廣陽縣"]
    (table,) = inspect(path, encoding=encoding)
    assert table.headings[4] == "備註"


BIG5_TEXTS = [
    "名稱\n", "鄉鎮衛生院\n", "戶數,人數\n", "縣,鄉,村\n", "甲\n", "東關村,西關村\n",
    "建檔立卡戶數,簽約人數,月份\n", "臺北市,高雄市\n", "統計表（二零二六年）\n", "單位：戶\n",
    "姓名,性別,年齡,住址,電話,備註\n", "合計\n", "區劃代碼,名稱,級別,上級代碼\n",
    "這是一段比較長的文字，用來說明資料的來源與統計口徑。\n",
]  # fmt: skip


@pytest.mark.parametrize("text", BIG5_TEXTS)
def test_big5_is_never_taken_for_something_else(text: str) -> None:
    data = text.encode("big5")
    try:
        read, encoding = decode(data)
    except ReadProblem as problem:
        assert problem.code == "ENCODING_UNKNOWN"
        assert "big5" in candidates(data)
    else:
        # Two or three characters can be both, and the common reading is taken.
        assert len(data) <= 7 and encoding == "gb18030" and read != text


@pytest.mark.parametrize(
    "text",
    [
        "名称\n", "廊坊市\n", "涿州市,霸州市,三河市\n", "鄚州镇\n", "单位：户（％）\n",
        "姓名,性别,年龄,住址,电话,备注\n", "㐂村,名称,户数\n", "垡,淀,堼,汊,濞\n名称,户数,人数\n",
        "村名\n北旺乡\n杨税务镇\n落垡镇\n码头镇\n葛渔城镇\n东沽港镇\n调河头乡\n仇庄镇\n",
    ],
)  # fmt: skip
def test_names_with_rare_characters_are_still_gb18030(text: str) -> None:
    assert decode(text.encode("gb18030")) == (text, "gb18030")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("naïve,café\nMüller,Straße\n", "cp1252"),
        ("名前,都道府県\nひらがな,カタカナ\n", "shift_jis"),
        ("Имя,Область\n", "cp1251"),
    ],
)
def test_other_languages_are_asked_about(text: str, encoding: str) -> None:
    with pytest.raises(ReadProblem) as raised:
        decode(text.encode(encoding))
    assert raised.value.code == "ENCODING_UNKNOWN"


def test_a_wrong_answer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    assert codes(load(path, SIMPLIFIED, "gbk", said="utf-8")) == {"ENCODING_WRONG"}
    assert codes(load(path, SIMPLIFIED, "utf-8-sig", said="gb18030")) != set()
    assert codes(load(path, SIMPLIFIED, "gbk", said="rot13")) == {"ENCODING_NAME_UNKNOWN"}
    assert codes(load(path, SIMPLIFIED, "gbk", said="idna")) == {"ENCODING_NAME_UNKNOWN"}


def test_one_bad_byte_refuses_the_file(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig"):
        path = tmp_path / "x.csv"
        data = (SIMPLIFIED * 1000).encode(encoding)
        at = len(data) // 2
        path.write_bytes(data[:at] + b"\xff" + data[at:])
        prepared = prepare(path, Request(), KNOWN)
        assert codes(prepared) & {"ENCODING_UNKNOWN", "ENCODING_WRONG"}
        assert prepared.frame.empty


def test_geojson_follows_the_same_rule(tmp_path: Path) -> None:
    feature = {
        "type": "Feature",
        "properties": {"id": "131025000000", "name": "廣陽縣", "level": "county"},
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[116, 39], [117, 39], [117, 40], [116, 39]]],
        },
    }
    text = json.dumps({"type": "FeatureCollection", "features": [feature]}, ensure_ascii=False)
    path = tmp_path / "x.geojson"
    assert codes(load(path, text, "big5")) == {"ENCODING_UNKNOWN"}
    prepared = load(path, text, "big5", said="big5")
    assert codes(prepared) == set()
    assert prepared.frame["name"].tolist() == ["廣陽縣"]
    prepared = load(path, text, "utf-16")
    assert prepared.frame["name"].tolist() == ["廣陽縣"]


def test_a_workbook_carries_its_own_encoding(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in SIMPLIFIED.splitlines():
        book.active.append(row.split(","))
    path = tmp_path / "x.xlsx"
    book.save(path)
    prepared = prepare(path, Request(dataset="places", encoding="big5"), KNOWN)
    assert prepared.frame["name"].tolist() == NAMES


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_encoding_of_the_list_reads_what_it_writes(name: str) -> None:
    assert check_name(name.upper()) == name
    assert "abc".encode(ENCODINGS[name]).decode(ENCODINGS[name]) == "abc"


@pytest.mark.parametrize(
    ("said", "name"),
    [("GBK", "gb18030"), ("UTF_8", "utf-8"), ("utf-8-sig", "utf-8"), ("cp950", "big5")],
)
def test_common_names_are_understood(said: str, name: str) -> None:
    assert check_name(said) == name


def test_a_codec_that_is_no_encoding_is_not_reached() -> None:
    for name in ("zlib", "base64", "rot13", "unicode_escape", "punycode", "undefined", "mbcs"):
        with pytest.raises(ReadProblem):
            check_name(name)
