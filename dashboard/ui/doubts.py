"""The list of figures that are doubted, under the table of the map page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dashboard.coverage import registry
from dashboard.coverage.plausibility import Flag
from dashboard.ui import blocks, format
from dashboard.ui.state import Address
from dashboard.ui.tables import measure_title
from dashboard.ui.texts import _, language, layer_title
from geodata.model import Place

LISTED = 30
"""So many are listed; the command line gives all."""


def markup(
    flags: Sequence[Flag], places: Mapping[str, Place], address: Address, near: bool = False
) -> str:
    """Each doubt with its place, what it is about, and why.

    Args:
        places: by id, of the flags listed.
        near: whether only the values of the level below were looked at.
    """
    subtitle = _("没有发现不合常理的数据")
    if flags:
        subtitle = _("{count} 处，只提示，不改数").format(count=format.number(len(flags)))
    if len(flags) > LISTED:
        subtitle = _("{count} 处，列出前 {listed} 处；只提示，不改数").format(
            count=format.number(len(flags)), listed=LISTED
        )
    return blocks.render(
        "doubts.html",
        subtitle=subtitle,
        near=_("下级很多，这里只比较下一级的数值；全部请进入下级查看，或用 quality 命令。")
        if near
        else "",
        rows=[
            {
                "href": address.href(place=flag.place_id, **_layer(flag)),
                "name": places[flag.place_id].name,
                "title": flag.rule.title_en if language() == "en" else flag.rule.title,
                "about": _about(flag),
                "reason": flag.reason(language() == "en"),
            }
            for flag in flags[:LISTED]
        ],
    )


def _layer(flag: Flag) -> dict[str, str]:
    return {} if flag.layer_id is None else {"layer": flag.layer_id}


def _about(flag: Flag) -> str:
    if flag.layer_id is not None:
        return layer_title(registry.layer(flag.layer_id))
    return _("、").join(measure_title(measure) for measure in flag.measures[:2])
