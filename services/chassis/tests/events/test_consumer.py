"""The consumer on real parts: effect once, dead letters, rewinds, rebalances, stop."""

from __future__ import annotations

import asyncio
import json

import psycopg
from mambogo_testkit.dependencies.kafka import KafkaBroker, TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.postgres import PostgresServer
from prometheus_client import CollectorRegistry

from mambogo_chassis.database import Connection, Database
from mambogo_chassis.events import CloudEvent, EventConsumer, PermanentEventError
from mambogo_chassis.events.redrive import Selection, select, send
from support.data import OrderPlaced, chassis_template, eventually, opened, scalar
from support.pipeline import Pipeline, write_effect


async def test_an_event_takes_effect(pipeline: Pipeline) -> None:
    pipeline.run_consumer()
    pipeline.produce(pipeline.event("o-1"))
    assert await pipeline.await_effects(1) == ["o-1"]


async def test_what_was_produced_before_the_group_existed_takes_effect(pipeline: Pipeline) -> None:
    pipeline.produce(*(pipeline.event(f"o-{number}") for number in range(10)))
    pipeline.run_consumer()
    assert await pipeline.await_effects(10) == [f"o-{number}" for number in range(10)]


async def test_a_duplicate_has_no_effect(pipeline: Pipeline) -> None:
    registry = CollectorRegistry()
    pipeline.run_consumer(pipeline.consumer(registry=registry))
    duplicate = pipeline.event("o-1", event_id="same")
    pipeline.produce(duplicate, duplicate)
    pipeline.produce(duplicate, key=b"another partition")
    pipeline.produce(pipeline.event("o-2"))
    await _await_outcome(registry, pipeline, "duplicate", 2)
    assert sorted(await pipeline.await_effects(2)) == ["o-1", "o-2"]


async def test_order_within_a_partition_is_kept(pipeline: Pipeline) -> None:
    orders = [f"o-{number}" for number in range(1500)]
    pipeline.produce(*(pipeline.event(order) for order in orders))
    pipeline.run_consumer()
    assert await pipeline.await_effects(1500) == orders


async def test_two_groups_take_the_same_event_each_once(pipeline: Pipeline) -> None:
    pipeline.run_consumer()
    pipeline.run_consumer(pipeline.consumer(group=pipeline.group + "-other"))
    pipeline.produce(pipeline.event("o-1"))
    assert await pipeline.await_effects(2) == ["o-1", "o-1"]


async def test_a_stopped_consumer_has_committed_what_it_applied(pipeline: Pipeline) -> None:
    member = pipeline.run_consumer()
    pipeline.produce(*(pipeline.event(f"o-{number}") for number in range(20)))
    await pipeline.await_effects(20)
    await member.stop()
    assert await pipeline.committed_lag() == 0


async def test_a_record_that_is_no_event_becomes_a_dead_letter(pipeline: Pipeline) -> None:
    for value in (b"\x00\xff garbage", b"{}", b"null", None, b"[" * 100_000):
        pipeline.produce(value)
    pipeline.produce(pipeline.event("o-1"))
    await _consume_with_poison(pipeline, dead_letters=5)
    assert await pipeline.effects() == ["o-1"]
    letters = await pipeline.records(pipeline.topic + ".dlt")
    assert [letter.header("dlt-reason") for letter in letters] == ["undecodable"] * 5
    assert letters[0].value == b"\x00\xff garbage"
    assert letters[0].header("dlt-consumer") == pipeline.group


async def test_an_event_of_a_future_version_becomes_a_dead_letter(pipeline: Pipeline) -> None:
    pipeline.produce(_changed(pipeline.event("o-1"), type="com.mambogo.order.placed.v2"))
    await _consume_with_poison(pipeline, dead_letters=1)
    [letter] = await pipeline.records(pipeline.topic + ".dlt")
    assert letter.header("dlt-reason") == "unknown-version"
    assert "com.mambogo.order.placed.v2" in (letter.header("dlt-detail") or "")


async def test_invalid_data_becomes_a_dead_letter_that_does_not_quote_it(pipeline: Pipeline) -> None:
    pipeline.produce(_changed(pipeline.event("o-1"), data={"order_id": "o-1", "amount": "1 secret"}))
    await _consume_with_poison(pipeline, dead_letters=1)
    [letter] = await pipeline.records(pipeline.topic + ".dlt")
    assert letter.header("dlt-reason") == "invalid-data"
    assert "data.amount" in (letter.header("dlt-detail") or "")
    assert "secret" not in (letter.header("dlt-detail") or "")


