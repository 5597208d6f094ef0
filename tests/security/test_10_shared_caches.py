"""Attack 10: two roles ask one cached question, in both orders; neither sees the other's rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import permutations

import pytest

from dashboard.access import SYSTEM, Actor, Grant, Role
from dashboard.coverage import registry
from dashboard.coverage.model import View
from dashboard.settings import Settings
from dashboard.store.model import month_end
from dashboard.ui import caches
from geodata.errors import DudaoError
from tests.ui.conftest import COUNTY, LATEST, TOWN, VILLAGE, demo_directory

__all__ = ["demo_directory"]

DAY = month_end(LATEST)


def held(place_id: str) -> Actor:
    with caches.store().unit(SYSTEM) as unit:
        paths = tuple(place.path for place in unit.versions(place_id))
    return Actor(f"head:{place_id}", place_id, grants=(Grant(Role.TOWNSHIP_HEAD, place_id, paths),))


@pytest.fixture
def configured(demo_directory: object) -> Iterator[None]:
    caches.configure(Settings(data=demo_directory))  # type: ignore[arg-type]
    yield
    caches.configure(Settings(data=demo_directory))  # type: ignore[arg-type]


def drawn(actor: Actor, place_id: str, layer: str) -> set[str] | str:
    """The places an answer of ``/layers`` draws, or the code of the refusal."""
    try:
        with caches.store().unit(actor) as unit:
            answer = caches.layer_answer(unit, View(place_id, layer, LATEST))
    except DudaoError as error:
        return error.code
    return {feature["id"] for feature in json.loads(answer.body)["features"]}


def towns() -> list[str]:
    with caches.store().unit(SYSTEM) as unit:
        return [place.id for place in unit.children(COUNTY, DAY)]


def test_two_roles_one_question_both_orders(configured: None) -> None:
    layer = next(iter(registry.layers()))
    with caches.store().unit(SYSTEM) as unit:
        every = {place.id for place in unit.all_places(DAY)}
    first, second = towns()[:2]
    actors = (SYSTEM, held(first), held(second), held(COUNTY))
    for order in permutations(actors):
        caches.configure(caches.settings())
        for actor in order:
            for place_id in (COUNTY, first, second):
                found = drawn(actor, place_id, layer)
                allowed = actor in (SYSTEM, actors[3]) or place_id == actor.name
                assert isinstance(found, set) == allowed, (actor.name, place_id, found)
                if isinstance(found, set):
                    assert found <= every
                    if place_id != COUNTY:
                        with caches.store().unit(SYSTEM) as unit:
                            own = {child.id for child in unit.children(place_id, DAY)}
                        assert found and found <= own


def test_every_memory_of_the_process_names_the_scope(configured: None) -> None:
    """A profile, a table, sites and markup of one place differ by who asked."""
    town = TOWN
    head = held(town)
    with caches.store().unit(SYSTEM) as unit:
        version = caches.version(unit, LATEST)
        whole = caches.profile(unit, VILLAGE, LATEST, "签约履约", version)
        assert caches.markup(unit, "x", lambda: "system") == "system"
    with caches.store().unit(head) as unit:
        mine = caches.profile(unit, VILLAGE, LATEST, "签约履约", version)
        assert caches.markup(unit, "x", lambda: "head") == "head"
    assert [place.id for place in whole.ancestors] == [COUNTY, town]
    assert [place.id for place in mine.ancestors] == [town]
    for memory in (caches._scenes, caches._tables, caches._profiles, caches._answers):
        assert all(key[0] in ("*", head.scope("places.view").key) for key in memory._values)
