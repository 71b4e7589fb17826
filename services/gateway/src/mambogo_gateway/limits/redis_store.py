"""Shared token buckets in Redis: one script call per key, all keys of a round trip in one pipeline.

Redis' own clock is used, so that gateways need not agree on the time. Redis 7 replicates a script by its
effects, so reading the clock inside it is safe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from mambogo_gateway.limits.redis_connection import RedisConnection, RedisConnectionError
from mambogo_gateway.limits.store import Lease, LeaseRequest, StoreUnavailableError

# A limiter that waits longer than this for Redis is worse off than with its own buckets.
TIMEOUT_SECONDS: Final = 0.25

# ARGV: tokens per second, burst, wanted, owed. A debt may take the bucket below zero; a grant may not.
_SCRIPT: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local wanted, owed = tonumber(ARGV[3]), tonumber(ARGV[4])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(state[1]) or burst
local at = tonumber(state[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) * rate)
tokens = math.min(burst, tokens - owed)
local granted = math.max(0, math.min(wanted, math.floor(tokens)))
tokens = tokens - granted
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', tostring(now))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - tokens) / rate * 1000) + 1000)
return {granted, math.ceil(math.max(0, 1 - tokens) / rate * 1000)}
"""


class RedisLimiterStore:
    """The LimiterStore of production."""

    def __init__(self, url: str, *, prefix: str = "gateway:limit:") -> None:
        self._connection = RedisConnection(url)
        self._prefix = prefix.encode()
        # A second limiter's leases must not be read as the first's.
        self._turn = asyncio.Lock()

    async def lease(self, requests: Sequence[LeaseRequest]) -> Sequence[Lease]:
        """One round trip for all of `requests`."""
        commands = [
            (
                *("EVAL", _SCRIPT, 1, self._prefix + request.key),
                *(request.per_second, request.burst, request.wanted, request.owed),
            )
            for request in requests
        ]
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), self._turn:
                answers = await self._connection.execute(commands)
        except (RedisConnectionError, TimeoutError) as error:
            raise StoreUnavailableError(f"Redis did not lease: {error!r}") from error
        return [_lease(answer) for answer in answers]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _lease(answer: object) -> Lease:
    match answer:
        case [int(granted), int(wait_ms)]:
            return Lease(granted, wait_ms / 1000)
        case _:
            raise StoreUnavailableError(f"Redis answered {answer!r} to a lease")
