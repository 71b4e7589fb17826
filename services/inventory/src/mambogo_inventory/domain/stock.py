"""A product's stock: four numbers of which the first is always the sum of the others.

`initial` is everything that ever came in, less what was written off; every unit of it is on hand, reserved or
sold. Who may change what, and for which order, is not decided here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

# Far above any warehouse, and far enough below 2^53 that no sum of them overflows anywhere.
MAX_UNITS: Final = 1_000_000_000


class StockRefusedError(Exception):
    """A change that the numbers do not allow. `code` names why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Change:
    """What one unit of a movement does to each number."""

    on_hand: int
    reserved: int
    sold: int


class Movement(enum.Enum):
    """Where units go; the value is its name in the ledger."""

    RESERVE = "reserve"
    RELEASE = "release"
    EXPIRE = "expire"
    SELL = "sell"
    RETAKE = "retake"
    RESTOCK = "restock"

    @property
    def change(self) -> Change:
        """What it does, for each unit. The three always add up to 0: nothing appears, nothing vanishes."""
        return _CHANGES[self]


_CHANGES: Final = {
    Movement.RESERVE: Change(-1, 1, 0),
    Movement.RELEASE: Change(1, -1, 0),
    Movement.EXPIRE: Change(1, -1, 0),
    Movement.SELL: Change(0, -1, 1),
    Movement.RETAKE: Change(-1, 0, 1),
    Movement.RESTOCK: Change(1, 0, -1),
}


@dataclass(frozen=True, slots=True)
class Stock:
    """One product's numbers."""

    product_id: UUID
    initial: int = 0
    on_hand: int = 0
    reserved: int = 0
    sold: int = 0
    version: int = 0

    def with_initial(self, initial: int) -> Stock:
        """As if `initial` had come in from the start; raises StockRefusedError below what is given away."""
        return self.adjusted(initial - self.initial)

    def adjusted(self, quantity: int) -> Stock:
        """`quantity` more (or, negative, fewer) on hand; raises StockRefusedError outside of the bounds."""
        on_hand = self.on_hand + quantity
        if on_hand < 0:
            raise StockRefusedError(
                "stock-too-low", "Fewer units are on hand than would have to be taken away."
            )
        if self.initial + quantity > MAX_UNITS:
            raise StockRefusedError("stock-too-high", f"At most {MAX_UNITS} units can be kept.")
        return replace(self, initial=self.initial + quantity, on_hand=on_hand, version=self.version + 1)
