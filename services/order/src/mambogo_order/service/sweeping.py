"""The sweeper: no acknowledged order waits for ever.

Runs in every pod; SKIP LOCKED shares the work out. An order that is due gets its event sent again under its
next sequence, which consumers answer with the outcome that they have; past the bound it is cancelled, and
compensation runs. When that is, is decided in `domain.sweeping`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import psycopg

from mambogo_chassis import failpoints
from mambogo_chassis.database import Connection, Database, DatabaseError
from mambogo_chassis.events import Outbox
from mambogo_order.adapters import orders
from mambogo_order.adapters.events import event_of
from mambogo_order.adapters.metrics import OrderMetrics
from mambogo_order.domain.moving import GivenUp
from mambogo_order.domain.sweeping import Action, action, next_look
from mambogo_order.service.moving import Applied, Mover
from mambogo_order.settings import OrderSettings

logger = logging.getLogger(__name__)


class Sweeper:
    """One pod's sweeper; `run` is a supervised task."""

    def __init__(
        self,
        database: Database,
        *,
        mover: Mover,
        outbox: Outbox,
        metrics: OrderMetrics,
        settings: Callable[[], OrderSettings],
    ) -> None:
        self._database = database
        self._mover = mover
        self._outbox = outbox
        self._metrics = metrics
        self._settings = settings
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Sweep until `stop`. Survives any absence of the database."""
        while not self._stopping.is_set():
            settings = self._settings()
            try:
                swept = await self.sweep()
            # psycopg's own errors too: a table that the migration Job has yet to make is no reason to die.
            except (DatabaseError, psycopg.Error, failpoints.InjectedError) as error:
                logger.warning("the sweep failed: %s", error)
                swept = 0
            if swept < settings.sweep_batch_orders:
                await self._pause(settings.sweep_interval_seconds)

    def stop(self) -> None:
        """End after the batch that is under way."""
        self._stopping.set()

    async def sweep(self) -> int:
        """One batch in one transaction; how many orders were due."""
        done: list[tuple[Action, Applied]] = []
        async with self._database.transaction() as connection:
            for due in await orders.due(connection, self._settings().sweep_batch_orders):
                done.append(await self._drive_on(connection, due))
            await failpoints.reach("sweeper.swept")
        await failpoints.reach("sweeper.committed")
        for what, applied in done:
            self._metrics.swept(what)
            if applied.is_new:
                self._metrics.moved(applied.before, applied.order)
                logger.warning("order %s is given up", applied.order.order_id)
        return len(done)

    async def _drive_on(self, connection: Connection, due: orders.Due) -> tuple[Action, Applied]:
        what = action(due.order.placed_at, due.now, self._settings().patience)
        if what is Action.GIVE_UP:
            return what, await self._mover.apply(connection, due.order, GivenUp())
        return what, await self._repeat(connection, due)

    async def _repeat(self, connection: Connection, due: orders.Due) -> Applied:
        order = due.order
        again_at = next_look(order.placed_at, due.now, due.resends + 1, self._settings().patience)
        again = await orders.repeat(connection, order.order_id, again_at)
        event = event_of(again, await orders.lines(connection, order.order_id))
        await self._outbox.append(connection, event, subject=str(order.order_id))
        return Applied(again, order.state)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
