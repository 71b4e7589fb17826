"""A rate limit by key: spends leased tokens without I/O, leases more in the background, falls back to
itself.

Each key has a small local stock. When it runs low, a lease for all such keys goes to the store in one
round trip. The first requests of an unknown key are admitted on credit (at most one lease) instead of
waiting; the next lease pays that debt. While the store is away each process grants `fallback_share` of the
limit by itself.

Overshoot. With G gateway processes, lease L, limit r per second and burst B, in any t seconds a key gets
at most B + r*t + G*L requests: the last term is credit that another process could not know of. While the
store is away: G * fallback_share * (B + r*t), plus what was leased before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from mambogo_gateway.config import RateLimit
from mambogo_gateway.limits.store import LeaseRequest, LimiterStore, StoreUnavailableError

# A lease that is not spent after this long is forgotten: its key went quiet, or is served by other gateways
# now.
_LEASE_LIFETIME_SECONDS: Final = 2.0
# How long the store is left alone after a failure.
_RETRY_SECONDS: Final = 1.0
# About 200 bytes each; beyond it the stocks of quiet keys are dropped early.
_MAX_STOCKS: Final = 50_000

# "Not known yet" as an answer of `take`.
PENDING: Final = -1.0


class _Stock:
    """The local tokens of one key."""

    __slots__ = ("deadline", "leasing", "owed", "refilled_at", "tokens", "wait_until")

    def __init__(self, now: float, fallback_tokens: float) -> None:
        self.tokens = 0
        self.owed = 0
        self.leasing = False
        self.wait_until = 0.0
        self.deadline = now + _LEASE_LIFETIME_SECONDS
        self.refilled_at = now - fallback_tokens


class Limiter:
    """One limit, applied per key."""

    def __init__(
        self,
        *,
        name: bytes,
        limit: RateLimit,
        lease_tokens: int,
        fallback_share: float,
        store: LimiterStore,
        clock: Callable[[], float],
    ) -> None:
        self._prefix = name
        self._limit = limit
        self._lease = max(1, min(lease_tokens, limit.burst))
        self._low_water = self._lease // 2
        self._store = store
        self._clock = clock
        self._fallback_rate = limit.per_second * fallback_share
        self._fallback_burst = max(1.0, limit.burst * fallback_share)
        self._stocks: dict[bytes, _Stock] = {}
        self._wanting: list[bytes] = []
        self._task: asyncio.Task[None] | None = None
        self._away_until = 0.0
        self.store_failures = 0

    @property
    def is_local(self) -> bool:
        """Whether the store is away, so that this process limits by itself."""
        return self._away_until > 0.0

    def take(self, key: bytes, now: float) -> float:
        """Spend one token of `key`: 0.0 when it was there, else the seconds until one may be.

        PENDING when a lease is on its way that will decide: await `settled`, then ask again.
        """
        stock = self._stocks.get(key)
        if stock is None:
            stock = self._add(key, now)
        if self._away_until > 0.0:
            return self._take_locally(stock, key, now)
        if stock.tokens > 0:
            stock.tokens -= 1
            if stock.tokens < self._low_water and not stock.leasing:
                self._want(key, stock)
            return 0.0
        if now < stock.wait_until:
            return stock.wait_until - now
        if not stock.leasing:
            self._want(key, stock)
        if stock.owed < self._lease:
            stock.owed += 1
            return 0.0
        return PENDING

    async def settled(self) -> None:
        """Wait until the leases that are on their way have landed."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def _take_locally(self, stock: _Stock, key: bytes, now: float) -> float:
        """A bucket kept as the time since when it has been filling."""
        if now >= self._away_until and not stock.leasing:
            self._want(key, stock)
        filled = min((now - stock.refilled_at) * self._fallback_rate, self._fallback_burst)
        if filled < 1.0:
            return (1.0 - filled) / self._fallback_rate
        stock.refilled_at = now - (filled - 1.0) / self._fallback_rate
        return 0.0

    def _add(self, key: bytes, now: float) -> _Stock:
        if len(self._stocks) >= _MAX_STOCKS:
            self._stocks = {kept: stock for kept, stock in self._stocks.items() if stock.leasing}
        stock = self._stocks[key] = _Stock(now, self._fallback_burst / self._fallback_rate)
        return stock

    def sweep(self, now: float) -> None:
        """Give unspent leases back and forget stocks that were not used for a while; about once a second.

        Without giving back, a user far below the limit could lose whole leases and be refused.
        """
        refill_seconds = self._fallback_burst / self._fallback_rate
        for key, stock in list(self._stocks.items()):
            if stock.deadline > now or stock.leasing:
                continue
            stock.owed -= stock.tokens
            stock.tokens = 0
            if stock.owed:
                self._want(key, stock)
            elif now - stock.refilled_at >= refill_seconds:
                del self._stocks[key]

    def _want(self, key: bytes, stock: _Stock) -> None:
        stock.leasing = True
        self._wanting.append(key)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._lease_all())

    async def _lease_all(self) -> None:
        """Lease for every key that wants tokens, until none does."""
        try:
            while self._wanting:
                keys, self._wanting = self._wanting, []
                await self._lease_batch(keys)
        finally:
            self._task = None

    async def _lease_batch(self, keys: list[bytes]) -> None:
        stocks = [self._stocks[key] for key in keys]
        owed = [stock.owed for stock in stocks]
        requests = [
            LeaseRequest(
                key=self._prefix + key,
                wanted=self._lease if debt >= 0 else 0,
                owed=debt,
                per_second=self._limit.per_second,
                burst=self._limit.burst,
            )
            for key, debt in zip(keys, owed, strict=True)
        ]
        try:
            leases = await self._store.lease(requests)
        except StoreUnavailableError:
            self.store_failures += 1
            self._away_until = self._clock() + _RETRY_SECONDS
            for stock in stocks:
                stock.leasing = False
            return
        self._away_until = 0.0
        now = self._clock()
        for stock, lease, debt in zip(stocks, leases, owed, strict=True):
            given_back = debt < 0
            stock.leasing = False
            stock.tokens += lease.granted
            stock.owed -= debt
            stock.deadline = now + _LEASE_LIFETIME_SECONDS
            if not lease.granted and not given_back:
                stock.wait_until = now + lease.wait_seconds
