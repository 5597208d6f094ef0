"""The list of layers in the side bar: groups that fold, the one of the layer in view open."""

from __future__ import annotations

from dashboard.coverage import registry
from dashboard.coverage.model import Layer
from dashboard.store.unit import Unit
from dashboard.ui import blocks, caches
from dashboard.ui.state import Address
from dashboard.ui.texts import group_name, language, layer_title


def groups() -> dict[str, list[Layer]]:
    """The layers by group, both in the order of the registry."""
    found: dict[str, list[Layer]] = {}
    for layer in registry.layers().values():
        found.setdefault(layer.group, []).append(layer)
    return found


def show(unit: Unit, address: Address) -> None:
    """The list, the layer in view marked; all layers of a group have the same."""
    group = registry.layers()[address.layer].group
    alike = address.moved(layer=groups()[group][0].id)
    key = ("layers", alike, language())
    made = caches.markup(unit, key, lambda: markup(alike))
    blocks.show("layers", made, selected=address.layer)


def markup(address: Address) -> str:
    """Every layer as a link to the same view in it."""
    here = registry.layers()[address.layer].group
    return blocks.render(
        "layers.html",
        groups=[
            {
                "id": group,
                "name": group_name(group),
                "open": group == here,
                "layers": [
                    (layer.id, layer_title(layer), address.href(layer=layer.id)) for layer in layers
                ],
            }
            for group, layers in groups().items()
        ],
    )
