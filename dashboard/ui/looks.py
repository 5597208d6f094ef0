"""How layers are drawn: colours, classes and words, as ``static/map.js`` takes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from dashboard.coverage import modes, registry, wording
from dashboard.coverage.model import WITHOUT_VALUE, Layer, Status
from dashboard.coverage.modes import Mode, Shade
from dashboard.ui import escape, format
from dashboard.ui.tables import SWATCHES, measure_title
from dashboard.ui.texts import (
    _,
    group_name,
    language,
    layer_title,
    mode_name,
    status_name,
    unit_name,
    use,
)


@dataclass(frozen=True, slots=True)
class Looks:
    """How every layer is drawn, in one language: the body of ``/looks`` and what it is known by."""

    body: bytes
    mark: str


@cache
def looks(lang: str) -> Looks:
    """Every layer's look, so that a click on another layer waits for nobody.

    The page itself follows a moment later, and what it sends is the same drawing.
    """
    before = language()
    use(lang)
    try:
        found = {layer.id: look(layer) for layer in registry.layers().values()}
    finally:
        use(before)
    body = json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()
    return Looks(body, hashlib.sha256(body).hexdigest()[:16])


def look(layer: Layer, mode: Mode = Mode.VALUE) -> dict[str, Any]:
    """How a layer is drawn and named in a mode, in the language in use."""
    colours = modes.colours(layer, mode)
    unit, title = modes.unit(layer, mode), layer_title(layer)
    if mode is not Mode.VALUE:
        title = _("{layer}：{mode}").format(layer=title, mode=mode_name(mode))
    return {
        "group": group_name(layer.group),
        "layerTitle": title,
        "colours": colours,
        "dark": [_is_dark(colour) for colour in colours],
        "classes": class_words(layer, mode),
        "unit": unit_name(unit),
        "unitNote": _("单位：{unit}").format(unit=unit_name(unit)) if unit not in ("%", "") else "",
        "decimals": modes.decimals(layer, mode),
        "signed": mode in modes.DIFFERENCES,
        "counts": _counts(layer, mode),
    }


def _counts(layer: Layer, mode: Mode) -> list[tuple[str, int]] | None:
    """Titles and decimals of the two numbers a value is made of."""
    if mode is Mode.FACTOR:
        decimals = format.measure_decimals(layer.numerator)
        return [(_("核实数"), decimals), (_("上报数"), decimals)]
    if mode is Mode.LQAS:
        return [(_("不符户数"), 0), (_("核实户数"), 0)]
    if layer.is_count:
        return None
    return [
        (measure_title(measure), format.measure_decimals(measure))
        for measure in (layer.numerator, layer.denominator)
    ]


def status_words(mode: Mode) -> dict[Status, str]:
    """The words of the classes without a value."""
    names = {status: status_name(status) for status in WITHOUT_VALUE}
    return names | wording.without_class(mode, _)


def column(layer: Layer, mode: Mode, shades: Mapping[str, Shade]) -> tuple[str, dict[str, str]]:
    """What the map says in a mode as a column of the table: its heading, cells by place id.

    A cell is markup: the colour, the number shown, and the class where it has a name.
    """
    drawn, missing = look(layer, mode), status_words(mode)
    # In order of the numbers a class stands for, and the limits need no repeating.
    named = wording.class_names(mode, _)

    def cell(shade: Shade) -> str:
        if shade.class_index is None or shade.value is None:
            swatch = SWATCHES[shade.status]
            return f'<span class="dd-swatch {swatch}"></span>{escape.html(missing[shade.status])}'
        # Rounded first, so that nothing is written as +0.0 or -0.0.
        value = round(shade.value, drawn["decimals"]) + 0.0
        sign = "+" if drawn["signed"] and value > 0 else ""
        number = f"{sign}{format.number(value, drawn['decimals'])}"
        words = [named[shade.class_index]] if named else []
        if mode is Mode.LQAS:
            words.append(_("不符 {count} 户").format(count=number))
        elif mode is not Mode.PACE:
            words.insert(0, number)
        return (
            f'<span class="dd-swatch" style="background:{drawn["colours"][shade.class_index]}">'
            f"</span>{escape.html(' · '.join(words))}"
        )

    heading = mode_name(mode)
    if drawn["signed"]:
        heading = _("{title}({unit})").format(title=heading, unit=drawn["unit"])
    return heading, {place_id: cell(shade) for place_id, shade in shades.items()}


def class_words(layer: Layer, mode: Mode) -> list[str]:
    """The words of each class, low value first."""
    if named := wording.class_names(mode, _):
        return named
    if mode is Mode.VALUE:
        return [format.class_label(layer, index) for index in range(layer.classes)]
    suffix = "" if layer.unit == "%" else "%"
    return format.class_words(modes.limits(layer, mode), suffix)


def _is_dark(colour: str) -> bool:
    """Whether white text reads better on ``#rrggbb`` (relative luminance of WCAG 2)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] < 0.3
