"""The search for an order of events, also against a search that tries all of them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
from rehearsal.chaos.proving.linearizing import (
    StockOp,
    UndecidedError,
    explain,
    last_unit_once,
    stock_histories,
)
from rehearsal.chaos.proving.operations import LOOK, PLACE, Operation
from rehearsal.chaos.proving.snapshot import Snapshot
from rehearsal.core.verdicts import Verdict
from rehearsal.shop.answers import Kind


def ops(*described: tuple[str, int, int, int | None]) -> list[StockOp]:
    return [StockOp(what, number, begin, end) for what, number, begin, end in described]  # type: ignore[arg-type]  # the words of `What`


@pytest.mark.parametrize(
    ("initial", "history", "explained"),
    [
        (1, ops(("take", 1, 0, 9), ("refuse", 1, 0, 9)), True),
        (1, ops(("take", 1, 0, 9), ("take", 1, 0, 9)), False),
        (1, ops(("refuse", 1, 0, 1), ("take", 1, 2, 3)), False),
        (2, ops(("take", 2, 0, 5), ("read", 2, 3, 4)), True),
        (2, ops(("take", 2, 0, 2), ("read", 2, 3, 4)), False),
        (2, ops(("read", 0, 1, 2), ("read", 2, 3, 4)), False),
        # Nobody knows whether the first one got its unit.
        (1, ops(("take", 1, 0, None), ("read", 1, 2, 3), ("refuse", 1, 4, 5)), True),
        (1, ops(("take", 1, 3, None), ("refuse", 1, 0, 1)), False),
        (1, ops(("take", 1, 0, 1), ("give", 1, 2, None), ("take", 1, 3, 4)), True),
        (1, ops(("take", 1, 0, 1), ("take", 1, 3, 4)), False),
        (0, [], True),
    ],
)
def test_a_history_is_explained_or_not(initial: int, history: list[StockOp], explained: bool) -> None:
    assert (explain(history, initial) is None) is explained


def test_what_was_perhaps_taken_may_come_back() -> None:
    doubtful = StockOp("take", 1, 0, None, may_return=True)
    rest = ops(("refuse", 1, 2, 3), ("take", 1, 4, 5))
    assert explain([doubtful, *rest], 1) is None
    assert explain([StockOp("take", 1, 0, None), *rest], 1) is not None


def _brute(history: Sequence[StockOp], initial: int) -> bool:
    """Whether any permutation that keeps the order of those that do not overlap explains the history."""
    definite = [one for one in history if one.answered_ns is not None]
    optional = [one for one in history if one.answered_ns is None]
    for count in range(len(optional) + 1):
        for chosen in itertools.combinations(optional, count):
            if any(_holds(order, initial) for order in itertools.permutations([*definite, *chosen])):
                return True
    return False


def _holds(order: Sequence[StockOp], initial: int) -> bool:
    for place, one in enumerate(order):
        ends = [later.answered_ns for later in order[place:] if later.answered_ns is not None]
        if any(end < one.invoked_ns for end in ends):
            return False
    left = initial
    for one in order:
        if one.what == "take":
            left -= one.number
            if left < 0:
                return False
        elif (one.what == "refuse" and one.number <= left) or (one.what == "read" and one.number != left):
            return False
    return True


def test_it_agrees_with_a_search_that_tries_everything() -> None:
    draw = random.Random(5)  # noqa: S311 - a seed decides all of it
    outcomes = set()
    for _ in range(400):
        history = []
        for _ in range(draw.randint(1, 6)):
            begin = draw.randint(0, 20)
            end = begin + draw.randint(1, 12)
            what = draw.choice(["take", "take", "refuse", "read"])
            unanswered = what == "take" and draw.random() < 0.2
            history += ops((what, draw.randint(0, 2) or 1, begin, None if unanswered else end))
        initial = draw.randint(0, 3)
        explained = explain(history, initial) is None
        assert explained is _brute(history, initial), (initial, [str(one) for one in history])
        outcomes.add(explained)
    assert outcomes == {True, False}


@pytest.mark.parametrize(
    ("sold", "explained"), [((0, 12, 24, 36, 48), True), ((0, 12, 24, 30, 36, 48), False)]
)
def test_a_crowd_that_waits_together_is_decided(sold: tuple[int, ...], explained: bool) -> None:
    """As in an outage: sixty buyers of five units, all under way at once, answered one after the other."""
    buyers = [StockOp("take" if one in sold else "refuse", 1, one, 1000 + one) for one in range(60)]
    assert (explain(buyers, 5, max_steps=5_000) is None) is explained


def test_a_search_without_end_is_undecided() -> None:
    crowd = [StockOp("take", 1 + number % 3, 0, 100) for number in range(40)]
    with pytest.raises(UndecidedError):
        explain([*crowd, StockOp("read", 7, 0, 100)], 1000, max_steps=1000)


def _bought(number: int, state: str, reason: str = "", lines: int = 1) -> list[Operation]:
    order_id = f"o{number}"
    asked = {"lines": [["unit", 1], ["other", 1]][:lines]}
    answered = {"order_id": order_id, "state": "PENDING"}
    begin = number * 10
    place = Operation(
        PLACE, "p", str(number), f"k{number}", "h", Kind.OK, 201, begin, begin + 1, asked, answered
    )
    seen = {"order_id": order_id, "state": state, "reason": reason}
    look = Operation(
        LOOK, "p", str(number), "", "", Kind.OK, 200, begin + 2, begin + 3, {"order_id": order_id}, seen
    )
    return [place, look]


@pytest.mark.parametrize(
    ("bought", "history"),
    [
        (_bought(1, "CONFIRMED"), ["take 1 [10, 13]"]),
        (_bought(1, "REJECTED", "out-of-stock"), ["refuse 1 [10, 13]"]),
        (_bought(1, "REJECTED", "out-of-stock", lines=2), []),
        (_bought(1, "REJECTED", "payment-declined"), ["take 1 [10, ?]"]),
        (_bought(1, "CANCELLED", "by-user"), ["take 1 [10, ?]"]),
        (_bought(1, "RESERVED"), ["take 1 [10, ?]"]),
    ],
)
def test_a_purchase_counts_for_what_is_known_of_it(bought: list[Operation], history: list[str]) -> None:
    assert [str(one) for one in stock_histories(bought, {"unit": 1})["unit"]] == history


def test_the_last_unit_sold_twice_is_a_violation_that_names_the_product() -> None:
    sold = [*_bought(1, "CONFIRMED"), *_bought(2, "CONFIRMED")]
    found = last_unit_once(sold, Snapshot(90, raced={"unit": 1}))
    assert (found.verdict, found.violations[0].subject) == (Verdict.FAIL, "unit")


def test_an_undecided_product_is_invalid() -> None:
    sold = [*_bought(1, "CONFIRMED"), *_bought(2, "CONFIRMED")]
    found = last_unit_once(sold, Snapshot(90, raced={"unit": 2}), max_steps=1)
    assert found.verdict is Verdict.INVALID
