"""The cache among many readers, several pods, and a Redis that goes away, hangs and comes back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from mambogo_chassis.metrics import Metrics
from mambogo_chassis.redis import RedisSettings, connect
from mambogo_testkit.dependencies.redis import RedisServer, RedisSpace
from support.data import eventually

from catalogue_support import redis_settings
from mambogo_product.adapters.cache import ProductCache
from mambogo_product.adapters.entries import Entries, Entry

PRODUCT = uuid4()


class Store:
    """The database behind the caches: versions by product, loads counted, and a gate that can hold them."""

    def __init__(self) -> None:
        self.versions: dict[UUID, int] = {PRODUCT: 1}
        self.loads: Counter[UUID] = Counter()
        self.open = asyncio.Event()
        self.open.set()
        self.failure: Exception | None = None

    async def loading(self, loads: int = 1) -> None:
        """Wait until the product is or was loaded for the `loads`th time."""

        async def is_so() -> bool:
            return self.loads[PRODUCT] >= loads

        await eventually(f"load {loads}", is_so)

    async def load(self, product_id: UUID) -> Entry | None:
        self.loads[product_id] += 1
        version = self.versions.get(product_id)
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return entry(version) if version is not None else None


class Pod:
    """One process's cache."""

    def __init__(self, cache: ProductCache, metrics: Metrics) -> None:
        self.cache = cache
        self._metrics = metrics

    def reads(self, outcome: str) -> float:
        value = self._metrics.registry.get_sample_value("product_cache_reads_total", {"outcome": outcome})
        assert value is not None
        return value

    async def version(self, product_id: UUID = PRODUCT) -> int | None:
        found = await self.cache.get(product_id)
        return found.version if found is not None else None

    async def change(self, store: Store, version: int, product_id: UUID = PRODUCT) -> None:
        """What `catalogue.replace` does around its commit."""
        await self.cache.mark_changing(product_id, version)
        store.versions[product_id] = version
        await self.cache.changed(product_id, entry(version))


Start = Callable[..., Pod]


def entry(version: int) -> Entry:
    return Entry(version, b'{"version":%d}' % version)


@asynccontextmanager
async def pods(store: Store, space: RedisSpace, *, timeout_seconds: float = 10) -> AsyncIterator[Start]:
    """Starts caches on one Redis, each with a client of its own."""
    made: list[tuple[ProductCache, Entries, asyncio.Task[None]]] = []
    clients = []

    def start(*, fresh_seconds: float = 60) -> Pod:
        used = RedisSettings(
            **redis_settings(space),
            redis_timeout_seconds=timeout_seconds,
            redis_connect_timeout_seconds=timeout_seconds,
            redis_pool_wait_seconds=timeout_seconds,
        )
        client = connect(used)
        clients.append(client)
        metrics = Metrics()
        entries = Entries(client)
        cache = ProductCache(entries, store.load, fresh_seconds=lambda: fresh_seconds, metrics=metrics)
        made.append((cache, entries, asyncio.create_task(cache.run())))
        return Pod(cache, metrics)

    try:
        yield start
    finally:
        for cache, _, telling in made:
            telling.cancel()
            await cache.close()
        for client in clients:
            await client.aclose(close_connection_pool=True)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def start(store: Store, redis_space: RedisSpace) -> AsyncIterator[Start]:
    async with pods(store, redis_space) as start:
        yield start


@pytest.fixture
async def start_own(store: Store, own_redis: RedisServer) -> AsyncIterator[Start]:
    """With a Redis that the test may stop: it then refuses at once."""
    with own_redis.space() as space:
        async with pods(store, space) as start:
            yield start


@pytest.fixture
async def start_impatient(store: Store, own_redis: RedisServer) -> AsyncIterator[Start]:
    """With a Redis that the test may let hang."""
    with own_redis.space() as space:
        async with pods(store, space, timeout_seconds=0.5) as start:
            yield start


async def test_the_second_read_comes_from_redis(start: Start, store: Store) -> None:
    pod = start()
    assert [await pod.version(), await pod.version()] == [1, 1]
    assert store.loads[PRODUCT] == 1
    assert (pod.reads("miss"), pod.reads("hit")) == (1, 1)


async def test_what_does_not_exist_is_not_there(start: Start, store: Store) -> None:
    assert await start().version(uuid4()) is None


async def test_a_crowd_in_one_process_loads_once(start: Start, store: Store) -> None:
    pod = start()
    assert await asyncio.gather(*(pod.version() for _ in range(300))) == [1] * 300
    assert store.loads[PRODUCT] == 1


async def test_a_crowd_in_several_pods_loads_once(start: Start, store: Store) -> None:
    several = [start() for _ in range(5)]
    store.open.clear()
    reading = [asyncio.create_task(pod.version()) for pod in several for _ in range(20)]

    await store.loading()
    store.open.set()
    assert await asyncio.gather(*reading) == [1] * 100
    assert store.loads[PRODUCT] == 1


async def test_a_pod_that_loads_for_ever_does_not_hold_the_others_up(
    start: Start, store: Store, redis_space: RedisSpace
) -> None:
    hanging, other = start(), start()
    store.open.clear()
    first = asyncio.create_task(hanging.version())

    await store.loading()
    elsewhere = Store()
    async with pods(elsewhere, redis_space) as start_elsewhere:
        assert await start_elsewhere().version() == 1
    assert not first.done()
    store.open.set()
    assert [await first, await other.version()] == [1, 1]


