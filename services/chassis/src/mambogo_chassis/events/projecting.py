"""Consumers without a database of their own: each event at least once, to a handler that is idempotent.

For stores that cannot take an effect and an inbox row in one transaction, such as Redis. A handler must end
in the same state however often it is called with an event, and must know older from newer (by a version in
the event, say): an event that was taken and whose offset was not committed comes again. Everything else is as
with `consumer.EventConsumer`: order per partition, errors of `weather` (the store is away) for as long as it
takes, a bounded number of tries for all others, then a dead letter, and the partition moves on.

A dead letter is sent and acknowledged before its record's offset is committed, so that a crash between the
two makes a second letter, never none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from prometheus_client import REGISTRY, CollectorRegistry

from mambogo_chassis import failpoints
from mambogo_chassis.events.deadletters import Verdict, letter_of
from mambogo_chassis.events.envelope import CloudEvent, EventData
from mambogo_chassis.events.errors import PermanentEventError
from mambogo_chassis.events.polling import (
    BATCH_SECONDS,
    Poller,
    TryAgainLaterError,
    Work,
    describe,
)
from mambogo_chassis.events.publishing import Publisher
from mambogo_chassis.events.registry import EventRegistry
from mambogo_chassis.events.settings import EventSettings
from mambogo_chassis.events.spans import handling
from mambogo_chassis.tracing import Tracer

DataT = TypeVar("DataT", bound=EventData)
Handler = Callable[[CloudEvent[DataT]], Awaitable[None]]

logger = logging.getLogger(__name__)


class Projection(Poller):
    """One consumer group's member in this process. `publisher` sends its dead letters."""

    def __init__(
        self,
        publisher: Publisher,
        *,
        group: str,
        events: EventRegistry,
        settings: EventSettings,
        weather: tuple[type[Exception], ...],
        registry: CollectorRegistry = REGISTRY,
        tracer: Tracer | None = None,
    ) -> None:
        super().__init__(group=group, events=events, settings=settings, registry=registry, tracer=tracer)
        self._publisher = publisher
        self._weather = weather

    def on(self, model: type[DataT]) -> Callable[[Handler[DataT]], Handler[DataT]]:
        """Handle events of `model`; a decorator. Raises UnregisteredEventError."""

        def register(handler: Handler[DataT]) -> Handler[DataT]:
            self._register(model, handler)
            return handler

        return register

    async def _take_some(self, works: Sequence[Work]) -> int:
        started = time.monotonic()
        for number, work in enumerate(works):
            if number and (self._stop.is_set() or time.monotonic() - started > BATCH_SECONDS):
                return number
            try:
                await self._take_one(work)
            except TryAgainLaterError:
                if number == 0:
                    raise
                return number
        return len(works)

    async def _take_one(self, work: Work) -> None:
        if work.verdict is not None:
            await self._bury(work, work.verdict)
        elif work.event is None or work.handler is None:
            self._count(["ignored"])
        else:
            verdict = await self._apply(work, work.event)
            if verdict is not None:
                await self._bury(work, verdict)

    async def _apply(self, work: Work, event: CloudEvent[EventData]) -> Verdict | None:
        """Call the handler until it succeeds; why it was given up when its tries are over."""
        for attempt in range(1, self._settings.consumer_attempts + 1):
            try:
                with handling(self._tracer, event, work.record, group=self._group):
                    await work.handler(event)
                await failpoints.reach("consumer.effected")
            except self._weather as error:
                raise TryAgainLaterError(describe(error)) from error
            except PermanentEventError as error:
                return Verdict("handler-failed", error.message, work.event_id)
            except Exception as error:  # a handler's bug must not stop the partition
                logger.warning("%s: try %d failed: %r", work.record.coordinates, attempt, error)
                last = error
                await self._wait(self._settings.consumer_retry_seconds * 2 ** (attempt - 1))
            else:
                self._count(["applied"])
                return None
        return Verdict("handler-failed", describe(last), work.event_id)

    async def _bury(self, work: Work, verdict: Verdict) -> None:
        letter = letter_of(self._group, work.record, verdict)
        published = await self._publisher.publish(
            [letter], timeout_seconds=self._settings.relay_publish_timeout_seconds
        )
        if not published.sent:
            reasons = "; ".join(reason for _, reason in published.refused)
            raise TryAgainLaterError(f"no dead letter: {reasons or published.obstacle}")
        logger.error("%s is a dead letter: %s: %s", work.record.coordinates, verdict.reason, verdict.detail)
        self._count(["dead_lettered"])