async def test_a_field_that_the_reader_does_not_know_is_passed_over(pipeline: Pipeline) -> None:
    pipeline.run_consumer()
    pipeline.produce(
        _changed(pipeline.event("o-1"), data={"order_id": "o-1", "amount": 1, "gift": True}, partitionkey="x")
    )
    assert await pipeline.await_effects(1) == ["o-1"]


async def test_an_event_of_another_family_is_passed_over(pipeline: Pipeline) -> None:
    registry = CollectorRegistry()
    pipeline.run_consumer(pipeline.consumer(registry=registry))
    pipeline.produce(_changed(pipeline.event("o-1"), type="com.mambogo.order.cancelled.v1"))
    await _await_outcome(registry, pipeline, "ignored", 1)
    assert await scalar(pipeline.database, "SELECT count(*) FROM outbox") == 0


async def test_a_handler_that_raises_gets_bounded_tries_and_its_neighbours_none_the_worse(
    pipeline: Pipeline,
) -> None:
    tries: list[str] = []
    consumer = pipeline.consumer(consumer_attempts=3)

    async def handle(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
        await write_effect(connection, event)
        if event.data.order_id == "bad":
            tries.append(event.id)
            raise KeyError("personal data")

    consumer.on(OrderPlaced)(handle)
    pipeline.produce(pipeline.event("o-1"), pipeline.event("bad"), pipeline.event("o-2"))
    await _consume_with_poison(pipeline, consumer, dead_letters=1)
    assert await pipeline.effects() == ["o-1", "o-2"]
    assert 3 <= len(tries) <= 4  # the batch, then three by itself
    [letter] = await pipeline.records(pipeline.topic + ".dlt")
    assert (letter.header("dlt-reason"), letter.header("dlt-detail")) == (
        "handler-failed",
        "builtins.KeyError",
    )


async def test_a_handler_that_fails_at_first_takes_effect_once(pipeline: Pipeline) -> None:
    failures = iter([True, True, False])
    consumer = pipeline.consumer()

    async def handle(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
        await write_effect(connection, event)
        if next(failures, False):
            raise OSError

    consumer.on(OrderPlaced)(handle)
    pipeline.run_consumer(consumer)
    pipeline.produce(pipeline.event("o-1"))
    assert await pipeline.await_effects(1) == ["o-1"]


async def test_a_permanent_error_is_not_tried_again(pipeline: Pipeline) -> None:
    tries: list[str] = []
    consumer = pipeline.consumer(consumer_attempts=10)

    async def handle(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
        tries.append(event.id)
        raise PermanentEventError("there is no such product")

    consumer.on(OrderPlaced)(handle)
    pipeline.produce(pipeline.event("o-1"))
    await _consume_with_poison(pipeline, consumer, dead_letters=1)
    assert len(tries) == 2
    [letter] = await pipeline.records(pipeline.topic + ".dlt")
    assert letter.header("dlt-detail") == "there is no such product"


async def test_a_locked_row_is_waited_for_and_nothing_becomes_a_dead_letter(
    postgres_database: FreshDatabase, pipeline: Pipeline
) -> None:
    registry = CollectorRegistry()
    async with opened(postgres_database, db_lock_timeout_seconds=0.05) as impatient:
        with psycopg.connect(postgres_database.dsn) as lock:
            lock.execute("LOCK TABLE effect IN ACCESS EXCLUSIVE MODE")
            consumer = pipeline.consumer(
                registry=registry, database=impatient, consumer_contention_attempts=1000
            )
            member = pipeline.run_consumer(consumer)
            pipeline.produce(pipeline.event("o-1"), pipeline.event("o-2"))

            async def rewound() -> bool:
                return (
                    registry.get_sample_value("consumer_rewinds_total", {"group": pipeline.group}) or 0
                ) >= 3

            await eventually("three rewinds", rewound)
            lock.rollback()
        assert await pipeline.await_effects(2) == ["o-1", "o-2"]
        await member.stop()
    assert await scalar(pipeline.database, "SELECT count(*) FROM outbox") == 0


async def test_a_record_that_always_meets_contention_becomes_a_dead_letter(
    postgres_database: FreshDatabase, pipeline: Pipeline
) -> None:
    async with opened(postgres_database, db_statement_timeout_seconds=0.1) as impatient:
        consumer = pipeline.consumer(database=impatient, consumer_contention_attempts=3)

        async def handle(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
            if event.data.order_id == "slow":
                await connection.execute("SELECT pg_sleep(5)")
            await write_effect(connection, event)

        consumer.on(OrderPlaced)(handle)
        pipeline.produce(pipeline.event("slow"), pipeline.event("o-1"))
        await _consume_with_poison(pipeline, consumer, dead_letters=1)
    assert await pipeline.effects() == ["o-1"]
    [letter] = await pipeline.records(pipeline.topic + ".dlt")
    assert letter.header("dlt-reason") == "contention"


async def test_a_batch_that_takes_longer_than_a_transaction_may_is_split(
    postgres_database: FreshDatabase, pipeline: Pipeline
) -> None:
    async with opened(postgres_database, db_transaction_timeout_seconds=0.5) as database:
        consumer = pipeline.consumer(database=database)

        async def handle(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
            await asyncio.sleep(0.05)
            await write_effect(connection, event)

        consumer.on(OrderPlaced)(handle)
        orders = [f"o-{number}" for number in range(30)]
        pipeline.produce(*(pipeline.event(order) for order in orders))
        member = pipeline.run_consumer(consumer)
        assert await pipeline.await_effects(30) == orders
        await member.stop()


async def test_a_database_that_dies_costs_nothing(
    own_postgres: PostgresServer, kafka_topics: TopicSpace
) -> None:
    with own_postgres.database(chassis_template(own_postgres)) as fresh:
        async with opened(fresh, db_pool_wait_seconds=0.3) as database:
            topic = kafka_topics.create("orders")
            pipeline = Pipeline(database, kafka_topics.bootstrap_servers, topic, group=kafka_topics.name("g"))
            pipeline.produce(*(pipeline.event(f"o-{number}") for number in range(50)))
            member = pipeline.run_consumer(pipeline.consumer(consumer_batch_records=10))
            await pipeline.await_effects(10)
            await asyncio.to_thread(own_postgres.kill)
            pipeline.produce(*(pipeline.event(f"o-{number}") for number in range(50, 100)))
            await asyncio.to_thread(own_postgres.start)
            effects = await _effects_when_back(pipeline, 100)
            assert sorted(effects) == sorted(f"o-{number}" for number in range(100))
            await member.stop()
            assert await scalar(database, "SELECT count(*) FROM inbox WHERE outcome = 'dead'") == 0


async def test_a_frozen_database_is_outlasted(own_postgres: PostgresServer, kafka_topics: TopicSpace) -> None:
    with own_postgres.database(chassis_template(own_postgres)) as fresh:
        async with opened(
            fresh, db_pool_wait_seconds=0.3, db_transaction_timeout_seconds=1, db_connect_timeout_seconds=2
        ) as database:
            topic = kafka_topics.create("orders")
            registry = CollectorRegistry()
            pipeline = Pipeline(database, kafka_topics.bootstrap_servers, topic, group=kafka_topics.name("g"))
            member = pipeline.run_consumer(pipeline.consumer(registry=registry))
            pipeline.produce(pipeline.event("o-1"))
            await pipeline.await_effects(1)
            await asyncio.to_thread(own_postgres.pause)
            pipeline.produce(pipeline.event("o-2"))

            async def rewound() -> bool:
                return (
                    registry.get_sample_value("consumer_rewinds_total", {"group": pipeline.group}) or 0
                ) > 0

            await eventually("a rewind", rewound)
            await asyncio.to_thread(own_postgres.unpause)
            assert await _effects_when_back(pipeline, 2) == ["o-1", "o-2"]
            await member.stop()


async def test_a_broker_that_dies_costs_nothing(database: Database, own_kafka: KafkaBroker) -> None:
    with own_kafka.topics() as topics:
        pipeline = Pipeline(
            database, topics.bootstrap_servers, topics.create("orders"), group=topics.name("g")
        )
        member = pipeline.run_consumer()
        pipeline.produce(*(pipeline.event(f"o-{number}") for number in range(20)))
        await pipeline.await_effects(20)
        await asyncio.to_thread(own_kafka.kill)
        await asyncio.to_thread(own_kafka.start)
        pipeline.produce(*(pipeline.event(f"o-{number}") for number in range(20, 40)))
        assert await pipeline.await_effects(40) == [f"o-{number}" for number in range(40)]
        await member.stop()


async def test_a_rebalance_storm_loses_and_doubles_nothing(pipeline: Pipeline) -> None:
    orders = [f"o-{number}" for number in range(2000)]
    members = [pipeline.run_consumer(pipeline.consumer(consumer_batch_records=20))]

    producing = asyncio.create_task(asyncio.to_thread(_produce_each, pipeline, orders))
    for _ in range(4):
        members.append(pipeline.run_consumer(pipeline.consumer(consumer_batch_records=20)))
        await asyncio.sleep(0.5)
        await members.pop(0).stop()
    await producing
    await pipeline.await_effects(2000)
    for member in members:
        await member.stop()
    assert sorted(await pipeline.effects()) == sorted(orders)


async def test_a_consumer_cancelled_in_mid_batch_leaves_it_to_the_next(pipeline: Pipeline) -> None:
    reached = asyncio.Event()
    consumer = pipeline.consumer()

    async def hang(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
        await write_effect(connection, event)
        reached.set()
        await asyncio.Event().wait()

    consumer.on(OrderPlaced)(hang)
    task = asyncio.create_task(consumer.run())
    pipeline.produce(pipeline.event("o-1"))
    await asyncio.wait_for(reached.wait(), 30)
    task.cancel()
    await asyncio.wait([task])
    assert await pipeline.effects() == []
    pipeline.run_consumer()
    assert await pipeline.await_effects(1) == ["o-1"]


async def test_stop_in_mid_batch_commits_what_was_applied(pipeline: Pipeline) -> None:
    consumer = pipeline.consumer(consumer_batch_records=10)
    orders = [f"o-{number}" for number in range(40)]

    async def stop_at_five(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
        await write_effect(connection, event)
        if event.data.order_id == "o-5":
            consumer.stop()

    consumer.on(OrderPlaced)(stop_at_five)
    pipeline.produce(*(pipeline.event(order) for order in orders))
    await asyncio.wait_for(consumer.run(), 30)
    applied = await pipeline.effects()
    assert applied == orders[: len(applied)]
    assert await pipeline.committed_lag() == 40 - len(applied)
    pipeline.run_consumer()
    assert await pipeline.await_effects(40) == orders


async def test_lag_is_shown_per_partition(pipeline: Pipeline) -> None:
    registry = CollectorRegistry()
    consumer = pipeline.consumer(registry=registry)
    pipeline.run_consumer(consumer)
    pipeline.produce(pipeline.event("o-1"))
    await pipeline.await_effects(1)

    async def shown() -> bool:
        consumer._next_lag = 0
        labels = [{"group": pipeline.group, "topic": pipeline.topic, "partition": str(n)} for n in range(4)]
        return 0.0 in [registry.get_sample_value("consumer_lag", label) for label in labels]

    await eventually("the lag", shown)


async def test_a_redriven_dead_letter_takes_effect_once_however_often_it_is_sent(pipeline: Pipeline) -> None:
    pipeline.produce(pipeline.event("o-1"))
    await _bury_everything(pipeline)
    selection = Selection(pipeline.topic, pipeline.group)
    letters = await asyncio.to_thread(select, pipeline.bootstrap_servers, selection)
    assert len(letters) == 1
    for _ in range(3):
        await asyncio.to_thread(send, pipeline.bootstrap_servers, letters, consumer=pipeline.group)
    registry = CollectorRegistry()
    pipeline.run_consumer(pipeline.consumer(registry=registry))
    await _await_outcome(registry, pipeline, "duplicate", 2)
    assert await pipeline.effects() == ["o-1"]


async def test_a_redriven_dead_letter_is_passed_over_by_other_groups(pipeline: Pipeline) -> None:
    pipeline.produce(pipeline.event("o-1"))
    await _bury_everything(pipeline)
    letters = await asyncio.to_thread(
        select, pipeline.bootstrap_servers, Selection(pipeline.topic, pipeline.group)
    )
    await asyncio.to_thread(send, pipeline.bootstrap_servers, letters, consumer=pipeline.group)
    registry = CollectorRegistry()
    other = pipeline.consumer(registry=registry, group=pipeline.group + "-other")
    pipeline.run_consumer(other)
    labels = {"group": pipeline.group + "-other", "outcome": "ignored"}

    async def ignored() -> bool:
        return (registry.get_sample_value("consumer_records_total", labels) or 0) == 1

    await eventually("the other group to pass it over", ignored)
    assert await pipeline.effects() == ["o-1"]


async def test_a_redriven_dead_letter_that_fails_again_becomes_one_more(pipeline: Pipeline) -> None:
    pipeline.produce(pipeline.event("o-1"))
    await _bury_everything(pipeline)
    letters = await asyncio.to_thread(
        select, pipeline.bootstrap_servers, Selection(pipeline.topic, pipeline.group)
    )
    for _ in range(2):
        await asyncio.to_thread(send, pipeline.bootstrap_servers, letters, consumer=pipeline.group)
    await _bury_everything(pipeline, records=2)
    assert len(await pipeline.records(pipeline.topic + ".dlt")) == 2


async def test_a_redrive_selects_by_consumer_and_reason(pipeline: Pipeline) -> None:
    pipeline.produce(b"garbage", pipeline.event("o-1"))
    await _bury_everything(pipeline, records=2)
    for selection, number in (
        (Selection(pipeline.topic, pipeline.group, reason="undecodable"), 1),
        (Selection(pipeline.topic, pipeline.group), 2),
        (Selection(pipeline.topic, "somebody-else"), 0),
    ):
        assert len(await asyncio.to_thread(select, pipeline.bootstrap_servers, selection)) == number


async def _bury_everything(pipeline: Pipeline, *, records: int = 1) -> None:
    """A member whose handler always fails, until `records` more records are done with."""
    registry = CollectorRegistry()
    consumer = pipeline.consumer(registry=registry)

    async def refuse(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
        raise PermanentEventError("not today")

    consumer.on(OrderPlaced)(refuse)
    member = pipeline.run_consumer(consumer)
    done = ("dead_lettered", "duplicate")

    async def buried() -> bool:
        counts = [_outcome(registry, pipeline, outcome) for outcome in done]
        return sum(counts) >= records

    await eventually("the records to be given up", buried)
    await member.stop()
    relay = pipeline.relay()
    while await relay.round():
        pass


async def _consume_with_poison(
    pipeline: Pipeline, consumer: EventConsumer | None = None, *, dead_letters: int
) -> None:
    """Consume until the group has no lag, and relay what it gave up."""
    member = pipeline.run_consumer(consumer)

    async def no_lag() -> bool:
        return await pipeline.committed_lag() == 0

    await eventually("the partition to move on", no_lag)
    await member.stop()
    relay = pipeline.relay()
    while await relay.round():
        pass
    assert len(await pipeline.records(pipeline.topic + ".dlt")) == dead_letters


async def _effects_when_back(pipeline: Pipeline, number: int) -> list[str]:
    async def enough() -> bool:
        health = await pipeline.database.ping()
        return health.up and await scalar(pipeline.database, "SELECT count(*) FROM effect") >= number

    await eventually(f"{number} effects", enough)
    return await pipeline.effects()


async def _await_outcome(registry: CollectorRegistry, pipeline: Pipeline, outcome: str, number: int) -> None:
    async def seen() -> bool:
        return _outcome(registry, pipeline, outcome) >= number

    await eventually(f"{number} times {outcome}", seen)


def _outcome(registry: CollectorRegistry, pipeline: Pipeline, outcome: str) -> float:
    labels = {"group": pipeline.group, "outcome": outcome}
    return registry.get_sample_value("consumer_records_total", labels) or 0


def _produce_each(pipeline: Pipeline, orders: list[str]) -> None:
    for start in range(0, len(orders), 50):
        for order in orders[start : start + 5]:
            pipeline.produce(pipeline.event(order), key=order.encode())
        pipeline.produce(
            *(pipeline.event(order) for order in orders[start + 5 : start + 50]), key=orders[start].encode()
        )


def _changed(value: bytes, **changes: object) -> bytes:
    return json.dumps(json.loads(value) | changes).encode()
