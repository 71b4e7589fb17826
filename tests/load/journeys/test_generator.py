"""The generator as a process of its own, on a small shop behind real HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rehearsal.chaos.proving.operations import OK, PLACE, operations_of
from rehearsal.core.checks import Check
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.verdicts import Verdict
from rehearsal.load.journeys.judging import judge
from rehearsal.load.journeys.plan import CHECKOUT, JourneyPlan
from rehearsal.load.journeys.records import Journeys, read
from rehearsal.load.journeys.sending import HISTORY, RECORDS, send
from rehearsal.load.objectives import percentile
from rehearsal.shop.history import read as read_history

from tests.load.journeys.plans import GENEROUS, LOGIN, PLAN
from tests.load.journeys.shop import SmallShop, serving

pytestmark = pytest.mark.enable_socket

# Two shoppers with a cart at once at the most: who waits for a user is late, and this is no test of that.
SMALL = replace(
    PLAN, rate_per_second=40.0, seconds=0.5, think_seconds=0.0, poll_seconds=0.01, end_seconds=10.0
)


def _send(shop: SmallShop, folder: Path, plan: JourneyPlan = SMALL) -> Journeys:
    with serving(shop):
        login = replace(LOGIN, url=f"{shop.url}/token")
        return send(replace(plan, base_url=shop.url, login=login), folder)


def _failed(seen: Journeys, plan: JourneyPlan = SMALL) -> dict[str, Check]:
    # Whether a busy machine kept the pace is no part of what is planted.
    seen = replace(seen, arrived=tuple(replace(one, late_seconds=0.0) for one in seen.arrived))
    return {one.id: one for one in judge(plan, seen, GENEROUS, ()) if one.verdict is Verdict.FAIL}


def test_good_shop_gives_no_finding_and_every_journey_is_gone(tmp_path: Path) -> None:
    shop = SmallShop()
    seen = _send(shop, tmp_path)

    assert not _failed(seen)
    assert [one.wrong for one in seen.asked if one.wrong] == []
    assert len(seen.arrived) == 20
    assert len(seen.ordered) == len(shop.orders) == 6
    assert {one.state for one in seen.ordered} == {"CONFIRMED"}
    assert {one.pod for one in seen.asked} == {"10.0.0.1:8080"}
    assert seen.ended is not None


def test_two_shoppers_never_share_a_cart(tmp_path: Path) -> None:
    shop = SmallShop()
    _send(shop, tmp_path, replace(SMALL, rate_per_second=100.0, seconds=0.4))

    assert shop.users == {"anna", "ben"}
    assert shop.overlaps == 0


def test_orders_are_noted_for_the_audit_with_their_double_clicks(tmp_path: Path) -> None:
    shop = SmallShop()
    _send(shop, tmp_path)
    operations = operations_of(read_history(tmp_path / HISTORY))
    placed = [one for one in operations if one.f == PLACE]

    assert {one.order_id for one in placed} == set(shop.orders)
    assert {one.kind for one in operations} == {OK}
    assert {one.key for one in placed} == {f"cart-{one}" for one in {one.key[5:] for one in placed}}
    assert len({one.key for one in placed}) == 6
    assert len(placed) > 6  # some click twice


def test_stall_of_the_shop_is_seen_by_everybody_who_was_due_meanwhile(tmp_path: Path) -> None:
    """Whoever counts from when a request was sent sees a few slow ones here, and a good p95."""
    plan = replace(SMALL, rate_per_second=20.0, seconds=4.0)
    seen = _send(SmallShop(frozen=(1.0, 3.0)), tmp_path, plan)
    waits = [
        one.seconds
        for one in seen.asked
        if one.due == next(first.due for first in seen.asked if first.number == one.number)
    ]

    assert percentile(waits, 0.70) > 0.2
    assert percentile(waits, 1.0) > 1.5


@pytest.mark.parametrize(
    ("shop", "check", "named"),
    [
        (SmallShop(refuses="/api/categories"), "load.accepted", "GET /api/categories"),
        (SmallShop(refuses="/api/carts/current/checkout"), "load.accepted", CHECKOUT),
        (SmallShop(forgets_double_click=True), "load.accepted", CHECKOUT),
        (SmallShop(wrong_total=1), "load.accepted", "/api/carts/current"),
    ],
    ids=["no categories", "no checkout", "two orders of one cart", "another price"],
)
def test_planted_fault_is_found_with_its_operation(
    shop: SmallShop, check: str, named: str, tmp_path: Path
) -> None:
    assert named in _failed(_send(shop, tmp_path))[check].subject


def test_order_that_stays_is_found(tmp_path: Path) -> None:
    plan = replace(SMALL, end_seconds=0.1)
    found = _failed(_send(SmallShop(last_state="RESERVED"), tmp_path, plan), plan)

    assert "RESERVED" in found["load.ends"].observed


def test_nobody_who_can_log_in_is_said(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentNotReadyError, match="gives anna no token"):
        _send(SmallShop(refuses_logins=True), tmp_path)


def test_shop_that_is_not_there_is_no_pass(tmp_path: Path) -> None:
    shop = SmallShop()
    with serving(shop):
        login = replace(LOGIN, url=f"{shop.url}/token")
        seen = send(replace(SMALL, login=login), tmp_path)

    assert {one.status for one in seen.asked} == {None}
    assert {one.verdict for one in _failed(seen).values()} == {Verdict.FAIL}


def test_what_a_killed_generator_saw_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / RECORDS
    _send(SmallShop(), tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:20]) + lines[20][:10], encoding="utf-8")
    seen = read(path)

    assert len(seen.arrived) + len(seen.asked) + len(seen.ordered) == 20
    assert {one.verdict for one in judge(SMALL, seen, GENEROUS, ())} == {Verdict.INVALID}
