"""Where processes die: everywhere, in an order that a seed decides, and counted."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from mambogo_audit.killing import FAILPOINTS, Death, Deaths, Deck
from mambogo_audit.tree import Tree

_REACH = re.compile(r'failpoints\.reach\(\s*"([a-z.]+)"')


def reached_in(*folders: Path) -> set[str]:
    return {
        place
        for folder in folders
        for file in folder.rglob("*.py")
        for place in _REACH.findall(file.read_text())
    }


@pytest.mark.parametrize("service", FAILPOINTS)
def test_every_failpoint_of_a_services_own_code_is_on_its_list(service: str) -> None:
    own = reached_in(Tree.own().services / service / "src")
    assert own <= set(FAILPOINTS[service])


def test_every_failpoint_of_the_chassis_is_on_some_list() -> None:
    there = reached_in(Tree.own().services / "chassis" / "src")
    assert there <= {place for places in FAILPOINTS.values() for place in places}


def places_of(deck: Deck, draws: int) -> Counter[str]:
    return Counter(death.place for _ in range(draws) if (death := deck.draw()) is not None)


def test_a_service_dies_everywhere_before_it_dies_somewhere_again() -> None:
    places = FAILPOINTS["order"]
    deck = Deck("order", places, "seed")
    assert places_of(deck, 2 * len(places)) == Counter(dict.fromkeys(places, 2))


def test_the_same_seed_draws_the_same_deaths() -> None:
    one, other = (Deck("payment", FAILPOINTS["payment"], "seed") for _ in range(2))
    assert [one.draw() for _ in range(20)] == [other.draw() for _ in range(20)]


def test_what_nobody_came_to_is_drawn_again() -> None:
    deck = Deck("cart", FAILPOINTS["cart"], "seed")
    first = deck.draw()
    assert first is not None
    deck.put_back(first)
    assert first.place in places_of(deck, 2)


def test_passes_can_be_bounded() -> None:
    deck = Deck("order", FAILPOINTS["order"], "seed", passes=(2, 2))
    assert {death.passes for _ in range(20) if (death := deck.draw()) is not None} == {2}


def test_each_kills_so_many_times() -> None:
    places = FAILPOINTS["cart"]
    deck = Deck("cart", places, "seed", times=3)
    assert places_of(deck, 3 * len(places)) == Counter(dict.fromkeys(places, 3))
    assert deck.draw() is None


def test_a_death_reads_as_the_chassis_wants_it() -> None:
    assert str(Death("order", "order.moved", 7)) == "order.moved=crash@7"


def test_what_nothing_died_at_is_missing() -> None:
    deaths = Deaths({"cart": FAILPOINTS["cart"]})
    deaths.counts["cart", "checkout.frozen"] += 1
    assert deaths.missing == ["cart checkout.acknowledged"]
    assert deaths.lines() == ["cart: checkout.frozen 1, checkout.acknowledged 0"]
