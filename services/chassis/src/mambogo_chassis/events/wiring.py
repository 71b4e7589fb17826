"""Events as a part of a service: outbox, relay and consumer, when they run and where they show.

The consumer takes nothing new from the moment that draining begins; the relay goes on until the last request
is answered, so that what those requests append does not have to wait for another pod. Both finish what they
have begun, and the database closes after them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mambogo_chassis.database.pool import Database
from mambogo_chassis.events.consumer import EventConsumer, Handler
from mambogo_chassis.events.envelope import EventData
from mambogo_chassis.events.outbox import Outbox
from mambogo_chassis.events.polling import Poller
from mambogo_chassis.events.projecting import Projection
from mambogo_chassis.events.publishing import KafkaPublisher
from mambogo_chassis.events.registry import EventRegistry
from mambogo_chassis.events.relay import Relay
from mambogo_chassis.events.settings import EventSettings
from mambogo_chassis.lifecycle import Phase
from mambogo_chassis.settings.model import part_of

if TYPE_CHECKING:
    from mambogo_chassis.service import Service

DataT = TypeVar("DataT", bound=EventData)


@dataclass(frozen=True, slots=True)
class Events:
    """What a service uses: `outbox` to send, `on` to take."""

    outbox: Outbox
    relay: Relay
    consumer: EventConsumer

    def on(self, model: type[DataT]) -> Callable[[Handler[DataT]], Handler[DataT]]:
        """Handle events of `model`; a decorator, see EventConsumer."""
        return self.consumer.on(model)


def use_events(
    service: Service[Any],
    database: Database,
    registry: EventRegistry,
    *,
    group: str | None = None,
    source: str | None = None,
) -> Events:
    """Outbox, relay and consumer of a service whose settings mix EventSettings in.

    `group` is the consumer group and the inbox's name (default: the application's name), `source` the
    CloudEvents source (`/mambogo/<name>`); the setting `kafka_prefix` goes before group and topics. Relay and
    consumer are tasks; the consumer runs if something has a handler when the service starts. `kafka` and
    `outbox` show in the health and never in readiness: requests are served without them. Raises
    MissingSettingsError.
    """
    settings = part_of(service.settings.current, EventSettings)
    name = service.settings.current.application_name
    registry = registry.prefixed(settings.kafka_prefix)
    outbox = Outbox(registry, source=source or f"/mambogo/{name}")
    publisher = _publisher(settings, name)
    relay = Relay(
        database,
        publisher,
        settings=settings,
        outbox=outbox,
        registry=service.metrics.registry,
        tracer=service.tracer,
    )
    consumer = EventConsumer(
        database,
        group=f"{settings.kafka_prefix}{group or name}",
        events=registry,
        outbox=outbox,
        settings=settings,
        registry=service.metrics.registry,
        tracer=service.tracer,
    )
    service.task("relay", relay.run, relay.stop)
    _run_consumer(service, consumer)
    service.health.add("kafka", publisher.probe)
    service.health.add("outbox", lambda: _backlog(relay))
    return Events(outbox, relay, consumer)


def use_projection(
    service: Service[Any],
    registry: EventRegistry,
    *,
    weather: tuple[type[Exception], ...],
    group: str | None = None,
) -> Projection:
    """The consumer of a service without a database: its handlers are idempotent by themselves.

    `weather` is what its store raises while it is away (`RedisError`): such an event is tried again for as
    long as it takes. Settings, group, task and health are those of `use_events`.
    """
    settings = part_of(service.settings.current, EventSettings)
    name = service.settings.current.application_name
    publisher = _publisher(settings, name)
    projection = Projection(
        publisher,
        group=f"{settings.kafka_prefix}{group or name}",
        events=registry.prefixed(settings.kafka_prefix),
        settings=settings,
        weather=weather,
        registry=service.metrics.registry,
        tracer=service.tracer,
    )
    service.resource("kafka", lambda: _closed_at_the_end(publisher))
    _run_consumer(service, projection)
    service.health.add("kafka", publisher.probe)
    return projection


def _publisher(settings: EventSettings, name: str) -> KafkaPublisher:
    return KafkaPublisher(
        settings.kafka_bootstrap_servers,
        client_id=name,
        socket_timeout_seconds=settings.kafka_socket_timeout_seconds,
    )


def _run_consumer(service: Service[Any], consumer: Poller) -> None:
    async def consume() -> None:
        if consumer.topics:
            await consumer.run()

    async def stop_taking(phase: Phase) -> None:
        if phase is Phase.DRAINING:
            consumer.stop()

    service.task("consumer", consume, consumer.stop)
    service.lifecycle.on_phase(stop_taking)


@asynccontextmanager
async def _closed_at_the_end(publisher: KafkaPublisher) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await publisher.close()


async def _backlog(relay: Relay) -> Mapping[str, object]:
    backlog = relay.backlog
    if backlog is None:
        raise LookupError("the outbox was not read yet, or could not be")
    return {"pending": backlog.depth, "ageSeconds": round(backlog.age_seconds, 1), "refused": backlog.refused}
