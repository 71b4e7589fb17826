"""The plan: the same for a seed, with the same mix in every ten shoppers, and whole on its way."""

from __future__ import annotations

from dataclasses import replace

from rehearsal.load.journeys.plan import MIX, dumps, loads

from tests.load.journeys.plans import PLAN


def test_a_seed_decides_everything() -> None:
    assert PLAN.arrivals == replace(PLAN).arrivals
    assert PLAN.arrivals != replace(PLAN, seed=8).arrivals


def test_every_ten_shoppers_have_the_whole_mix() -> None:
    journeys = [one.journey for one in PLAN.arrivals]

    assert len(journeys) == 40
    assert all(sorted(journeys[first : first + 10]) == sorted(MIX) for first in range(0, 40, 10))


def test_shoppers_are_due_at_a_fixed_rate() -> None:
    assert [one.due for one in PLAN.arrivals][:3] == [0.0, 0.25, 0.5]


def test_plan_reaches_another_process_whole() -> None:
    assert loads(dumps(PLAN)) == PLAN
