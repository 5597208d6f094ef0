"""Colour-blind safe palettes of ColorBrewer 2 (Apache-2.0, see NOTICE), low value first."""

from __future__ import annotations

PALETTES: dict[str, dict[int, tuple[str, ...]]] = {
    "YlGnBu": {
        3: ("#edf8b1", "#7fcdbb", "#2c7fb8"),
        4: ("#ffffcc", "#a1dab4", "#41b6c4", "#225ea8"),
        5: ("#ffffcc", "#a1dab4", "#41b6c4", "#2c7fb8", "#253494"),
        6: ("#ffffcc", "#c7e9b4", "#7fcdbb", "#41b6c4", "#2c7fb8", "#253494"),
    },
    "YlOrBr": {
        3: ("#fff7bc", "#fec44f", "#d95f0e"),
        4: ("#ffffd4", "#fed98e", "#fe9929", "#cc4c02"),
        5: ("#ffffd4", "#fed98e", "#fe9929", "#d95f0e", "#993404"),
        6: ("#ffffd4", "#fee391", "#fec44f", "#fe9929", "#d95f0e", "#993404"),
    },
    "RdYlBu": {
        3: ("#fc8d59", "#ffffbf", "#91bfdb"),
        4: ("#d7191c", "#fdae61", "#abd9e9", "#2c7bb6"),
        5: ("#d7191c", "#fdae61", "#ffffbf", "#abd9e9", "#2c7bb6"),
        6: ("#d73027", "#fc8d59", "#fee090", "#e0f3f8", "#91bfdb", "#4575b4"),
    },
}


def colours(palette: str, classes: int) -> tuple[str, ...]:
    """The ``classes`` colours of a palette, low value first.

    Raises:
        KeyError: no such palette, or not with that many classes.
    """
    return PALETTES[palette][classes]
