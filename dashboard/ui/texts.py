"""Words of the interface: msgids are the Chinese source text, other languages are catalogues.

A catalogue is read from its .po file at run time, so there is nothing to compile. Every text is
passed through ``_`` with a literal (not inside an f-string, where Babel does not find it); a test
extracts them all and fails when one of them lacks its English.
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

from dashboard.access import Role
from dashboard.coverage import wording
from dashboard.coverage.model import Layer, SiteStatus, Source, Status
from dashboard.coverage.modes import Mode
from dashboard.coverage.pace import Standing
from geodata.model import InstitutionKind, Level

LOCALES = Path(__file__).parents[1] / "locale"
LANGUAGES = {"zh": "中文", "en": "English"}

_language: ContextVar[str] = ContextVar("language", default="zh")


@cache
def catalogue(language: str) -> dict[str, str]:
    """msgid to translation, untranslated entries left out; empty for the source language."""
    if language == "zh":
        return {}
    with (LOCALES / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        found = read_po(file, locale=language)
    return {
        str(message.id): str(message.string)
        for message in found
        if message.id and message.string and not message.fuzzy
    }


def use(language: str) -> None:
    """Choose the language of this thread's page."""
    _language.set(language)


def language() -> str:
    """The language in use."""
    return _language.get()


def _(text: str) -> str:
    """The text in the language in use; the Chinese itself where there is no translation."""
    return catalogue(_language.get()).get(text, text)


def layer_title(layer: Layer) -> str:
    """A layer's name."""
    return layer.title_en if language() == "en" else layer.title


def layer_help(layer: Layer) -> str:
    """How a layer is counted."""
    return layer.help_en if language() == "en" else layer.help


def unit_name(unit: str) -> str:
    """A unit of measurement as written behind a number."""
    return _units(language()).get(unit, unit)


@cache
def _units(_lang: str) -> dict[str, str]:
    """Every unit in the language in use, which the argument names."""
    return {
        "%": "%",
        "人": _("人"),
        "人次": _("人次"),
        "户": _("户"),
        "户次": _("户次"),
        "个": _("个"),
        "项": _("项"),
        "份": _("份"),
        "次": _("次"),
        "万元": _("万元"),
        "项/百户": _("项/百户"),
        "个百分点": _("个百分点"),
        "平方米": _("平方米"),
    }


def group_name(group: str) -> str:
    """A group of layers."""
    return {
        "签约履约": _("签约履约"),
        "疾病救治": _("疾病救治"),
        "筛查防控": _("筛查防控"),
        "机构标准": _("机构标准"),
        "保障政策": _("保障政策"),
        "健康促进": _("健康促进"),
        "督查整改": _("督查整改"),
    }.get(group, group)


def page_name(title: str) -> str:
    """A page."""
    return {
        "一张图": _("一张图"),
        "指标": _("指标"),
        "比较": _("比较"),
        "台账": _("台账"),
        "源文件指标": _("源文件指标"),
        "数据": _("数据"),
        "管理": _("管理"),
    }.get(title, title)


def role_title(role: Role) -> str:
    """A role."""
    return {
        Role.ADMINISTRATOR: _("系统管理员"),
        Role.COUNTY_LEADER: _("县级领导"),
        Role.REVIEWER: _("审核员"),
        Role.INSPECTION_TEAM: _("督查组"),
        Role.TOWNSHIP_HEAD: _("乡镇负责人"),
        Role.CLERK: _("数据员"),
        Role.VIEWER: _("查看人员"),
    }[role]


def level_name(level: Level) -> str:
    """An administrative level."""
    return {
        Level.NATION: _("国"),
        Level.PROVINCE: _("省"),
        Level.CITY: _("市"),
        Level.COUNTY: _("县"),
        Level.TOWNSHIP: _("乡镇"),
        Level.VILLAGE: _("村"),
    }[level]


def kind_name(kind: InstitutionKind) -> str:
    """A kind of institution."""
    return {
        InstitutionKind.VILLAGE_CLINIC: _("村卫生室"),
        InstitutionKind.TOWNSHIP_CENTRE: _("乡镇卫生院"),
        InstitutionKind.COUNTY_HOSPITAL: _("县级医院"),
        InstitutionKind.DESIGNATED: _("定点医疗机构"),
    }[kind]


def status_name(status: Status) -> str:
    """Why a place has no value."""
    return {
        Status.OK: _("有数据"),
        Status.NO_DATA: _("无数据"),
        Status.NOT_APPLICABLE: _("不适用"),
        Status.SUPPRESSED: _("人数过少，不予显示"),
        Status.TOO_LOW: _("本级不显示"),
    }[status]


def mode_name(mode: Mode) -> str:
    """What the colours of a view say."""
    return wording.mode_name(mode, _)


def source_name(source: Source) -> str:
    """Who says so."""
    return {
        Source.REPORTED: _("上报"),
        Source.RECORDS: _("台账"),
        Source.VERIFIED: _("核实"),
    }[source]


def standing_name(standing: Standing) -> str:
    """How a place stands against its pace."""
    return wording.standing_name(standing, _)


def site_status_name(status: SiteStatus) -> str:
    """How an institution stands."""
    return {
        SiteStatus.MET: _("达标"),
        SiteStatus.UNMET: _("未达标"),
        SiteStatus.NO_DATA: _("无数据"),
        SiteStatus.NOT_APPLICABLE: _("不适用"),
    }[status]