async def test_one_that_goes_away_leaves_the_load_to_the_others(start: Start, store: Store) -> None:
    pod = start()
    store.open.clear()
    first, second = asyncio.create_task(pod.version()), asyncio.create_task(pod.version())

    await store.loading()
    first.cancel()
    store.open.set()
    assert await second == 1
    assert store.loads[PRODUCT] == 1


async def test_a_failed_load_is_everybodys_error_and_nobodys_cache(start: Start, store: Store) -> None:
    pod = start()
    store.failure = ConnectionError("no database")
    with pytest.raises(ConnectionError):
        await pod.version()
    store.failure = None
    assert await pod.version() == 1


async def test_a_change_is_seen_at_once_in_every_pod(start: Start, store: Store) -> None:
    writer, reader = start(), start()
    assert await reader.version() == 1
    await writer.change(store, 2)
    assert [await reader.version(), await writer.version()] == [2, 2]
    assert store.loads[PRODUCT] == 1


async def test_a_slow_reader_does_not_put_the_old_version_back(start: Start, store: Store) -> None:
    writer, slow, other = start(), start(), start()
    store.open.clear()
    reading = asyncio.create_task(slow.version())

    await store.loading()
    await writer.change(store, 2)
    store.open.set()
    await reading
    assert await other.version() == 2


async def test_after_a_change_nobody_joins_a_load_from_before_it(start: Start, store: Store) -> None:
    pod = start()
    store.open.clear()
    early = asyncio.create_task(pod.version())

    await store.loading()
    await pod.change(store, 2)
    assert await pod.version() == 2
    store.open.set()
    await early
    assert await pod.version() == 2


async def test_a_writer_that_dies_after_its_commit_leaves_nothing_old_behind(
    start: Start, store: Store
) -> None:
    writer, reader = start(), start()
    assert await reader.version() == 1
    await writer.cache.mark_changing(PRODUCT, 2)
    store.versions[PRODUCT] = 2
    assert await reader.version() == 2


async def test_what_is_no_longer_fresh_is_answered_while_one_loads_it(start: Start, store: Store) -> None:
    several = [start(fresh_seconds=0.001) for _ in range(3)]
    assert await several[0].version() == 1
    # Changed behind the cache's back; kept long enough to be answered from what is held.
    keeper = several[0].cache
    await keeper._entries.put(PRODUCT, entry(1), fresh_until_ms=0, keep_seconds=60)
    store.versions[PRODUCT] = 2
    store.open.clear()
    loads = store.loads[PRODUCT]
    assert [await pod.version() for pod in several for _ in range(10)] == [1] * 30
    await store.loading(loads + 1)
    assert store.loads[PRODUCT] == loads + 1
    store.open.set()

    async def is_new() -> bool:
        return await several[2].version() == 2

    await eventually("the new version", is_new)


async def test_without_redis_reads_go_on(start_own: Start, store: Store, own_redis: RedisServer) -> None:
    pod = start_own()
    own_redis.stop()
    assert [await pod.version() for _ in range(5)] == [1] * 5
    assert pod.reads("bypass") == 5


async def test_without_redis_a_crowd_still_loads_once(
    start_own: Start, store: Store, own_redis: RedisServer
) -> None:
    pod = start_own()
    own_redis.stop()
    await pod.version(uuid4())
    store.open.clear()
    reading = [asyncio.create_task(pod.version()) for _ in range(200)]

    async def all_wait() -> bool:
        return pod.reads("bypass") + pod.reads("coalesced") == 201

    await eventually("all to wait", all_wait)
    store.open.set()
    assert await asyncio.gather(*reading) == [1] * 200
    assert store.loads[PRODUCT] == 1


async def test_a_redis_that_hangs_costs_few_a_timeout(
    start_impatient: Start, store: Store, own_redis: RedisServer
) -> None:
    pod = start_impatient()
    assert await pod.version() == 1
    own_redis.pause()
    try:
        assert [await pod.version() for _ in range(100)] == [1] * 100
        assert pod.reads("bypass") == 100
    finally:
        own_redis.unpause()

    async def is_used_again() -> bool:
        await pod.version()
        return pod.reads("hit") > 0

    await eventually("Redis to be used again", is_used_again)


async def test_when_redis_comes_back_empty_each_product_is_loaded_once(
    start_own: Start, store: Store, own_redis: RedisServer
) -> None:
    several = [start_own() for _ in range(4)]
    products = [uuid4() for _ in range(20)]
    store.versions = dict.fromkeys(products, 1)
    own_redis.kill()
    for pod in several:
        await pod.version(products[0])
    own_redis.start()

    async def all_are_back() -> bool:
        for pod in several:
            await pod.version(products[0])
        return not any(pod.cache.is_away for pod in several)

    await eventually("all pods to use Redis", all_are_back)
    for pod in several:
        await pod.cache._entries._redis.flushdb()
    store.loads.clear()
    crowd = [pod.version(product) for product in products for pod in several for _ in range(5)]
    assert await asyncio.gather(*crowd) == [1] * len(crowd)
    assert store.loads == Counter(products)


async def test_a_change_while_redis_was_away_is_not_answered_old_when_it_is_back(
    start_impatient: Start, store: Store, own_redis: RedisServer
) -> None:
    pod = start_impatient()
    assert await pod.version() == 1
    own_redis.pause()
    try:
        await pod.change(store, 2)
    finally:
        own_redis.unpause()
    other = start_impatient()

    async def everybody_sees_it() -> bool:
        return await other.version() == 2

    await eventually("the other pod to see the change", everybody_sees_it)
    assert await pod.version() == 2
