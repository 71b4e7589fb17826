"""What journeys show: a planted fault is found and named, a good shop gives no finding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from rehearsal.core.checks import Check
from rehearsal.core.verdicts import Verdict
from rehearsal.load.journeys.judging import judge
from rehearsal.load.journeys.plan import CHECKOUT
from rehearsal.load.journeys.points import points
from rehearsal.load.journeys.records import Ended, Journeys
from rehearsal.load.objectives import Objectives

from tests.load.journeys.plans import GENEROUS, PLAN, good


def _judge(seen: Journeys, objectives: Objectives = GENEROUS) -> list[Check]:
    return list(judge(PLAN, seen, objectives, ("load/journeys.ndjson",)))


def _failed(seen: Journeys, objectives: Objectives = GENEROUS) -> list[Check]:
    return [one for one in _judge(seen, objectives) if one.verdict is Verdict.FAIL]


def test_good_shop_gives_no_finding() -> None:
    assert {one.verdict for one in _judge(good())} == {Verdict.PASS}


def test_operation_with_wrong_answers_is_found_with_its_name_and_their_cause() -> None:
    seen = good()
    wrong = [replace(one, wrong="503 no pod") if one.operation == CHECKOUT else one for one in seen.asked]
    (found,) = _failed(replace(seen, asked=tuple(wrong)))

    assert found.id == "load.accepted"
    assert CHECKOUT in found.subject
    assert "40 x 503 no pod" in found.observed
    assert found.evidence == ("load/journeys.ndjson",)


def test_slow_operation_is_found_with_its_name() -> None:
    seen = good()
    slow = [one if one.operation == CHECKOUT else replace(one, seconds=0.7) for one in seen.asked]
    (found,) = _failed(replace(seen, asked=tuple(slow)), Objectives(0.995, 1.0, 0.5))

    assert (found.id, found.subject) == ("load.latency", "journeys: GET /api/products/{product_id}")


def test_checkout_has_the_longer_bound_of_orders() -> None:
    seen = good()
    slow = [replace(one, seconds=0.7) if one.operation == CHECKOUT else one for one in seen.asked]

    assert not _failed(replace(seen, asked=tuple(slow)), Objectives(0.995, 1.0, 0.5))


def test_order_that_does_not_end_is_found_with_its_name() -> None:
    seen = good()
    stuck = replace(seen.ordered[0], state="RESERVED", ended_seconds=None)
    (found,) = _failed(replace(seen, ordered=(stuck, *seen.ordered[1:])))

    assert found.id == "load.ends"
    assert "o-0 RESERVED" in found.observed


def test_few_answers_are_no_percentile() -> None:
    seen = good()
    few = (*(one for one in seen.asked if one.operation != CHECKOUT), seen.asked[1])
    verdicts = {
        one.subject: one.verdict for one in _judge(replace(seen, asked=few)) if one.id == "load.latency"
    }

    assert verdicts[f"journeys: {CHECKOUT}"] is Verdict.INVALID


SABOTAGE: dict[str, Callable[[Journeys], Journeys]] = {
    "nothing was sent": lambda seen: Journeys(),
    "the generator died": lambda seen: replace(seen, ended=None),
    "half of the shoppers are missing": lambda seen: replace(seen, arrived=seen.arrived[::2]),
    "shoppers came late": lambda seen: replace(
        seen, arrived=tuple(replace(one, late_seconds=1.0) for one in seen.arrived)
    ),
    "the generator had no core left": lambda seen: replace(seen, ended=Ended(1000.0, 10.0, 9.0)),
}


@pytest.mark.parametrize("sabotage", SABOTAGE.values(), ids=SABOTAGE)
def test_load_that_was_not_offered_shows_nothing(sabotage: Callable[[Journeys], Journeys]) -> None:
    found = _judge(sabotage(good()))

    assert {one.verdict for one in found} == {Verdict.INVALID}
    assert {one.id for one in found} == {"load.offered", "load.accepted", "load.latency", "load.ends"}


def test_shop_without_an_order_shows_nothing_of_their_ends() -> None:
    found = {one.id: one.verdict for one in _judge(replace(good(), ordered=()))}

    assert found["load.ends"] is Verdict.INVALID


def test_series_counts_checkouts_in_the_second_in_which_they_were_due() -> None:
    seen = good()
    first, *others = points(PLAN, seen)

    counts = {"offered": 4, "acknowledged": 4, "served": 4, "failed": 0}
    assert first == {"t": 1000, "flow": "journeys", **counts, "p95_ms": 20}
    assert len(others) == 9
    assert not list(points(PLAN, replace(seen, ended=None)))
