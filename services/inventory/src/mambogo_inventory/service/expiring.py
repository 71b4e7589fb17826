"""The task that ends reservations whose time is over; any number of pods may run it.

A database that is away only delays it: what is due stays due.
"""

from __future__ import annotations

import asyncio
import logging

from mambogo_chassis.database import Database, DatabaseError

from mambogo_inventory.service.reserving import EXPIRY_BATCH, Reserving

logger = logging.getLogger(__name__)


class Expiring:
    """Looks each `interval_seconds`, and at once again where a full batch was due."""

    def __init__(self, database: Database, reserving: Reserving, *, interval_seconds: float) -> None:
        self._database = database
        self._reserving = reserving
        self._interval_seconds = interval_seconds
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Expire until `stop`."""
        while not self._stop.is_set():
            if await self._round() < EXPIRY_BATCH:
                await self._pause()

    def stop(self) -> None:
        """End after the round that is under way."""
        self._stop.set()

    async def _round(self) -> int:
        try:
            return await self._reserving.expire_due(self._database)
        except DatabaseError as error:
            logger.warning("nothing was expired: %s", error)
            return 0

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), self._interval_seconds)
        except TimeoutError:
            return
