"""How far apart steps begin that take everything that waits: rounds of the relay, batches of a consumer.

Each costs a transaction and a write of Kafka, however much it takes. A step at once for whatever has come is
quick while little comes, and wasteful when much does: an order has eight of them on its way, and at 50 orders
a second it took 32 ms of CPU, 22 since the pause grows with what the last step found. An order that comes
alone hardly waits.
"""

from __future__ import annotations

import time
from typing import Final

_SECONDS_PER_ITEM: Final = 0.02  # at less than fifty a second steps stay as close as they may be
_MOST_SECONDS: Final = 0.15
LEAST_SECONDS: Final = 0.03


def left_seconds(began: float, items: int, *, least_seconds: float = LEAST_SECONDS) -> float:
    """How long to wait until the next step, at least 0.

    `began` is when the last one did, by `time.monotonic`; `items` is what it found.
    """
    apart = max(least_seconds, min(items * _SECONDS_PER_ITEM, _MOST_SECONDS))
    return max(0.0, began + apart - time.monotonic())
