"""What each order's events had to do to stock and money, and what was done: two ledgers beside the events.

Inventory's movements are written with the stock that they move, the provider's entries by another company:
neither asks a service whether it took an event. What had to be done follows from the steps of the order
alone, as its events tell them. Where the order leaves it open (a cancellation that overtakes a reservation),
the allowed course nearest to what happened is the one that had to be. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from rehearsal.chaos.proving.snapshot import Effect, Transition

Course: TypeAlias = tuple[str, ...]

_RESERVED: Final[tuple[Course, ...]] = (("reserve",),)
_SOLD: Final[tuple[Course, ...]] = (("reserve", "sell"), ("reserve", "expire", "retake"))
_FREED: Final[tuple[Course, ...]] = (("reserve", "release"), ("reserve", "expire"))
_PAID: Final[Course] = ("capture",)
_PAID_BACK: Final[Course] = ("capture", "refund")


@dataclass(frozen=True, slots=True)
class Ledgers:
    """Who did what for which order: inventory per product, the provider, and refunds as order counts them."""

    movements: Sequence[tuple[str, str, str]]  # order, product, kind
    payments: Sequence[tuple[str, str]]  # order, capture or refund
    refunds: Sequence[tuple[str, str]]  # order, the refund's name at the provider
    counted_refunds: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Account:
    """What had to be done, and what was."""

    due: tuple[Effect, ...]
    done: tuple[Effect, ...]


def account_for(
    steps: Iterable[Transition], products: Mapping[str, Sequence[str]], ledgers: Ledgers
) -> Account:
    """Of all orders. `products` are those of each order."""
    moved: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for order_id, product_id, kind in ledgers.movements:
        moved[order_id, product_id].append(kind)
    paid: defaultdict[str, list[str]] = defaultdict(list)
    for order_id, kind in ledgers.payments:
        paid[order_id].append(kind)
    due: list[Effect] = []
    for order_id, way in ways(steps).items():
        for product_id in products.get(order_id, ()):
            course = _nearest(_stock_courses(way), moved.get((order_id, product_id), ()))
            due += (_movement(order_id, product_id, kind) for kind in course)
        due += (_payment(order_id, kind) for kind in _nearest(_money_courses(way), paid.get(order_id, ())))
    due += (_refund(*refund) for refund in ledgers.refunds)
    return Account(tuple(due), tuple(_done(ledgers)))


def ways(steps: Iterable[Transition]) -> dict[str, Course]:
    """The states of each order in their sequence, without the sweeper's repetitions."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for step in sorted(steps, key=lambda one: one.sequence):
        way = found[step.order_id]
        if not way or way[-1] != step.state:
            way.append(step.state)
    return {order_id: tuple(way) for order_id, way in found.items()}


def _done(ledgers: Ledgers) -> Iterator[Effect]:
    for order_id, product_id, kind in ledgers.movements:
        yield _movement(order_id, product_id, kind)
    for order_id, kind in ledgers.payments:
        yield _payment(order_id, kind)
    for order_id, name in ledgers.counted_refunds:
        yield _refund(order_id, name)


def _movement(order_id: str, product_id: str, kind: str) -> Effect:
    return Effect("inventory", f"{order_id}:{product_id}:{kind}")


def _payment(order_id: str, kind: str) -> Effect:
    return Effect("payment", f"{order_id}:{kind}")


def _refund(order_id: str, name: str) -> Effect:
    return Effect("order", f"{order_id}:refund:{name}")


def _stock_courses(way: Course) -> Sequence[Course]:
    """What may have happened to the stock of each line of an order that went this way."""
    match way:
        case (*_, "CONFIRMED"):
            return _SOLD
        case (*_, "CONFIRMED", "CANCELLED"):
            # Restocked; or the reservation had expired, and the goods were gone.
            return (*((*course, "restock") for course in _SOLD), ("reserve", "expire"))
        case (*_, "RESERVED", "REJECTED" | "CANCELLED"):
            return _FREED
        case ("PENDING", "CANCELLED"):
            return ((), *_FREED)
        case (*_, "RESERVED"):
            return _RESERVED
        case ("PENDING",):
            return ((), *_RESERVED)
        case _:
            return ((),)


def _money_courses(way: Course) -> Sequence[Course]:
    match way:
        case (*_, "CONFIRMED"):
            return (_PAID,)
        case (*_, "CONFIRMED", "CANCELLED"):
            return (_PAID_BACK,)
        case (*_, "RESERVED"):
            return ((), _PAID)
        case (*_, "RESERVED", "REJECTED" | "CANCELLED"):
            return ((), _PAID_BACK)
        case _:
            return ((),)


def _nearest(courses: Sequence[Course], done: Iterable[str]) -> Course:
    """Of two that are as near the longer one: what was begun had to be ended."""
    there = Counter(done)
    return min(courses, key=lambda course: (_distance(Counter(course), there), -len(course)))


def _distance(wanted: Counter[str], there: Counter[str]) -> int:
    return sum(abs(wanted[kind] - there[kind]) for kind in wanted | there)
