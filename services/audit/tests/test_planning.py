"""What is bought: by the seed, with everything that has to happen in it."""

from __future__ import annotations

from mambogo_audit.planning import LAST_UNITS, RUSH_ORDERS, Cancel, Stall, plan_of, scarce_products

STALL = Stall([f"p{number}" for number in range(20)], [f"s{number}" for number in range(4)])
PLANS = [plan_of(number, 1, STALL, 3) for number in range(500)]


def test_a_number_and_a_seed_are_one_plan() -> None:
    assert [plan_of(number, 1, STALL, 3) for number in range(500)] == PLANS
    assert [plan_of(number, 2, STALL, 3) for number in range(500)] != PLANS


def test_a_rush_is_for_one_product_that_is_not_there_for_all() -> None:
    rush = [plan for plan in PLANS if plan.is_rush][:RUSH_ORDERS]
    assert len({plan.lines for plan in rush}) == 1
    assert sum(quantity for plan in rush for _, quantity in plan.lines) > LAST_UNITS


def test_each_rush_has_a_product_of_its_own() -> None:
    scarce = scarce_products(500)
    stall = Stall(STALL.plenty, [f"s{number}" for number in range(scarce)])
    rushes: dict[int, str] = {}
    for number in range(500):
        plan = plan_of(number, 1, stall, 3)
        if plan.is_rush:
            rushes[number // RUSH_ORDERS] = plan.lines[0][0]
    assert len(set(rushes.values())) == len(rushes)


def test_what_becomes_of_a_scarce_unit_is_plain() -> None:
    rush = [plan for plan in PLANS if plan.is_rush]
    assert {plan.cancel for plan in rush} == {Cancel.NEVER}
    assert not any(plan.wants_refund or plan.haggles or plan.shares_key for plan in rush)


def test_everything_that_buyers_do_is_in_the_mix() -> None:
    assert {plan.cancel for plan in PLANS} == set(Cancel)
    assert {plan.account for plan in PLANS} == {0, 1, 2}
    assert {plan.clicks for plan in PLANS} == {1, 2}
    for what in ("is_rush", "by_cart", "repeats", "reuses_key", "shares_key", "haggles", "wants_refund"):
        assert any(getattr(plan, what) for plan in PLANS), what
