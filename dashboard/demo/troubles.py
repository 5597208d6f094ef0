"""The planted troubles, by place, so that tests and screens can go straight to them."""

from __future__ import annotations

from dashboard.demo.model import Trouble, TroubleKind

CLINIC_SUFFIX = "-W1"
"""Institution id of a village's clinic = village id + this."""

TROUBLES: tuple[Trouble, ...] = (
    Trouble(
        TroubleKind.MISSING_MONTHS,
        "131025106000",
        "大城县里坦镇最近一个月和四个月前整镇未上报。",
        months_back=(0, 4),
    ),
    Trouble(
        TroubleKind.MISSING_MONTHS,
        "131025100205",
        "平舒镇东王祥村缺三个月的数据。",
        months_back=(5, 6, 7),
    ),
    Trouble(
        TroubleKind.NEVER_REPORTED,
        "131025100227",
        "平舒镇里北店村从未上报任何数据。",
    ),
    Trouble(
        TroubleKind.ZERO_DENOMINATOR,
        "131025100004",
        "平舒镇晨星里居委会没有建档立卡户，户数、人口均为 0。",
    ),
    Trouble(
        TroubleKind.MERGED,
        "131025100241",
        "平舒镇小祥连村并入大祥连村，大祥连村的边界和数字相应增大(虚构)。",
        months_back=(12,),
        other_id="131025100240",
    ),
    Trouble(
        TroubleKind.RENAMED,
        "131025100225",
        "平舒镇孙里北村此前名为“里北新村”(虚构)。",
        months_back=(9,),
    ),
    Trouble(
        TroubleKind.CLINIC_WITHOUT_COORDINATES,
        f"131025100213{CLINIC_SUFFIX}",
        "平舒镇卞庄子村卫生室没有坐标。",
    ),
    Trouble(
        TroubleKind.NO_BOUNDARY,
        "131071000000",
        "廊坊经济技术开发区有代码、有数据，本级及其下街道、村居均无边界、无坐标。",
    ),
    Trouble(
        TroubleKind.OWN_FIGURE_DIFFERS,
        "131025101000",
        "旺村镇自报签约人数高于所辖各村之和。",
    ),
    Trouble(
        TroubleKind.ONLY_AT_TOWNSHIP,
        "131025103000",
        "南赵扶镇的宫颈癌筛查只有镇级数字，各村为空。",
    ),
    Trouble(
        TroubleKind.BLANK_NUMERATOR,
        "131025100230",
        "平舒镇大童子村有建档立卡人口，最近两个月签约人数为空。",
        months_back=(0, 1),
    ),
    Trouble(TroubleKind.LAGGING, "131026000000", "文安县签约工作整体落后。"),
    Trouble(TroubleKind.LAGGING, "131025107000", "大城县广安镇签约、整改落后。"),
    Trouble(TroubleKind.LAGGING, "131022201000", "固安县彭村乡签约、整改落后。"),
    Trouble(TroubleKind.LAGGING, "131082105000", "三河市段甲岭镇签约、整改落后。"),
)

OLD_NAME = "里北新村村民委员会"
"""Name of the RENAMED village before the change."""


def of_kind(kind: TroubleKind) -> list[Trouble]:
    """The troubles of one kind, in the order of the list."""
    return [trouble for trouble in TROUBLES if trouble.kind is kind]


def planted(place_ids: set[str], institution_ids: set[str]) -> tuple[Trouble, ...]:
    """The troubles whose place or institution is among the given ids."""
    return tuple(t for t in TROUBLES if t.id in place_ids or t.id in institution_ids)
