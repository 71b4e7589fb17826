"""Shared token buckets in Redis: one script call per key, all keys of a round trip in one pipeline.

Redis' own clock is used, so that gateways need not agree on the time. Redis 7 replicates a script by its
effects, so reading the clock inside it is safe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

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

    def __init__(self, redis: Redis, *, prefix: str = "gateway:limit:") -> None:
        self._redis = redis
        self._prefix = prefix.encode()

    async def lease(self, requests: Sequence[LeaseRequest]) -> Sequence[Lease]:
        """One round trip for all of `requests`."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), self._redis.pipeline(transaction=False) as pipeline:
                for request in requests:
                    pipeline.eval(
                        _SCRIPT,
                        1,
                        self._prefix + request.key,
                        request.per_second,
                        request.burst,
                        request.wanted,
                        request.owed,
                    )
                answers = await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailableError(f"Redis did not lease: {error!r}") from error
        return [Lease(int(granted), int(wait_ms) / 1000) for granted, wait_ms in answers]

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
