"""What the shop promises under load, and what every judge of a load measures by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# A generator that is later than this has offered another load than it says.
LATE_SECONDS = 0.25
MOST_LATE_RATIO = 0.01


@dataclass(frozen=True, slots=True)
class Objectives:
    """What the shop promises of orders, and of everything else that a shopper asks for."""

    accepted_ratio: float
    p95_seconds: float
    page_p95_seconds: float


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
