"""Records: every dataset is recognised, every bad row named, and no number stays in clear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from loaders import registry
from loaders.model import Known, Prepared, Request
from loaders.prepare import prepare
from tests.loaders.world import DONGGUAN, OLD_VILLAGE, XIGUAN, codes, rows_of
from tests.privacy.world import id_number

Write = Callable[..., Path]
SERVICES = "身份证号,服务日期,服务类别,服务层级,村代码\n"
CONTRACTS = "身份证号,签约日期,到期日期,团队编号,村代码\n"
TEAMS = "团队编号,组建日期,村代码,团队名称,团队级别,成员数\n"
RESIDENTS = "身份证号,识别日期,退出日期,村代码,病种\n"


@pytest.fixture
def register(known: Known) -> Known:
    """The stored county with a register of persons."""
    return with_records(known)


def with_records(known: Known, **held: list[dict[str, object]]) -> Known:
    """The stored county with some stored records."""

    def persons(numbers: Sequence[str]) -> list[tuple[str, str]]:
        return [(key_of(number), "") for number in numbers]

    def records(dataset: str, column: str, values: Sequence[str]) -> pd.DataFrame:
        empty = registry.datasets()[dataset].empty_frame()
        found = pd.DataFrame(held.get(dataset, []), columns=list(empty.columns))
        found = found.astype(empty.dtypes.to_dict())
        return found[found[column].isin(values)]

    return replace(known, persons=persons, records=records)


def key_of(number: str) -> str:
    """What stands for the keyed hash here."""
    return f"key of {number[-6:]}"


A_ROW_OF_EACH = {
    "residents": (
        "身份证号,识别日期,村代码,户编号,因病致贫,病种\n{person},2016-03-01,{village},H1,是,高血压、糖尿病\n"
    ),
    "households": "户编号,识别日期,村代码,家庭人口,需送药上门\nH1,2016-03-01,{village},4,否\n",
    "teams": TEAMS + "T1,2026-01-01,{village},一队,乡级,5\n",
    "contracts": CONTRACTS + "{person},2026-01-01,2027-01-01,T1,{village}\n",
    "services": SERVICES + "{person},2026-03-02,体检,乡镇卫生院,{village}\n",
    "visits": "户编号,走访日期,走访类别,村代码\nH1,2026-03-02,冬季走访,{village}\n",
    "clinic_checks": (
        "机构代码,检查日期,村代码,村医数,服务人口,建筑面积,诊断室,治疗室,公共卫生室,药房,设备齐全\n"
        "C1,2026-03-02,{village},1,900,62.5,是,是,是,是,否\n"
    ),
    "settlements": (
        "区划代码,结算月份,结算类别,总费用,新农合支付,受益人次\n{village},2026-03,住院,12.5,8,3\n"
    ),
    "samples": "区划代码,采样月份,样品类别,计划份数,检测份数\n{village},2026-03,水氟水碘,20,18\n",
    "events": "举办地代码,活动日期,活动类别,活动名称\n{village},2026-03-02,义诊,进村义诊\n",
    "revisits": (
        "户编号,核实日期,核实指标,村代码,核实结果,上报数,核实数\n"
        "H1,2026-03-02,签约人数,{village},已核实,3,2\n"
    ),
}


def test_every_dataset_of_records_has_a_row_here() -> None:
    assert set(A_ROW_OF_EACH) == set(registry.record_datasets())


@pytest.mark.parametrize("dataset", A_ROW_OF_EACH)
def test_a_file_is_recognised_and_becomes_canonical_rows(
    dataset: str, register: Known, write: Write
) -> None:
    text = A_ROW_OF_EACH[dataset].format(person=id_number(11), village=DONGGUAN)
    prepared = prepare(write(text), Request(), register)
    assert prepared.report.issues.counts() == {}
    assert prepared.dataset == dataset
    declared = registry.datasets()[dataset]
    assert tuple(prepared.frame.columns) == declared.canonical and len(prepared.frame) == 1
    for name in declared.canonical:
        if declared.dtype(name) != "str":
            assert prepared.frame[name].dtype == declared.dtype(name)
    row = prepared.frame.iloc[0]
    assert row["place_id"] == DONGGUAN
    if declared.of_persons:
        assert row["person"] == key_of(id_number(11))
        assert id_number(11) not in prepared.frame.to_csv()


def test_names_beside_the_records_change_nothing(register: Known, write: Write) -> None:
    text = f"姓名,{SERVICES}张甲,{id_number(11)},2026-03-02,体检,县级,{DONGGUAN}\n"
    prepared = prepare(write(text), Request(), register)
    assert prepared.dataset == "services" and codes(prepared) == {"UNKNOWN_COLUMN": 1}
    assert "张甲" not in prepared.frame.to_csv()


def test_several_diseases_in_one_cell(register: Known, write: Write) -> None:
    lines = [
        f"{id_number(11)},2016-01-01,,{DONGGUAN},高血压；2型糖尿病",
        f"{id_number(12)},2016-01-01,,{DONGGUAN},感冒",
        f"{id_number(13)},2016-01-01,,{DONGGUAN},高血压 感冒",
        f"{id_number(14)},2016-01-01,,{DONGGUAN},艾滋病",
        f"{id_number(15)},2016-01-01,,{DONGGUAN},",
    ]
    prepared = prepare(write(RESIDENTS + "\n".join(lines)), Request(), register)
    assert rows_of(prepared, "UNKNOWN_CHOICE") == [3, 4, 5]
    assert prepared.frame["diseases"].fillna("").tolist() == ["diabetes hypertension", ""]


def errors(prepared: Prepared) -> dict[str, list[int | None]]:
    """Rows of each code."""
    return {code: rows_of(prepared, code) for code in codes(prepared)}


def test_a_contract_must_end_after_it_starts_and_not_overlap(register: Known, write: Write) -> None:
    one, two, three = (id_number(n) for n in (11, 12, 13))
    lines = [
        f"{one},2026-03-01,2026-03-01,T1,{DONGGUAN}",  # 2
        f"{two},2026-01-01,2026-12-31,T1,{DONGGUAN}",  # 3
        f"{two},2026-06-01,2027-05-31,T2,{DONGGUAN}",  # 4: overlaps 3
        f"{three},2026-01-01,2026-06-01,T1,{DONGGUAN}",  # 5
        f"{three},2026-06-01,2027-06-01,T1,{DONGGUAN}",  # 6: begins the day 5 ends
    ]
    prepared = prepare(write(CONTRACTS + "\n".join(lines)), Request(), register)
    assert errors(prepared) == {"CONTRACT_ENDS_BEFORE_START": [2], "CONTRACTS_OVERLAP": [4, 3]}
    assert prepared.frame["person"].tolist() == [key_of(three)] * 2


def test_a_stored_contract_counts_as_much_as_one_in_the_file(known: Known, write: Write) -> None:
    one = id_number(11)
    held = {
        "person": key_of(one), "valid_from": "2026-01-01", "valid_to": "2027-01-01",
        "place_id": XIGUAN, "team_id": "T1",
    }  # fmt: skip
    register = with_records(known, contracts=[held])
    text = CONTRACTS + f"{one},2026-06-01,2027-06-01,T1,{DONGGUAN}\n"
    prepared = prepare(write(text), Request(), register)
    assert errors(prepared) == {"CONTRACTS_OVERLAP": [2]}
    assert "2026-01-01 — 2027-01-01" in next(iter(prepared.report.issues)).message
    # The same key replaces the stored one.
    text = CONTRACTS + f"{one},2026-01-01,2026-06-01,T1,{DONGGUAN}\n"
    assert errors(prepare(write(text, "b.csv"), Request(), register)) == {}


def test_nothing_before_birth_or_after_death_or_tomorrow(known: Known, write: Write) -> None:
    alive, dead = id_number(11, "20200501"), id_number(12, "19400101")
    held = {
        "person": key_of(dead), "valid_from": "2016-01-01", "died": "2026-02-01",
        "place_id": DONGGUAN,
    }  # fmt: skip
    register = with_records(known, residents=[held])
    tomorrow = date.today() + timedelta(days=1)
    lines = [
        f"{alive},2020-04-30,体检,县级,{DONGGUAN}",  # 2
        f"{alive},2020-05-01,体检,县级,{DONGGUAN}",  # 3: on the day itself
        f"{dead},2026-02-01,体检,县级,{DONGGUAN}",  # 4: on the day itself
        f"{dead},2026-02-02,体检,县级,{DONGGUAN}",  # 5
        f"{alive},{tomorrow},体检,县级,{DONGGUAN}",  # 6
        f"{alive},2026-02-30,体检,县级,{DONGGUAN}",  # 7
        f"{alive},2026-02-03,算命,县级,{DONGGUAN}",  # 8
        f"{alive},,体检,,{DONGGUAN}",  # 9
    ]
    prepared = prepare(write(SERVICES + "\n".join(lines)), Request(), register)
    assert errors(prepared) == {
        "SERVICE_BEFORE_BIRTH": [2], "SERVICE_AFTER_DEATH": [5], "DATE_IN_FUTURE": [6],
        "BAD_DATE": [7], "UNKNOWN_CHOICE": [8], "MISSING_VALUE": [9, 9],
    }  # fmt: skip
    assert len(prepared.frame) == 2


def test_a_person_lives_in_one_village(known: Known, write: Write) -> None:
    one, two, three = (id_number(n) for n in (11, 12, 13))
    held = {"person": key_of(three), "valid_from": "2016-01-01", "place_id": XIGUAN}
    register = with_records(known, residents=[held])
    lines = [
        f"{one},2016-01-01,,{DONGGUAN},",  # 2
        f"{one},2020-01-01,,{XIGUAN},",  # 3
        f"{two},2016-01-01,2020-01-01,{DONGGUAN},",  # 4
        f"{two},2020-01-01,,{XIGUAN},",  # 5
        f"{three},2020-01-01,,{DONGGUAN},",  # 6
    ]
    prepared = prepare(write(RESIDENTS + "\n".join(lines)), Request(), register)
    assert errors(prepared) == {"PERSON_TWO_VILLAGES": [3, 6, 2]}
    assert len(prepared.frame) == 2


def test_a_team_has_members(register: Known, write: Write) -> None:
    text = (
        f"团队编号,组建日期,村代码,团队名称,团队级别,成员数\nT1,2026-01-01,{DONGGUAN},一队,乡级,0\n"
    )
    assert errors(prepare(write(text), Request(), register)) == {"TEAM_WITHOUT_MEMBERS": [2]}


def test_yuan_where_ten_thousand_yuan_is_declared_is_warned_of(known: Known, write: Write) -> None:
    held = {"place_id": DONGGUAN, "month": "2026-02", "setting": "inpatient", "total": 12.0}
    register = with_records(known, settlements=[held])
    head = "区划代码,结算月份,结算类别,总费用\n"
    text = head + f"{DONGGUAN},2026-03,住院,130000\n{XIGUAN},2026-03,住院,130000\n"
    prepared = prepare(write(text), Request(), register)
    assert errors(prepared) == {"YUAN_FOR_WAN": [2]} and len(prepared.frame) == 2


def test_figures_of_a_record_are_checked(register: Known, write: Write) -> None:
    head = "区划代码,采样月份,样品类别,计划份数,检测份数\n"
    lines = [
        f"{DONGGUAN},2026-01,水样,20,21",
        f"{DONGGUAN},2026-02,水样,20,-1",
        f"{DONGGUAN},2026-03,水样,20,1.5",
        f"{DONGGUAN},2026-04,水样,20,90%",
        f"{DONGGUAN},2026-05,水样,20,多",
        f"{DONGGUAN},2026-06,水样,20000000,1",
        f"{DONGGUAN},2026.1,水样,20,1",
        f"{OLD_VILLAGE},2026-03,水样,20,1",
    ]
    assert errors(prepare(write(head + "\n".join(lines)), Request(), register)) == {
        "RECORD_PART_ABOVE": [2], "NEGATIVE_COUNT": [3], "NOT_INTEGER": [4],
        "PERCENT_FOR_COUNT": [5], "BAD_NUMBER": [6], "OUT_OF_BOUNDS": [7], "BAD_MONTH": [8],
        "PLACE_NOT_VALID": [9],
    }  # fmt: skip


def test_repeated_records(register: Known, write: Write) -> None:
    line = f"{id_number(11)},2026-03-02,体检,县级,{DONGGUAN}\n"
    other = f"{id_number(12)},2026-03-02,体检,县级,"
    text = SERVICES + line + line + f"{other}{DONGGUAN}\n{other}{XIGUAN}\n"
    prepared = prepare(write(text), Request(), register)
    assert errors(prepared) == {"DUPLICATE_ROW": [3], "RECORDS_CONFLICT": [5]}
    assert len(prepared.frame) == 1
    shown = str(prepared.report.as_dict())
    assert id_number(11) not in shown and key_of(id_number(11)) not in shown
    assert "村代码" in shown


def test_a_code_is_no_identity_number(register: Known, write: Write) -> None:
    head = "户编号,走访日期,走访类别,村代码\n"
    text = head + f"{id_number(11)},2026-03-02,冬季走访,{DONGGUAN}\n"
    prepared = prepare(write(text), Request(), register)
    assert errors(prepared) == {"CODE_IS_PERSONAL": [2]}
    assert id_number(11) not in str(prepared.report.as_dict())


def test_an_identity_number_among_words_is_masked(register: Known, write: Write) -> None:
    text = CONTRACTS.strip() + ",签约医生\n"
    text += f"{id_number(11)},2026-01-01,2027-01-01,T1,{DONGGUAN},王医生{id_number(12)}\n"
    frame = prepare(write(text), Request(), register).frame
    assert id_number(12) not in frame.to_csv() and frame["doctor"].iloc[0].startswith("王医生")


def test_a_headed_file_without_rows_gives_the_empty_frame(register: Known, write: Write) -> None:
    prepared = prepare(write(SERVICES), Request(dataset="services"), register)
    assert prepared.dataset == "services" and prepared.frame.empty
    assert tuple(prepared.frame.columns) == registry.datasets()["services"].canonical
