"""Whether the shop has come to rest: nobody has anything left to do."""

from __future__ import annotations

import asyncio
from typing import Final

from rehearsal.chaos.proving.collecting import CONSUMERS, WITH_DATABASE, Source

_PENDING: Final = "SELECT count(*) AS rows FROM outbox WHERE published_at IS NULL"
_WAITING: Final = {
    "order": ("orders that wait", "SELECT count(*) AS rows FROM orders WHERE sweep_at IS NOT NULL"),
    "payment": ("payments that are due", "SELECT count(*) AS rows FROM payment WHERE due_at IS NOT NULL"),
}
_PAUSE_SECONDS: Final = 1.0


async def settle(source: Source, at_most_seconds: float) -> list[str]:
    """Wait until the shop rests, twice in a row; return what it still has to do when the time is over."""
    loop = asyncio.get_running_loop()
    end, rested = loop.time() + at_most_seconds, 0
    while True:
        left = await asyncio.to_thread(unsettled, source)
        rested = 0 if left else rested + 1
        if rested == 2 or loop.time() > end:
            return left
        await asyncio.sleep(_PAUSE_SECONDS)


def unsettled(source: Source) -> list[str]:
    """What is left to be done."""
    counts: dict[str, int] = {}
    for name in WITH_DATABASE:
        counts[f"events in {name}'s outbox"] = _count(source, name, _PENDING)
        if name in _WAITING:
            what, query = _WAITING[name]
            counts[what] = _count(source, name, query)
    for service, consumer in CONSUMERS.items():
        counts[f"events that {service} has not taken"] = source.lag(service, consumer.topics)
    return [f"{count} {what}" for what, count in counts.items() if count]


def _count(source: Source, service: str, query: str) -> int:
    return int(source.rows(service, query)[0][0])
