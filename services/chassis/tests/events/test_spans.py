"""The trace of an event: sent below the span that appended it, handled below it, and carried on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from mambogo_chassis import tracing
from mambogo_chassis.database import Connection
from mambogo_chassis.events import CloudEvent
from mambogo_chassis.http import context
from mambogo_chassis.tracing import Tracer
from support.collector import Seen, spans_of, tracer_to
from support.data import OrderPlaced, eventually, scalar
from support.faults import FaultServer, answer, fault_server
from support.pipeline import Pipeline, write_effect

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-01"
NOT_SAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-00"


@pytest.fixture
def collector() -> Iterator[FaultServer]:
    with fault_server(answer(b"")) as server:
        yield server


@pytest.fixture
def tracer(collector: FaultServer) -> Iterator[Tracer]:
    made = tracer_to(collector)
    yield made
    made.close()


def recorded(collector: FaultServer, tracer: Tracer) -> list[Seen]:
    tracer.close()
    return spans_of(collector)


async def append(pipeline: Pipeline, order_id: str, traceparent: str) -> None:
    async with pipeline.database.transaction() as connection:
        event = OrderPlaced(order_id=order_id, amount=1)
        await pipeline.outbox.append(connection, event, subject=order_id, traceparent=traceparent)


async def test_an_event_is_sent_below_the_span_that_appended_it(
    pipeline: Pipeline, collector: FaultServer, tracer: Tracer
) -> None:
    await append(pipeline, "o-1", SAMPLED)
    await append(pipeline, "o-2", NOT_SAMPLED)
    relay = pipeline.relay(tracer=tracer)
    while await relay.round():
        pass
    [span] = recorded(collector, tracer)
    assert (span.name, span.kind) == (f"send {pipeline.topic}", "producer")
    assert (span.trace, span.parent, span.has_failed) == (TRACE_ID, PARENT_ID, False)


async def test_a_record_that_kafka_refuses_is_a_failed_span(
    pipeline: Pipeline, collector: FaultServer, tracer: Tracer
) -> None:
    await append(pipeline, "o-1", SAMPLED)
    async with pipeline.database.connection() as connection:
        await connection.execute("UPDATE outbox SET topic = topic || '.missing'")
    assert await pipeline.relay(tracer=tracer).round() == 1
    [span] = recorded(collector, tracer)
    assert (span.name, span.has_failed) == (f"send {pipeline.topic}.missing", True)


async def test_an_event_takes_effect_in_a_span_of_its_own_and_what_it_appends_lies_below_that(
    pipeline: Pipeline, collector: FaultServer, tracer: Tracer
) -> None:
    consumer = pipeline.consumer(tracer=tracer)

    async def answer_it(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
        await write_effect(connection, event)
        await pipeline.outbox.append(connection, OrderPlaced(order_id="next", amount=1), subject="next")

    consumer.on(OrderPlaced)(answer_it)
    pipeline.produce(pipeline.event("o-1", event_id="e-1", traceparent=SAMPLED))
    member = pipeline.run_consumer(consumer)
    await pipeline.await_effects(1)
    await member.stop()
    value = await scalar(pipeline.database, "SELECT convert_from(value, 'UTF8') FROM outbox")
    [span] = recorded(collector, tracer)
    assert (span.name, span.kind) == (f"process {pipeline.topic}", "consumer")
    assert (span.trace, span.parent, span.has_failed) == (TRACE_ID, PARENT_ID, False)
    assert span.attributes["cloudevents.event_id"] == "e-1"
    assert span.attributes["messaging.consumer.group.name"] == pipeline.group
    carried = CloudEvent[OrderPlaced].decode(value.encode()).traceparent
    assert carried == f"00-{TRACE_ID}-{span.span_id}-01"


async def test_each_try_of_a_handler_has_a_span_and_only_the_last_one_succeeds(
    pipeline: Pipeline, collector: FaultServer, tracer: Tracer
) -> None:
    consumer = pipeline.consumer(tracer=tracer, consumer_attempts=3)
    failures = iter([True, True, False])

    async def handle(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
        await write_effect(connection, event)
        if next(failures):
            raise OSError

    consumer.on(OrderPlaced)(handle)
    pipeline.produce(pipeline.event("o-1", traceparent=SAMPLED))
    member = pipeline.run_consumer(consumer)
    await pipeline.await_effects(1)
    await member.stop()
    spans = recorded(collector, tracer)
    assert [span.has_failed for span in spans] == [True, True, False]
    assert {(span.trace, span.parent) for span in spans} == {(TRACE_ID, PARENT_ID)}
    assert len({span.span_id for span in spans}) == 3


@pytest.mark.parametrize("traceparent", [NOT_SAMPLED, "garbage", None], ids=["unsampled", "garbage", "none"])
async def test_a_trace_that_is_not_recorded_stays_so_and_is_carried_on(
    pipeline: Pipeline, collector: FaultServer, tracer: Tracer, traceparent: str | None
) -> None:
    consumer = pipeline.consumer(tracer=tracer)
    seen: list[tracing.TraceContext] = []

    async def handle(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
        request = context.current()
        assert request is not None
        seen.append(request.trace)
        await write_effect(connection, event)

    consumer.on(OrderPlaced)(handle)
    pipeline.produce(pipeline.event("o-1", traceparent=traceparent))
    member = pipeline.run_consumer(consumer)
    await pipeline.await_effects(1)
    await member.stop()
    assert recorded(collector, tracer) == []
    assert [trace.sampled for trace in seen] == [False]
    assert (seen[0].trace_id == TRACE_ID) == (traceparent == NOT_SAMPLED)


@pytest.mark.parametrize(
    "value", [b"", b"\xff", b"[]", b'{"traceparent": 1}', b'{"a":' + b"[" * 100_000], ids=range(5)
)
async def test_a_record_that_holds_no_trace_is_sent_all_the_same(
    pipeline: Pipeline, tracer: Tracer, value: bytes
) -> None:
    async with pipeline.database.connection() as connection:
        await pipeline.outbox.append_record(
            connection, "e-1", topic=pipeline.topic, key=b"k", value=value, headers=()
        )
    assert await pipeline.relay(tracer=tracer).round() == 1


async def test_a_collector_that_is_away_costs_events_nothing(
    pipeline: Pipeline, collector: FaultServer, tracer: Tracer
) -> None:
    collector.stop_listening()
    registry = CollectorRegistry()
    pipeline.run_relay(pipeline.relay(tracer=tracer))
    member = pipeline.run_consumer(pipeline.consumer(tracer=tracer, registry=registry))
    for number in range(20):
        await append(pipeline, f"o-{number}", SAMPLED)
    await pipeline.await_effects(20)

    async def counted() -> bool:
        labels = {"group": pipeline.group, "outcome": "applied"}
        return registry.get_sample_value("consumer_records_total", labels) == 20

    await eventually("twenty events to be counted", counted)
    await member.stop()
