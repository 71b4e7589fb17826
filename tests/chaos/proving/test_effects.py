"""What an order's way asks of stock and money, and what counts as done."""

from __future__ import annotations

from collections import Counter

import pytest
from rehearsal.chaos.proving.effects import Ledgers, account_for, ways
from rehearsal.chaos.proving.snapshot import Effect, Transition


def difference(
    way: str,
    *,
    stock: str = "",
    money: str = "",
    refunds: str = "",
    counted: str = "",
) -> tuple[list[str], list[str]]:
    """What was due and not done, and what was done and not due, of an order with one product."""
    steps = [Transition("o", number, state) for number, state in enumerate(way.split(), 1)]
    ledgers = Ledgers(
        [("o", "p", kind) for kind in stock.split()],
        [("o", kind) for kind in money.split()],
        [("o", name) for name in refunds.split()],
        [("o", name) for name in counted.split()],
    )
    account = account_for(steps, {"o": ["p"]}, ledgers)
    due, done = Counter(account.due), Counter(account.done)
    return names(due - done), names(done - due)


def names(effects: Counter[Effect]) -> list[str]:
    return sorted(f"{effect.consumer} {effect.event_id}" for effect in effects.elements())


@pytest.mark.parametrize(
    ("way", "stock", "money"),
    [
        ("PENDING RESERVED CONFIRMED", "reserve sell", "capture"),
        ("PENDING RESERVED CONFIRMED", "reserve expire retake", "capture"),
        ("PENDING RESERVED CONFIRMED CANCELLED", "reserve sell restock", "capture refund"),
        ("PENDING RESERVED CONFIRMED CANCELLED", "reserve expire", "capture refund"),
        ("PENDING RESERVED REJECTED", "reserve release", ""),
        ("PENDING RESERVED CANCELLED", "reserve release", "capture refund"),
        ("PENDING RESERVED CANCELLED", "reserve expire", ""),
        ("PENDING CANCELLED", "", ""),
        ("PENDING CANCELLED", "reserve release", ""),
        ("PENDING REJECTED", "", ""),
        ("PENDING PENDING RESERVED RESERVED CONFIRMED", "reserve sell", "capture"),
        ("PENDING", "reserve", ""),
    ],
)
def test_an_allowed_course_leaves_no_difference(way: str, stock: str, money: str) -> None:
    refunds = "r" if "refund" in money else ""
    assert difference(way, stock=stock, money=money, refunds=refunds, counted=refunds) == ([], [])


@pytest.mark.parametrize(
    ("way", "stock", "money", "lacking", "too_much"),
    [
        ("PENDING RESERVED CONFIRMED", "reserve", "capture", ["inventory o:p:sell"], []),
        ("PENDING RESERVED CONFIRMED", "reserve sell sell", "capture", [], ["inventory o:p:sell"]),
        ("PENDING RESERVED CONFIRMED", "reserve sell", "", ["payment o:capture"], []),
        (
            "PENDING RESERVED CONFIRMED",
            "reserve sell",
            "capture capture",
            [],
            ["payment o:capture"],
        ),
        ("PENDING RESERVED REJECTED", "reserve release release", "", [], ["inventory o:p:release"]),
        ("PENDING RESERVED CANCELLED", "reserve release", "capture", ["payment o:refund"], []),
        ("PENDING CANCELLED", "reserve", "", ["inventory o:p:release"], []),
        ("PENDING REJECTED", "reserve", "", [], ["inventory o:p:reserve"]),
    ],
)
def test_what_is_lacking_and_what_is_too_much(
    way: str, stock: str, money: str, lacking: list[str], too_much: list[str]
) -> None:
    assert difference(way, stock=stock, money=money) == (lacking, too_much)


def test_a_refund_that_the_order_has_not_counted_is_lacking() -> None:
    lacking, _ = difference(
        "PENDING RESERVED CONFIRMED CANCELLED",
        stock="reserve sell restock",
        money="capture refund",
        refunds="r",
    )
    assert lacking == ["order o:refund:r"]


def test_a_movement_of_an_order_that_does_not_exist_is_too_much() -> None:
    account = account_for([], {}, Ledgers([("x", "p", "reserve")], [], [], []))
    assert (account.due, account.done) == ((), (Effect("inventory", "x:p:reserve"),))


def test_repetitions_of_a_state_are_one_station() -> None:
    steps = [Transition("o", 2, "PENDING"), Transition("o", 1, "PENDING"), Transition("o", 3, "RESERVED")]
    assert ways(steps) == {"o": ("PENDING", "RESERVED")}
