"""The checkers find each thing that is wrong, name it, and find nothing where nothing is."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from rehearsal.chaos.proving.audit import CHECKERS, audit
from rehearsal.chaos.proving.linearizing import explain, stock_histories
from rehearsal.chaos.proving.shrinking import READABLE, shrink
from rehearsal.chaos.proving.snapshot import Snapshot
from rehearsal.core.verdicts import Verdict

from tests.chaos.proving.plants import PLANTS
from tests.chaos.proving.worlds import make

SEEDS = range(5)


@pytest.mark.parametrize("first", range(0, 100, 20))
def test_a_sound_run_passes(first: int) -> None:
    for seed in range(first, first + 20):
        world = make(seed)
        found = audit(world.operations, world.snapshot())
        assert found.verdict is Verdict.PASS, [str(one) for one in found.results if one.violations]


@pytest.mark.parametrize("plant", PLANTS)
def test_what_is_wrong_is_found_and_shown_in_few_lines(plant: str) -> None:
    invariant, spoil = PLANTS[plant]
    for seed in SEEDS:
        world = make(seed)
        spoil(world)
        found = audit(world.operations, world.snapshot())
        assert invariant in found.broken, f"seed {seed}"
        result = next(one for one in found.results if one.invariant.id == invariant)
        if invariant != "I13":
            shown = shrink(result.violations[0], world.operations, world.snapshot())
            assert 0 < len(shown) <= READABLE, f"seed {seed}"


@pytest.mark.parametrize("plant", [plant for plant in PLANTS if PLANTS[plant][0] == "I13"])
def test_an_unexplained_race_is_shown_in_few_lines(plant: str) -> None:
    for seed in SEEDS:
        world = make(seed)
        PLANTS[plant][1](world)
        histories = stock_histories(world.operations, world.raced)
        parts = [explain(histories[product_id], initial) for product_id, initial in world.raced.items()]
        assert any(part is not None for part in parts)
        assert all(len(part.operations) <= READABLE for part in parts if part is not None)


@pytest.mark.parametrize("invariant", CHECKERS)
def test_a_checker_that_could_not_look_says_so(invariant: str) -> None:
    check = CHECKERS[invariant]
    nothing = Snapshot(quiet_seconds=90)
    empty = Snapshot(90, (), (), (), (), (), (), (), (), (), (), (), {})
    assert check([], nothing).verdict is Verdict.INVALID
    assert check([], empty).verdict is Verdict.INVALID


@pytest.mark.parametrize("part", [one.name for one in fields(Snapshot) if one.name != "quiet_seconds"])
def test_a_part_that_was_not_collected_is_nobodys_pass(part: str) -> None:
    world = make(1)
    missing: dict[str, Any] = {part: None}
    found = audit(world.operations, replace(world.snapshot(), **missing))
    assert found.verdict is Verdict.INVALID


def test_a_history_without_operations_is_nobodys_pass() -> None:
    assert audit([], make(1).snapshot()).verdict is not Verdict.PASS


def test_an_open_order_is_no_finding_before_its_time() -> None:
    world = make(1)
    PLANTS["stuck"][1](world)
    early = replace(world.snapshot(), quiet_seconds=10)
    results = {one.invariant.id: one for one in audit(world.operations, early).results}
    assert results["I7"].verdict is Verdict.INVALID
