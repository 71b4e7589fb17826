"""What lies in Redis under a product's key: a version, until when it is fresh, and the body of the answer.

An entry never gives way to an older version, so a reader that was slow cannot put back what a writer has
changed meanwhile. A writer marks the product as changing *before* it commits: an entry of the next version
without a body. If it dies then, readers find the mark instead of the old version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast
from uuid import UUID

from mambogo_chassis.redis import Redis

# A mark outlives the writer's transaction (5 s) and, after its commit, any reader's load (5 s) that began
# before it.
MARK_SECONDS: Final = 15.0
# How long the one who loads keeps other pods waiting at most; a load is a read by primary key.
CLAIM_SECONDS: Final = 2.0

_PUT: Final = """
local held = redis.call('GET', KEYS[1])
if held and tonumber(string.match(held, '^%d+')) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of a product as it is answered."""

    version: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """What Redis holds: an entry, and until when (Unix time, ms) nobody has to look whether it is current."""

    entry: Entry
    fresh_until_ms: int


class Entries:
    """The commands; each raises redis-py's errors."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._put: Any = redis.register_script(_PUT)

    async def get(self, product_id: UUID) -> Held | None:
        """What is held; None also for a mark, which says that there is something newer to load."""
        # Typed by redis-py as if the client decoded its answers, which this one does not.
        held = cast("bytes | None", await self._redis.get(_key(product_id)))
        if held is None:
            return None
        head, _, body = held.partition(b"\n")
        if not body:
            return None
        version, _, fresh_until_ms = head.partition(b" ")
        return Held(Entry(int(version), body), int(fresh_until_ms))

    async def put(self, product_id: UUID, entry: Entry, *, fresh_until_ms: int, keep_seconds: float) -> bool:
        """Hold `entry` unless something newer is held; whether it is."""
        value = b"%d %d\n%b" % (entry.version, fresh_until_ms, entry.body)
        return await self._write(product_id, entry.version, value, keep_seconds)

    async def mark(self, product_id: UUID, version: int) -> None:
        """Say that `version` is about to be there."""
        await self._write(product_id, version, b"%d 0\n" % version, MARK_SECONDS)

    async def claim(self, product_id: UUID) -> bool:
        """Whether the caller, of all pods, is the one to load the product."""
        return bool(await self._redis.set(_claim(product_id), b"1", nx=True, px=_ms(CLAIM_SECONDS)))

    async def release(self, product_id: UUID) -> None:
        """Let others load it; a claim that ran out may be somebody else's, who then is not alone."""
        await self._redis.delete(_claim(product_id))

    async def _write(self, product_id: UUID, version: int, value: bytes, seconds: float) -> bool:
        return bool(await self._put(keys=[_key(product_id)], args=[version, value, _ms(seconds)]))


def _key(product_id: UUID) -> str:
    return f"product:{product_id}"


def _claim(product_id: UUID) -> str:
    return f"product:{product_id}:loading"


def _ms(seconds: float) -> int:
    return max(int(seconds * 1000), 1)
