"""A retry budget: retries may be a tenth of the calls, whatever happens.

Each call puts 0.1 of a token into the bucket and each retry takes one out, so that an outage is amplified
by at most 1.1 (finagle's RetryBudget). The bucket starts with a little, for services that call seldom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

RATIO: Final = 0.1
FULL: Final = 10.0


@dataclass(slots=True)
class RetryBudget:
    """One target's bucket."""

    tokens: float = FULL

    def deposit(self) -> None:
        """A call was made."""
        self.tokens = min(self.tokens + RATIO, FULL)

    def withdraw(self) -> bool:
        """Whether one retry may be made; it is then paid for."""
        # The sum of ten tenths is a little less than one.
        if self.tokens < 1.0 - 1e-9:
            return False
        self.tokens -= 1.0
        return True
