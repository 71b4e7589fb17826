"""A read-through cache that can do without Redis.

Whoever misses loads: one per product and process (the others wait for it), and one per product of all pods
(a short claim in Redis; whoever does not get it looks again a few times, then loads as well). An entry that
is no longer fresh is answered once more while one reader loads it anew, so that nobody waits for that.
Without Redis every process still loads each product once at a time, and when Redis comes back empty the
claims keep the pods apart: there is no stampede in either case.

What changed while Redis was away is marked before anything is read from it again. Which entry may replace
which is `entries`'.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, Literal
from uuid import UUID

from mambogo_chassis.metrics import Metrics

from mambogo_product.adapters.breaker import AwayError, Breaker
from mambogo_product.adapters.entries import Entries, Entry, Held

Load = Callable[[UUID], Awaitable[Entry | None]]
Outcome = Literal["hit", "miss", "coalesced", "bypass"]

# Around the setting, so that what was loaded together does not grow old together.
_JITTER: Final = 0.2
# An entry is kept for this many times as long as it is fresh.
_KEEP: Final = 2.0
# Another pod's load is looked for so often, at such distances: 0.3 s in all, above a loaded database's 50 ms.
_LOOKS: Final = 15
_LOOK_SECONDS: Final = 0.02


class ProductCache:
    """Entries by product. `load` asks the database."""

    def __init__(
        self, entries: Entries, load: Load, *, fresh_seconds: Callable[[], float], metrics: Metrics
    ) -> None:
        self._entries = entries
        self._load = load
        self._fresh_seconds = fresh_seconds
        self._flights: dict[UUID, asyncio.Task[Entry | None]] = {}
        # Changes that Redis has not been told of: version, and when that stops to matter.
        self._untold: dict[UUID, tuple[int, float]] = {}
        self._has_untold = asyncio.Event()
        self._breaker = Breaker(self._tell)
        self._reads = metrics.counter(
            "product_cache_reads",
            "Reads of products by how the cache served them.",
            outcome=("hit", "miss", "coalesced", "bypass"),
        )
        self._writes = metrics.counter(
            "product_cache_writes",
            "Entries offered to Redis.",
            outcome=("stored", "superseded", "failed"),
        )
        metrics.gauge_callback(
            "product_cache_away", "1 while Redis is not used.", lambda: float(self.is_away)
        )

    @property
    def is_away(self) -> bool:
        """Whether Redis is not used now."""
        return self._breaker.is_away

    async def get(self, product_id: UUID) -> Entry | None:
        """The product, or None if there is none. Raises what `load` raises."""
        try:
            held = await self._breaker.call(lambda: self._entries.get(product_id))
        except AwayError:
            return await self._join(product_id, "bypass")
        if held is None:
            return await self._join(product_id, "miss")
        self._reads.labels(outcome="hit").inc()
        if held.fresh_until_ms < _now_ms() and product_id not in self._flights:
            self._launch(product_id, self._refresh(product_id, held.entry))
        return held.entry

    async def mark_changing(self, product_id: UUID, version: int) -> None:
        """Before the commit of `version`: from now on no older one is answered from Redis."""
        try:
            await self._breaker.call(lambda: self._entries.mark(product_id, version))
        except AwayError:
            self._remember(product_id, version)

    async def changed(self, product_id: UUID, entry: Entry) -> None:
        """After the commit of `entry`. Who asks from now on does not join a load from before it."""
        self._flights.pop(product_id, None)
        await self._put(product_id, entry)

    async def run(self) -> None:
        """Tell Redis what it missed as soon as it is back, also when nobody reads."""
        while True:
            await self._has_untold.wait()
            while self._untold:
                await asyncio.sleep(max(self._breaker.pause_seconds, _LOOK_SECONDS))
                with contextlib.suppress(AwayError):
                    await self._breaker.call(self._tell)
            self._has_untold.clear()

    async def close(self) -> None:
        """Give up what is being loaded."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _join(self, product_id: UUID, outcome: Outcome) -> Entry | None:
        flight = self._flights.get(product_id)
        if flight is not None:
            outcome = "coalesced"
        else:
            loading = self._load(product_id) if outcome == "bypass" else self._load_alone(product_id)
            flight = self._launch(product_id, loading)
        self._reads.labels(outcome=outcome).inc()
        # Shielded: one that goes away must not take the load from the others.
        return await asyncio.shield(flight)

    def _launch(self, product_id: UUID, work: Awaitable[Entry | None]) -> asyncio.Task[Entry | None]:
        flight = asyncio.ensure_future(work)
        assert isinstance(flight, asyncio.Task)  # noqa: S101 - each `work` is a coroutine
        self._flights[product_id] = flight
        flight.add_done_callback(lambda done: self._landed(product_id, done))
        return flight

    def _landed(self, product_id: UUID, flight: asyncio.Task[Entry | None]) -> None:
        if self._flights.get(product_id) is flight:
            del self._flights[product_id]
        if not flight.cancelled():
            flight.exception()  # those who wait have it; when all have gone, nobody has to be told

    async def _load_alone(self, product_id: UUID) -> Entry | None:
        """Load unless another pod does, whose result is then taken."""
        try:
            held, is_claimed = await self._claim_or_find(product_id)
        except AwayError:
            return await self._load(product_id)
        if held is not None:
            return held.entry
        if not is_claimed:
            return await self._load_and_put(product_id)
        try:
            return await self._load_and_put(product_id)
        finally:
            await self._release(product_id)

    async def _claim_or_find(self, product_id: UUID) -> tuple[Held | None, bool]:
        """What another pod has put, or whether the claim was had; neither after waiting long enough."""
        for _ in range(_LOOKS):
            is_claimed = await self._breaker.call(lambda: self._entries.claim(product_id))
            # Also with the claim: its last owner may have put an entry between our look and this.
            held = await self._breaker.call(lambda: self._entries.get(product_id))
            if is_claimed and held is not None:
                await self._release(product_id)
            if is_claimed or held is not None:
                return held, is_claimed
            await asyncio.sleep(_LOOK_SECONDS)
        return None, False

    async def _refresh(self, product_id: UUID, old: Entry) -> Entry | None:
        """Load anew in the background; `old` goes on serving if that is not possible."""
        try:
            if not await self._breaker.call(lambda: self._entries.claim(product_id)):
                return old
        except AwayError:
            return old
        try:
            return await self._load_and_put(product_id)
        finally:
            await self._release(product_id)

    async def _load_and_put(self, product_id: UUID) -> Entry | None:
        entry = await self._load(product_id)
        if entry is not None:
            await self._put(product_id, entry)
        return entry

    async def _put(self, product_id: UUID, entry: Entry) -> None:
        fresh = self._fresh_seconds() * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load
        until_ms = _now_ms() + int(fresh * 1000)
        try:
            stored = await self._breaker.call(
                lambda: self._entries.put(
                    product_id, entry, fresh_until_ms=until_ms, keep_seconds=fresh * _KEEP
                )
            )
        except AwayError:
            self._writes.labels(outcome="failed").inc()
        else:
            self._writes.labels(outcome="stored" if stored else "superseded").inc()

    async def _release(self, product_id: UUID) -> None:
        # Without Redis it runs out by itself.
        with contextlib.suppress(AwayError):
            await self._breaker.call(lambda: self._entries.release(product_id))

    def _remember(self, product_id: UUID, version: int) -> None:
        now = time.monotonic()
        # By then every entry that was put before has run out.
        until = now + self._fresh_seconds() * (1 + _JITTER) * _KEEP
        for known, (_, end) in list(self._untold.items()):
            if end > now:
                break
            del self._untold[known]
        self._untold.pop(product_id, None)
        self._untold[product_id] = (version, until)
        self._has_untold.set()

    async def _tell(self) -> None:
        now = time.monotonic()
        for product_id, (version, until) in list(self._untold.items()):
            if until > now:
                await self._entries.mark(product_id, version)
            if self._untold.get(product_id) == (version, until):
                del self._untold[product_id]


def _now_ms() -> int:
    return int(time.time() * 1000)
