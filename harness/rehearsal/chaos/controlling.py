"""The window before a fault: whether the shop was well in it. Pure.

The window counts that ends where the fault begins. One that was not clean is repeated: on a busy machine one
of many orders is refused by chance, and what is to be shown is that the shop is well when it is hit. How
often it fails without a fault is the load stage's to say, by more orders than a window has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rehearsal.load.flow import Placed

MOST_WINDOWS = 3  # a shop that is not well in any of them is not well
# Left out before the fault: their orders may be answered during it.
MARGIN_SECONDS = 1.0
_CLEAN_RATIO = 0.99  # of the orders due in the window: the objective, with room for a busy machine
_LEAST_ORDERS = 5


@dataclass(frozen=True, slots=True)
class Window:
    """What became of the orders that were due in a time of the flow."""

    end: float  # seconds since the flow began
    due: int
    good: int  # accepted at the first attempt

    @property
    def is_enough(self) -> bool:
        """Whether something can be said by so few orders."""
        return self.due >= _LEAST_ORDERS

    @property
    def is_clean(self) -> bool:
        """Whether the shop was well."""
        return self.is_enough and self.good >= _CLEAN_RATIO * self.due

    def __str__(self) -> str:
        return f"{self.good} of {self.due} orders accepted at once"


def window(orders: Iterable[Placed], start: float, end: float) -> Window:
    """Return what is known now of the orders that were due from `start` until before `end`."""
    due = [one for one in orders if start <= one.due < end]
    return Window(end, len(due), sum(one.acknowledged and one.attempts == 1 for one in due))
