"""Redis while it may be away: an attempt that fails is not repeated by everybody.

After a failure nobody asks for a moment, then one caller does; a Redis that hangs costs that one its timeout
and the others nothing. What is done without Redis is the caller's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from redis.exceptions import RedisError

# The first pause after a failure, doubled with each further one up to the last.
_FIRST_PAUSE_SECONDS: Final = 0.25
_LAST_PAUSE_SECONDS: Final = 2.0
# Commands under way at once. Below the pool's connections: a crowd that waits for one of those must not look
# like a Redis that is away. Few, because each new connection costs several round trips.
_COMMANDS: Final = 16

T = TypeVar("T")
logger = logging.getLogger(__name__)


class AwayError(Exception):
    """Redis did not answer now, or was not asked because it did not a moment ago."""


class Breaker:
    """Runs commands while Redis is there. `before_return` runs first of all once it is back."""

    def __init__(
        self, before_return: Callable[[], Awaitable[None]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._before_return = before_return
        self._clock = clock
        self._pause = _FIRST_PAUSE_SECONDS
        self._retry_at = 0.0
        self._is_trying = False
        self._slots = asyncio.Semaphore(_COMMANDS)
        self.is_away = False

    @property
    def pause_seconds(self) -> float:
        """How long until somebody may ask again."""
        return max(self._retry_at - self._clock(), 0.0)

    async def call(self, command: Callable[[], Awaitable[T]]) -> T:
        """What the command returns. Raises AwayError."""
        if self.is_away:
            return await self._try(command)
        async with self._slots:
            if self.is_away:
                raise AwayError("went away while others were asking")
            return await self._run(command)

    async def _try(self, command: Callable[[], Awaitable[T]]) -> T:
        if self._is_trying or self._clock() < self._retry_at:
            raise AwayError("not asked")
        self._is_trying = True
        try:
            await self._run(self._before_return)
            answer = await self._run(command)
        finally:
            self._is_trying = False
        logger.info("Redis is back")
        self.is_away = False
        self._pause = _FIRST_PAUSE_SECONDS
        return answer

    async def _run(self, command: Callable[[], Awaitable[T]]) -> T:
        try:
            return await command()
        except RedisError as error:
            self._note(error)
            raise AwayError(str(error)) from error

    def _note(self, error: RedisError) -> None:
        if not self.is_away:
            logger.warning("going on without Redis: %s: %s", type(error).__name__, error)
        # Several commands that were under way together are one failure.
        if not self.is_away or self._is_trying:
            self._retry_at = self._clock() + self._pause
            self._pause = min(self._pause * 2, _LAST_PAUSE_SECONDS)
        self.is_away = True
