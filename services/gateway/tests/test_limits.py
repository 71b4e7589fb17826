"""Rate limits: what is leased, what is spent on credit, what happens without Redis, and the stated
overshoot.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest
from redis_process import redis_process
from rig import configuration, eventually, fixed_answer, get, ok, rig, run

from mambogo_gateway.config import RateLimit
from mambogo_gateway.limits.limiter import Limiter
from mambogo_gateway.limits.redis_store import RedisLimiterStore
from mambogo_gateway.limits.store import Lease, LeaseRequest, LimiterStore, StoreUnavailableError


@contextlib.asynccontextmanager
async def shared_buckets(port: int) -> AsyncIterator[RedisLimiterStore]:
    """The store of production on a server of the test's own."""
    store = RedisLimiterStore(f"redis://127.0.0.1:{port}/0")
    try:
        yield store
    finally:
        store.close()


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


class SharedBuckets:
    """The LimiterStore's contract in memory, on the test's clock; Redis passes the same test."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[bytes, tuple[float, float]] = {}
        self.away = False
        self.round_trips = 0

    async def lease(self, requests: Sequence[LeaseRequest]) -> Sequence[Lease]:
        """Grant from the buckets."""
        self.round_trips += 1
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailableError("away")
        return [self._lease(request) for request in requests]

    def _lease(self, request: LeaseRequest) -> Lease:
        tokens, at = self._buckets.get(request.key, (float(request.burst), self._clock.now))
        tokens = min(request.burst, tokens + (self._clock.now - at) * request.per_second)
        tokens = min(request.burst, tokens - request.owed)
        granted = max(0, min(request.wanted, int(tokens // 1)))
        tokens -= granted
        self._buckets[request.key] = (tokens, self._clock.now)
        return Lease(granted, max(0.0, 1 - tokens) / request.per_second)


def limiter(
    store: LimiterStore, clock: Clock, *, per_second: float = 10, burst: int = 20, lease: int = 5
) -> Limiter:
    """A limiter with small numbers."""
    return Limiter(
        name=b"user:",
        limit=RateLimit(per_second=per_second, burst=burst),
        lease_tokens=lease,
        fallback_share=0.5,
        store=store,
        clock=clock,
    )


async def spend(limiters: list[Limiter], clock: Clock, *, seconds: float, per_second: int) -> int:
    """Ask evenly for some time, at every limiter in turn; how many were admitted."""
    admitted = 0
    for number in range(int(seconds * per_second)):
        clock.now += 1 / per_second
        admitted += limiters[number % len(limiters)].take(b"alice", clock.now) == 0.0
        for _ in range(3):
            await asyncio.sleep(0)
        if number % per_second == 0:
            for one in limiters:
                one.sweep(clock.now)
    return admitted


@pytest.mark.parametrize("gateways", [1, 2, 5])
@pytest.mark.parametrize("per_second", [50, 1000])
def test_the_overshoot_is_at_most_what_is_stated(gateways: int, per_second: int) -> None:
    async def test() -> None:
        clock = Clock()
        store = SharedBuckets(clock)
        limiters = [limiter(store, clock) for _ in range(gateways)]
        admitted = await spend(limiters, clock, seconds=10, per_second=per_second)
        assert admitted <= 20 + 10 * 10 + gateways * 5
        assert admitted >= (20 + 10 * 10) * 0.9 - gateways * 5

    run(test())


def test_a_user_below_the_limit_is_never_refused() -> None:
    async def test() -> None:
        clock = Clock()
        limiters = [limiter(SharedBuckets(clock), clock, per_second=1, burst=20, lease=10) for _ in range(1)]
        for _ in range(200):
            clock.now += 1.25
            assert limiters[0].take(b"bob", clock.now) == 0.0
            for _ in range(3):
                await asyncio.sleep(0)
            limiters[0].sweep(clock.now)
            for _ in range(3):
                await asyncio.sleep(0)

    run(test())


def test_users_do_not_share_a_bucket() -> None:
    async def test() -> None:
        clock = Clock()
        one = limiter(SharedBuckets(clock), clock)
        for _ in range(100):
            spent = one.take(b"greedy", clock.now) != 0.0
            await asyncio.sleep(0)
        assert spent
        assert one.take(b"modest", clock.now) == 0.0

    run(test())


def test_without_the_store_each_process_grants_its_share() -> None:
    async def test() -> None:
        clock = Clock()
        store = SharedBuckets(clock)
        store.away = True
        one = limiter(store, clock)
        admitted = await spend([one], clock, seconds=10, per_second=100)
        assert one.is_local
        share = 0.5 * (20 + 10 * 10)
        assert share * 0.9 <= admitted <= share + 5 + 1

    run(test())


def test_the_store_is_not_asked_on_every_request_while_it_is_away() -> None:
    async def test() -> None:
        clock = Clock()
        store = SharedBuckets(clock)
        store.away = True
        await spend([limiter(store, clock)], clock, seconds=10, per_second=500)
        assert store.round_trips <= 25

    run(test())


def test_when_the_store_is_back_it_decides_again() -> None:
    async def test() -> None:
        clock = Clock()
        store = SharedBuckets(clock)
        store.away = True
        one = limiter(store, clock)
        await spend([one], clock, seconds=3, per_second=100)
        store.away = False
        await spend([one], clock, seconds=3, per_second=100)
        assert not one.is_local

    run(test())


def test_most_requests_cost_no_round_trip() -> None:
    async def test() -> None:
        clock = Clock()
        store = SharedBuckets(clock)
        one = limiter(store, clock, per_second=10_000, burst=1000, lease=100)
        assert await spend([one], clock, seconds=2, per_second=1000) == 2000
        assert store.round_trips <= 60

    run(test())


@pytest.mark.redis
def test_redis_and_memory_agree() -> None:
    async def test() -> None:
        async with contextlib.AsyncExitStack() as opened:
            server = opened.enter_context(redis_process())
            store = await opened.enter_async_context(shared_buckets(server.port))
            memory = SharedBuckets(Clock())
            # A rate this low makes the time that passes during the test irrelevant.
            for wanted, owed in ((5, 0), (5, 0), (3, 9), (5, 0), (0, -4), (5, 0), (1, 0)):
                request = LeaseRequest(key=b"k", wanted=wanted, owed=owed, per_second=0.0001, burst=20)
                (real,) = await store.lease([request])
                (fake,) = await memory.lease([request])
                assert real.granted == fake.granted
                assert abs(real.wait_seconds - fake.wait_seconds) < 0.01 * fake.wait_seconds + 1

    run(test())


@pytest.mark.redis
def test_a_stopped_redis_is_reported_in_time_and_comes_back() -> None:
    async def test() -> None:
        async with contextlib.AsyncExitStack() as opened:
            server = opened.enter_context(redis_process())
            store = await opened.enter_async_context(shared_buckets(server.port))
            request = LeaseRequest(key=b"k", wanted=5, owed=0, per_second=10, burst=20)
            assert (await store.lease([request]))[0].granted == 5
            server.stop()
            with pytest.raises(StoreUnavailableError):
                await store.lease([request])
            server.start()
            assert (await store.lease([request]))[0].granted == 5

    run(test())


@pytest.mark.redis
def test_at_the_door_too_many_requests_get_a_429_and_losing_redis_loses_none() -> None:
    async def test() -> None:
        async with contextlib.AsyncExitStack() as opened:
            server = opened.enter_context(redis_process())
            store = await opened.enter_async_context(shared_buckets(server.port))
            config = configuration(
                limits={
                    "per_user": {"per_second": 0.01, "burst": 20},
                    "lease_tokens": 5,
                    "fallback_share": 1.0,
                }
            )
            async with rig(fixed_answer(ok(b"x")), config=config, store=store) as it:
                client = await it.client()
                raw = get("/api/items", "Authorization: Bearer user-1")
                answers = [await client.ask(raw) for _ in range(40)]
                admitted = sum(answer.status == 200 for answer in answers)
                assert 20 <= admitted <= 25
                assert answers[-1].status == 429
                assert answers[-1].field("Retry-After") is not None
                server.stop()
                other = get("/api/items", "Authorization: Bearer user-2")
                statuses = [(await client.ask(other)).status for _ in range(15)]
                assert statuses == [200] * 15
                limiter = it.gateway.user_limiter
                assert limiter is not None
                await eventually(lambda: limiter.is_local)

    run(test())


@pytest.mark.redis
def test_addresses_are_limited_only_where_the_edge_vouches() -> None:
    async def test() -> None:
        async with contextlib.AsyncExitStack() as opened:
            server = opened.enter_context(redis_process())
            store = await opened.enter_async_context(shared_buckets(server.port))
            limits = {"per_address": {"per_second": 0.01, "burst": 5}, "lease_tokens": 1}
            forwarded = get("/api/items", "X-Forwarded-For: 203.0.113.7")
            for edges, limited in (((), False), (("127.0.0.0/8",), True)):
                config = configuration(limits={**limits, "trusted_edges": edges})
                async with rig(fixed_answer(ok(b"x")), config=config, store=store) as it:
                    client = await it.client()
                    statuses = {(await client.ask(forwarded)).status for _ in range(30)}
                    assert (429 in statuses) is limited

    run(test())
