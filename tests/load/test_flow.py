"""The flow of orders: what is offered, what is asked again, what is followed, what stands in the history."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.shop import history
from rehearsal.shop.answers import Answer, Kind
from rehearsal.shop.client import Line

from tests.load.flows import IMPATIENT, PLAN, flow
from tests.shop.fakes import SILENT, FakeShop, refusing


def test_every_planned_order_is_sent(tmp_path: Path) -> None:
    done = flow(FakeShop(), tmp_path)

    assert len(done.orders) == PLAN.arrivals == 20
    assert all(one.acknowledged for one in done.orders)


def test_orders_are_due_at_their_rate_whatever_the_shop_does(tmp_path: Path) -> None:
    done = flow(FakeShop(trouble=lambda number: refusing(503) if number < 10 else None), tmp_path)

    assert [one.due for one in done.orders] == [number / PLAN.rate_per_second for number in range(20)]


def test_orders_are_followed_to_their_end(tmp_path: Path) -> None:
    done = flow(FakeShop(), tmp_path)

    assert {one.state for one in done.orders} == {"CONFIRMED"}
    assert all(one.ended is not None for one in done.orders)


def test_order_that_does_not_move_is_left_at_its_bound(tmp_path: Path) -> None:
    done = flow(FakeShop(moves=lambda state: state), tmp_path, IMPATIENT)

    assert {(one.state, one.ended) for one in done.orders} == {("PENDING", None)}


def test_order_whose_answer_has_no_state_is_left_at_its_bound(tmp_path: Path) -> None:
    class Stateless(FakeShop):
        async def order(self, user: str, order_id: str) -> Answer:
            return Answer(Kind.OK, 200, {"order_id": order_id, "status": "CONFIRMED"})

    done = flow(Stateless(), tmp_path, IMPATIENT)

    assert {(one.state, one.ended) for one in done.orders} == {("PENDING", None)}


def test_shopper_without_a_clear_answer_asks_again_under_the_same_key(tmp_path: Path) -> None:
    shop = FakeShop(trouble=lambda number: SILENT if number == 1 else None, happens=lambda number: True)
    done = flow(shop, tmp_path)

    assert Counter(one.attempts for one in done.orders) == {1: 19, 2: 1}
    assert len(shop.stored) == PLAN.arrivals


def test_shopper_who_is_refused_does_not_ask_again(tmp_path: Path) -> None:
    done = flow(FakeShop(trouble=lambda number: refusing(422)), tmp_path)

    assert {(one.attempts, one.acknowledged) for one in done.orders} == {(1, False)}


def test_shopper_gives_up_when_patience_ends(tmp_path: Path) -> None:
    done = flow(FakeShop(trouble=lambda number: refusing(503)), tmp_path, IMPATIENT)

    assert {(one.attempts, one.answered) for one in done.orders} == {(1, None)}


def test_latency_counts_from_when_the_order_was_due(tmp_path: Path) -> None:
    done = flow(FakeShop(), tmp_path)

    assert all(
        one.latency_seconds is not None and one.latency_seconds >= one.late_seconds >= 0
        for one in done.orders
    )


def test_each_order_has_a_key_of_its_own_also_in_another_run_of_the_same_seed(tmp_path: Path) -> None:
    first, second = flow(FakeShop(), tmp_path / "1"), flow(FakeShop(), tmp_path / "2")

    assert len({one.key for run in (first, second) for one in run.orders}) == 2 * PLAN.arrivals


def test_same_seed_draws_the_same_orders(tmp_path: Path) -> None:
    class Writing(FakeShop):
        def __init__(self) -> None:
            super().__init__()
            self.lines: list[Line] = []

        async def place_order(self, user, lines, *, key):  # type: ignore[no-untyped-def]
            self.lines += lines
            return await super().place_order(user, lines, key=key)

    first, second = Writing(), Writing()
    flow(first, tmp_path / "1")
    flow(second, tmp_path / "2")

    assert first.lines == second.lines


def test_every_attempt_stands_in_the_history_before_and_after(tmp_path: Path) -> None:
    flow(FakeShop(trouble=lambda number: SILENT if number == 1 else None), tmp_path)
    kinds = Counter(
        entry.type for entry in history.read(tmp_path / "history.jsonl") if entry.f == "place_order"
    )

    assert kinds == {"invoke": 21, "ok": 20, "info": 1}


def test_history_says_what_became_of_an_order(tmp_path: Path) -> None:
    flow(FakeShop(), tmp_path)
    last: dict[str, object] = {}
    for entry in history.read(tmp_path / "history.jsonl"):
        if entry.type == "ok":
            last[entry.op_id] = entry.value["state"]

    assert set(last.values()) == {"CONFIRMED"}


def test_shopper_who_gets_no_token_ends_the_flow_at_once(tmp_path: Path) -> None:
    def refused(number: int) -> Answer | None:
        if number == 3:
            raise EnvironmentNotReadyError("TOKEN_REFUSED", "no token", hint="") from OSError("reset")
        return None

    began = monotonic()
    with pytest.raises(EnvironmentNotReadyError, match="no token") as caught:
        flow(FakeShop(trouble=refused), tmp_path, replace(PLAN, rate_per_second=20.0, seconds=60.0))

    assert monotonic() - began < 30
    assert isinstance(caught.value.__cause__, OSError)
