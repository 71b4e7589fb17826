"""The part of a pod that takes events and works on payments, without Kafka and HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from mambogo_chassis.client import CallPolicy, HttpClient
from mambogo_chassis.client.transport import Transport
from mambogo_chassis.database import Connection, Database, pipelined
from mambogo_chassis.events import CloudEvent, EventData, Outbox
from mambogo_chassis.metrics import Metrics

from mambogo_payment.adapters import events as models
from mambogo_payment.adapters.metrics import PaymentMetrics
from mambogo_payment.adapters.provider import Provider
from mambogo_payment.service.ordering import Ordering
from mambogo_payment.service.working import Pace, Worker
from support.sandbox import API_KEY, Sandbox


class Pod:
    """Takes batches as the consumer does, and works if it is told to."""

    def __init__(
        self,
        database: Database,
        sandbox: Sandbox,
        *,
        transport: Transport,
        timeout_seconds: float = 10.0,
        lease_seconds: float = 60.0,
    ) -> None:
        self.database = database
        self.metrics = Metrics()
        outbox = Outbox(models.registry, source="/mambogo/payment-service")
        metrics = PaymentMetrics(self.metrics)
        client = HttpClient(
            "payment-provider",
            lambda _: (sandbox.url,),
            transport=transport,
            metrics=self.metrics,
            policy=CallPolicy(timeout_seconds, timeout_seconds, max_attempts=1),
        )
        self.worker = Worker(
            database,
            Provider(client, api_key=API_KEY, metrics=metrics),
            outbox,
            metrics,
            Pace(concurrency=8, lease_seconds=lease_seconds, idle_seconds=0.05),
        )
        self.outbox = outbox
        self.ordering = Ordering(outbox, metrics, wake=self.worker.wake)

    async def take(self, *events: CloudEvent[Any]) -> None:
        """Apply a batch."""
        async with self.database.transaction() as connection:
            await self.ordering.begin(connection, events)
            async with pipelined(connection):
                for event in events:
                    await self._handle(connection, event)
        self.ordering.committed()

    async def _handle(self, connection: Connection, event: CloudEvent[Any]) -> None:
        handlers: dict[type[EventData], Callable[[Connection, Any], Awaitable[None]]] = {
            models.OrderReserved: self.ordering.reserved,
            models.OrderRejected: self.ordering.rejected,
            models.OrderCancelled: self.ordering.cancelled,
        }
        await handlers[type(event.data)](connection, event)


@asynccontextmanager
async def working(*pods: Pod) -> AsyncIterator[None]:
    """Their workers run for the length of the block."""
    tasks = [asyncio.create_task(pod.worker.run()) for pod in pods]
    try:
        yield
    finally:
        for pod in pods:
            pod.worker.stop()
        await asyncio.gather(*tasks)
