"""What a flow shows: a planted fault of the shop is found and named, a good shop gives no finding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rehearsal.core.checks import Check
from rehearsal.core.verdicts import Verdict
from rehearsal.load.flow import FlowPlan, Placed
from rehearsal.load.judging import Objectives, judge, percentile

from tests.load.flows import IMPATIENT, PLAN, flow
from tests.shop.fakes import FakeShop, refusing

GENEROUS = Objectives(accepted_ratio=0.995, p95_seconds=60.0)


def _judge(
    shop: FakeShop, folder: Path, plan: FlowPlan = PLAN, objectives: Objectives = GENEROUS
) -> dict[str, Check]:
    done = flow(shop, folder, plan)
    for one in done.orders:
        one.late_seconds = 0.0  # a busy machine is no part of what is planted
    return {one.id: one for one in judge(plan, done.orders, objectives, ("load/history.jsonl",))}


def test_good_shop_gives_no_finding(tmp_path: Path) -> None:
    assert {one.verdict for one in _judge(FakeShop(), tmp_path).values()} == {Verdict.PASS}


def test_shop_that_refuses_orders_is_found_with_the_cause(tmp_path: Path) -> None:
    shop = FakeShop(trouble=lambda number: refusing(422) if number % 2 else None)
    check = _judge(shop, tmp_path)["load.accepted"]

    assert check.verdict is Verdict.FAIL
    assert "422 trouble" in check.observed
    assert check.evidence == ("load/history.jsonl",)


def test_shop_in_which_orders_stay_is_found_with_the_orders(tmp_path: Path) -> None:
    shop = FakeShop(moves=lambda state: "RESERVED")
    check = _judge(shop, tmp_path, IMPATIENT)["load.ends"]

    assert check.verdict is Verdict.FAIL
    assert next(iter(shop.stored)) in check.observed


def test_slow_shop_is_found(tmp_path: Path) -> None:
    check = _judge(FakeShop(), tmp_path, objectives=Objectives(0.995, p95_seconds=0.0))["load.latency"]

    assert check.verdict is Verdict.FAIL


def test_nothing_is_shown_when_nothing_was_offered() -> None:
    found = list(judge(PLAN, [], GENEROUS, ()))

    assert {one.verdict for one in found} == {Verdict.INVALID}
    assert len(found) == 4


def test_nothing_is_shown_when_the_generator_was_late(tmp_path: Path) -> None:
    done = flow(FakeShop(), tmp_path)
    for one in done.orders:
        one.late_seconds = 3.0

    assert {one.verdict for one in judge(PLAN, done.orders, GENEROUS, ())} == {Verdict.INVALID}


def test_nothing_is_shown_when_orders_of_the_plan_are_missing(tmp_path: Path) -> None:
    done = flow(FakeShop(), tmp_path)
    longer = replace(PLAN, seconds=10.0)

    assert {one.verdict for one in judge(longer, done.orders, GENEROUS, ())} == {Verdict.INVALID}


def test_shop_that_answers_nobody_shows_nothing_of_its_latency(tmp_path: Path) -> None:
    found = _judge(FakeShop(trouble=lambda number: refusing(503)), tmp_path, IMPATIENT)

    assert found["load.latency"].verdict is Verdict.INVALID
    assert found["load.ends"].verdict is Verdict.INVALID
    assert found["load.accepted"].verdict is Verdict.FAIL


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.95, 95), (1.0, 100), (0.0, 1)])
def test_percentile_is_the_nearest_rank(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


def test_order_that_was_never_answered_has_no_latency() -> None:
    assert Placed("1", "anna", "k", due=0.0).latency_seconds is None
