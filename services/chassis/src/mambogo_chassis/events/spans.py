"""Spans of events: one where the relay sends it, one around each try of a handler.

Both lie below the span in which the event was appended: the event carries that one's context, and nothing
changes what is in the outbox. What a handler logs, asks and appends belongs to its own span. Both end before
their transaction does: a batch that fails is tried again, under new spans.

Names and attributes are OpenTelemetry's for messaging and CloudEvents.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from mambogo_chassis import tracing
from mambogo_chassis.events.envelope import CloudEvent
from mambogo_chassis.events.publishing import Published
from mambogo_chassis.events.records import InboundRecord, OutboundRecord
from mambogo_chassis.http import context
from mambogo_chassis.http.deadlines import deadline_in
from mambogo_chassis.tracing import TraceContext, Tracer

# A handler has no caller who waits; this is far above a transaction's own bound.
_HANDLER_SECONDS: Final = 30.0


@contextmanager
def handling(tracer: Tracer, event: CloudEvent[Any], record: InboundRecord, *, group: str) -> Iterator[None]:
    """One try of an event's handler, in the trace that the event came with and under the event's id."""
    trace, span = tracer.start(tracing.parse(event.traceparent), "consumer")
    request_id = context.request_id_of(event.id.encode())
    context.enter(context.RequestContext(request_id, trace, deadline_in(_HANDLER_SECONDS)))
    has_failed = True
    try:
        yield
        has_failed = False
    finally:
        context.enter(None)
        if span is not None:
            attributes: dict[str, str | int] = {
                "messaging.system": "kafka",
                "messaging.operation.type": "process",
                "messaging.consumer.group.name": group,
                "messaging.destination.name": record.topic,
                "messaging.destination.partition.id": str(record.partition),
                "messaging.kafka.offset": record.offset,
                "cloudevents.event_id": event.id,
                "cloudevents.event_type": event.type,
            }
            span.finish(f"process {record.topic}", attributes, error=has_failed)


class Sending:
    """One batch on its way to Kafka; a span for each of its records whose trace is recorded."""

    def __init__(self, tracer: Tracer, records: Sequence[OutboundRecord]) -> None:
        self._tracer = tracer
        self._records = records
        self._started_ns = time.time_ns()

    def finish(self, published: Published) -> None:
        """Record what became of the batch. Records that were held up are sent, and recorded, another time."""
        if not self._tracer.is_recording:
            return
        refused = {outbox_id for outbox_id, _ in published.refused}
        ended = refused.union(published.sent)
        for record in self._records:
            if record.outbox_id in ended and (parent := _parent(record)) is not None and parent.sampled:
                self._finish_one(record, parent, error=record.outbox_id in refused)

    def _finish_one(self, record: OutboundRecord, parent: TraceContext, *, error: bool) -> None:
        _, span = self._tracer.start(parent, "producer", started_ns=self._started_ns)
        if span is not None:
            attributes: dict[str, str | int] = {
                "messaging.system": "kafka",
                "messaging.operation.type": "send",
                "messaging.destination.name": record.topic,
            }
            span.finish(f"send {record.topic}", attributes, error=error)


class _Traced(msgspec.Struct):
    traceparent: str | None = None


def _parent(record: OutboundRecord) -> TraceContext | None:
    """The context in an event; a dead letter may hold anything."""
    try:
        return tracing.parse(msgspec.json.decode(record.value, type=_Traced).traceparent)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
