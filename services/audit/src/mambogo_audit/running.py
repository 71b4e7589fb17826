"""One run: stock up, let shoppers buy while processes die, calm down, and audit what is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from rehearsal.chaos.proving.audit import Audit, audit
from rehearsal.chaos.proving.collecting import collect
from rehearsal.chaos.proving.operations import operations_of
from rehearsal.chaos.settling import settle
from rehearsal.shop.history import History, read

from mambogo_audit.administering import Administrator, session
from mambogo_audit.collecting import PartsSource
from mambogo_audit.killing import FAILPOINTS, Deaths
from mambogo_audit.parts import Parts
from mambogo_audit.planning import LAST_UNITS, RUSH_EVERY, Stall, scarce_products
from mambogo_audit.shop import Shop
from mambogo_audit.shopping import Market
from mambogo_audit.tree import Tree

# Of quiet before the audit looks: what the invariant of ended orders grants.
QUIET_SECONDS: Final = 62.0
# Further orders, in shares of those that were asked for, while a failpoint has not killed yet.
_MOST: Final = 2


@dataclass(frozen=True, slots=True)
class Options:
    """How many buy how much, and who dies where."""

    orders: int
    clients: int
    seed: int
    places: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: FAILPOINTS)
    passes: tuple[int, int] | None = None
    times: int | None = None
    rush_every: int = RUSH_EVERY
    # Rounds that may follow the first one.
    more_rounds: int = 0


class Rehearsal:
    """A shop with its shoppers; as many rounds as somebody wants."""

    def __init__(self, parts: Parts, tree: Tree, options: Options) -> None:
        self._options = options
        self._parts = parts
        self.deaths = Deaths(options.places)
        self.orders = 0
        self._history_file = parts.folder / "history.jsonl"
        self._shop = Shop(parts, tree, options.seed, self.deaths, passes=options.passes, times=options.times)
        self._stall = Stall((), ())

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """With everything running and stocked."""
        try:
            await self._shop.start()
            rounds = 1 + self._options.more_rounds
            scarce = scarce_products(_MOST * self._options.orders * rounds, self._options.rush_every)
            with History(self._history_file) as history:
                async with session() as http:
                    market = self._market(history)
                    made = await Administrator(market, http, self._options.seed).stock_up(scarce)
            self._stall = Stall(made.plenty, made.scarce, self._options.rush_every)
            yield
        finally:
            await self._shop.close()

    async def round(self) -> None:
        """Orders under kills, until all are placed and each failpoint has killed; then calm."""
        await self._shop.harm()
        end = self.orders + _MOST * self._options.orders
        with History(self._history_file) as history:
            market = self._market(history)
            async with session() as http:
                administrator = Administrator(market, http, self._options.seed + self.orders)
                changing = asyncio.create_task(administrator.run())
                numbers = range(self.orders, self.orders + self._options.orders)
                self.orders += await market.run(
                    numbers,
                    clients=self._options.clients,
                    seed=self._options.seed,
                    more=lambda number: number < end and bool(self.deaths.missing),
                )
                changing.cancel()
                with suppress(asyncio.CancelledError):
                    await changing
        await self._shop.calm()

    async def judge(self, *, whole_quiet: bool) -> Audit:
        """Wait until the shop rests, or for the whole time that orders have to end; then compare."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await settle(PartsSource(self._parts), QUIET_SECONDS)
        if whole_quiet:
            await asyncio.sleep(max(QUIET_SECONDS - (loop.time() - begun), 0))
        quiet_seconds = loop.time() - begun
        ledger = await self._shop.ledger()
        raced = dict.fromkeys(self._stall.scarce, LAST_UNITS)
        snapshot = await asyncio.to_thread(
            collect, PartsSource(self._parts, ledger), quiet_seconds=quiet_seconds, raced=raced
        )
        return audit(operations_of(read(self._history_file)), snapshot)

    def _market(self, history: History) -> Market:
        return Market(self._shop.urls, self._parts.issuer, history, self._stall)
