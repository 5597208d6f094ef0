"""Header and data rows: the four messy files exactly, and the shapes statistical tables take."""

from __future__ import annotations

from pathlib import Path

import pytest

from loaders import inspect
from loaders.model import SheetTable

DATA = Path(__file__).parents[1] / "data" / "loaders"


def reasons(table: SheetTable) -> dict[int, str]:
    return {one.row: one.reason for one in table.skipped}


def test_gb18030_csv_with_titles_and_notes() -> None:
    (table,) = inspect(DATA / "renjiyi_fensheng.csv")
    assert table.sheet is None
    assert table.header_rows == (4,)
    assert table.headings == ("地区", *(f"{year}年" for year in range(2024, 2005, -1)))
    assert table.data_rows == 31
    assert reasons(table) == {1: "title", 2: "title", 3: "title", 36: "note", 37: "note"}


def test_four_row_header_with_absurd_merges() -> None:
    (table,) = inspect(DATA / "2rintf_A0101a.xls")
    assert table.sheet == "Sheet1"
    assert table.header_rows == (4, 5, 6, 7)
    assert table.headings == (
        "地区",
        "户数 合计",
        "户数 家庭户",
        "户数 集体户",
        "人口数 合计",
        "人口数 合计 男",
        "人口数 合计 女",
        "人口数 合计 性别比 (女=100)",
        "人口数 家庭户 小计",
        "人口数 家庭户 男",
        "人口数 家庭户 女",
        "人口数 家庭户 性别比 (女=100)",
        "人口数 集体户 小计",
        "人口数 集体户 男",
        "人口数 集体户 女",
        "人口数 集体户 性别比 (女=100)",
        "平均家庭 户规模 (人/户)",
    )
    # 全国 and 31 provinces.
    assert table.data_rows == 32
    assert reasons(table) == {1: "title", 2: "blank", 3: "title"}


def test_two_row_header_with_years_as_numbers() -> None:
    total, provinces = inspect(DATA / "adyliu_summary.xlsx")
    assert (total.sheet, total.header_rows) == ("总统计", (1, 2))
    years = [f"{year} {what}" for year in range(2023, 2016, -1) for what in ("数量", "同比去年")]
    assert total.headings == ("级别", "描述", *years[:-1])
    assert total.data_rows == 5
    assert reasons(total) == {8: "total"}
    assert (provinces.sheet, provinces.header_rows) == ("分省统计", (1,))
    assert provinces.headings == ("code", "省", "市", "区/县", "街道/镇", "社区/村")
    assert provinces.data_rows == 31
    assert reasons(provinces) == {33: "total"}


def test_xls_with_titles_and_three_notes() -> None:
    (table,) = inspect(DATA / "nbs_fensheng_2020di.xls")
    assert (table.sheet, table.header_rows) == ("分省年度数据", (4,))
    assert table.headings == ("地区", "2019年", "2018年", "2017年", "2016年", "2015年")
    assert table.data_rows == 31
    assert reasons(table) == {
        1: "title", 2: "title", 3: "title", 36: "note", 37: "note", 38: "note",
    }  # fmt: skip


CASES = {
    "plain": ("a,b\nx,1\n", (1,), ("a", "b"), 1, {}),
    "group row without merges": (
        "地区,户数,,人口,\n,合计,家庭户,合计,男\n甲,5,4,9,3\n",
        (1, 2),
        ("地区", "户数 合计", "户数 家庭户", "人口 合计", "人口 男"),
        1,
        {},
    ),
    "two languages": (
        "代码,名称,户数\ncode,name,households\n131002,甲,4\n131003,乙,5\n",
        (1, 2),
        ("代码 code", "名称 name", "户数 households"),
        2,
        {},
    ),
    "unit row and column numbers": (
        "地区,户数,人口,计划\n,(户),(人),(个)\n甲,1,2,3\n东村,4,9,1\n",
        (1, 2),
        ("地区", "户数 (户)", "人口 (人)", "计划 (个)"),
        1,
        {3: "numbering"},
    ),
    "form line, blanks, subtotals, signatures": (
        "家庭医生签约统计表,,\n填报单位：安次区,,2026年10月\n\n区划代码,户数,人口\n131002101201,3,9\n"
        "小  计,3,9\n\n131003101201,2,4\n总计,5,13\n填表人：张三,审核人：李四,2026年11月3日\n",
        (4,),
        ("区划代码", "户数", "人口"),
        2,
        {1: "title", 2: "title", 3: "blank", 6: "total", 7: "blank", 9: "total", 10: "note"},
    ),
    "header repeated on each page": (
        "地区,户数\n甲,1\n地区,户数\n乙,2\n", (1,), ("地区", "户数"), 2, {3: "title"},
    ),
    "all texts": (
        "机构名称,类别\n甲室,村卫生室\n乙院,乡镇卫生院\n", (1,), ("机构名称", "类别"), 2, {},
    ),
    "a village whose name has 计 in it": (
        "名称,户数\n计家庄村,1\n会计村,2\n", (1,), ("名称", "户数"), 2, {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_shapes_of_tables(name: str, tmp_path: Path) -> None:
    text, header_rows, headings, data_rows, skipped = CASES[name]
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    (table,) = inspect(path)
    assert table.header_rows == header_rows
    assert table.headings == headings
    assert table.data_rows == data_rows
    assert reasons(table) == skipped


def test_no_header_is_said_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("131002101201,2026-10,5\n131002101202,2026-10,6\n", encoding="utf-8")
    (table,) = inspect(path)
    assert table.header_rows == ()
    assert table.data_rows == 0
