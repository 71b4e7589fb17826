"""Whose orders are judged: what others do in the same shop is no finding, what belongs to nobody is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rehearsal.chaos.proving.audit import audit
from rehearsal.chaos.proving.collecting import Scope, collect
from rehearsal.chaos.proving.operations import LOOK, PLACE, Operation
from rehearsal.core.verdicts import Verdict
from rehearsal.shop.answers import Kind

from tests.chaos.books import PRICE_MINOR, PRODUCT, TIME_NS, Books, captured

_LOOKED_AT = {"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I14"}


def _history(*orders: tuple[str, str]) -> list[Operation]:
    """Placements of orders by their keys, each sent twice, and a look."""
    found: list[Operation] = []
    for order_id, key in orders:
        begun, asked = TIME_NS + 1_000 * len(found), {"lines": [[PRODUCT, 1]]}
        answered = {"order_id": order_id, "total_minor": PRICE_MINOR, "currency": "EUR"}
        for late in (0, 10):
            times = (begun + late, begun + late + 1)
            found.append(Operation(PLACE, "u", key, key, "r", Kind.OK, 201, *times, asked, answered))
        look = {"order_id": order_id}
        seen = {**look, "state": "CONFIRMED"}
        found.append(Operation(LOOK, "u", key, "", "", Kind.OK, 200, begun + 20, begun + 21, look, seen))
    return found


def _broken(books: Books, operations: list[Operation], since_ns: int = TIME_NS) -> frozenset[str]:
    keys = frozenset(one.key for one in operations if one.f == PLACE)
    snapshot = collect(books, quiet_seconds=90.0, raced={}, scope=Scope(keys, since_ns), keys_by_user=False)
    found = audit(operations, snapshot)
    looked = {one.invariant.id for one in found.results if one.verdict is not Verdict.INVALID}
    assert looked >= _LOOKED_AT
    return found.broken


@pytest.fixture
def books() -> Books:
    """Return the books of a shop with two orders of ours."""
    made = Books()
    made.enter("o-1", "us", "k-1")
    made.enter("o-2", "us", "k-2", quantity=1)
    return made


OURS = _history(("o-1", "k-1"), ("o-2", "k-2"))


def test_sound_books_give_no_finding(books: Books) -> None:
    assert _broken(books, OURS) == frozenset()


def test_orders_of_others_are_no_finding(books: Books) -> None:
    books.enter("o-9", "them", "k-9", product="product-9")
    books.entries.append(captured("o-9", 1))
    books.stock["product-9"]["on_hand"] += 5
    books.tell("o-9", 7, "PENDING")

    assert _broken(books, OURS) == frozenset()


def test_orders_of_ours_from_an_earlier_run_are_no_finding(books: Books) -> None:
    books.enter("o-0", "us", "k-0", product="product-0", since=TIME_NS - 1)

    assert _broken(books, OURS) == frozenset()


def _lose(books: Books) -> None:
    books.orders.pop(0)


def _double(books: Books) -> None:
    books.enter("o-3", "us", "k-1")


def _make_up(books: Books) -> None:
    books.enter("o-3", "us", "k-3")


def _charge_twice(books: Books) -> None:
    books.entries.append(captured("o-1", PRICE_MINOR))


def _charge_for_nothing(books: Books) -> None:
    books.payments.append(["pay-o-8", "o-8"])
    books.entries.append(captured("o-8", PRICE_MINOR))


def _oversell(books: Books) -> None:
    books.stock[PRODUCT]["sold"] += 1


def _drop(books: Books) -> None:
    books.events.pop(1)


def _invent(books: Books) -> None:
    books.outbox.pop(1)


def _sell_twice(books: Books) -> None:
    books.movements.append(["o-1", PRODUCT, "sell"])


def _acknowledge_only(books: Books) -> None:
    books.inboxes["payment"].pop()


def _bury(books: Books) -> None:
    books.outbox.append(["orders.dlt", "dead"])


@pytest.mark.parametrize(
    ("harm", "invariant"),
    [
        (_lose, "I1"),
        (_double, "I1"),
        (_make_up, "I2"),
        (_charge_twice, "I4"),
        (_charge_for_nothing, "I4"),
        (_oversell, "I3"),
        (_drop, "I5"),
        (_invent, "I5"),
        (_sell_twice, "I6"),
        (_bury, "I6"),
        (_acknowledge_only, "I14"),
        (_drop, "I8"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_is_wrong_with_ours_is_found(
    books: Books, harm: Callable[[Books], None], invariant: str
) -> None:
    harm(books)

    assert invariant in _broken(books, OURS)
