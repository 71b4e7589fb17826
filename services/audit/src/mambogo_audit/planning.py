"""What each order's buyer does, drawn from a seed. Pure; doing it is `shopping`'s."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# Orders that follow each other are placed at about the same time: so many of them rush for one product.
RUSH_ORDERS: Final = 8
LAST_UNITS: Final = 3
# One rush in so many groups of orders.
RUSH_EVERY: Final = 10
_MAX_LINES: Final = 3
_MAX_QUANTITY: Final = 3


class Cancel(StrEnum):
    """When a buyer has had second thoughts."""

    NEVER = "never"
    AT_ONCE = "at once"
    WHEN_CONFIRMED = "when confirmed"


@dataclass(frozen=True, slots=True)
class Plan:
    """One order, and all that is done about it."""

    number: int
    account: int  # of the shopper's several
    lines: tuple[tuple[str, int], ...]
    is_rush: bool
    by_cart: bool
    clicks: int  # at once
    repeats: bool  # asks again when it is clear
    reuses_key: bool  # for another order, which has to be refused
    shares_key: bool  # another user sends the same key
    haggles: bool  # wants it cheaper, too
    cancel: Cancel
    wants_refund: bool  # an administrator gives the money back


@dataclass(frozen=True, slots=True)
class Stall:
    """What there is to buy: plenty of most, and the last units of what is rushed for."""

    plenty: Sequence[str]
    scarce: Sequence[str]
    rush_every: int = RUSH_EVERY


def scarce_products(orders: int, rush_every: int = RUSH_EVERY) -> int:
    """How many products so many orders will rush for."""
    return orders // (RUSH_ORDERS * rush_every) + 1


def plan_of(number: int, seed: int, stall: Stall, accounts: int) -> Plan:
    """The same for the same number and seed."""
    draw = random.Random(f"{seed} {number}")  # noqa: S311 - a seed decides what is bought
    group = number // RUSH_ORDERS
    is_rush = group % stall.rush_every == stall.rush_every - 1
    if is_rush:
        product_id = stall.scarce[group // stall.rush_every % len(stall.scarce)]
        lines: tuple[tuple[str, int], ...] = ((product_id, 1),)
    else:
        wanted = draw.sample(list(stall.plenty), draw.randint(1, _MAX_LINES))
        lines = tuple((product_id, draw.randint(1, _MAX_QUANTITY)) for product_id in wanted)
    # What becomes of a scarce unit has to be plain from what its buyer sees: it is bought, and kept.
    thoughts = draw.choices(list(Cancel), weights=(80, 12, 8))[0]
    return Plan(
        number=number,
        account=draw.randrange(accounts),
        lines=lines,
        is_rush=is_rush,
        by_cart=draw.random() < 0.3,
        clicks=2 if draw.random() < 0.1 else 1,
        repeats=draw.random() < 0.1,
        reuses_key=draw.random() < 0.05,
        shares_key=not is_rush and draw.random() < 0.03,
        haggles=not is_rush and draw.random() < 0.05,
        cancel=Cancel.NEVER if is_rush else thoughts,
        wants_refund=not is_rush and draw.random() < 0.05,
    )
