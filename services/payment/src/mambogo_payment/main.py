"""Puts payment-service together; the only module that knows all of its parts."""

from __future__ import annotations

from fastapi import APIRouter
from mambogo_chassis.client import CallPolicy, HttpClient
from mambogo_chassis.database import use_database
from mambogo_chassis.events import use_events
from mambogo_chassis.idempotency import use_idempotency
from mambogo_chassis.service import Service

from mambogo_payment.adapters import events as models
from mambogo_payment.adapters.metrics import PaymentMetrics
from mambogo_payment.adapters.provider import Provider
from mambogo_payment.api import payments, webhooks
from mambogo_payment.service.ordering import Ordering
from mambogo_payment.service.working import Pace, Worker
from mambogo_payment.settings import Settings

NAME = "payment-service"
TITLE = "Payments"


def build(service: Service[Settings]) -> list[APIRouter]:
    """Wire the parts; a test calls it with a service of its own settings."""
    settings = service.settings.current
    database = use_database(service)
    events = use_events(service, database, models.registry)
    keys = use_idempotency(service, database)
    metrics = PaymentMetrics(service.metrics)
    pace = Pace(settings.worker_concurrency, settings.worker_lease_seconds, settings.worker_idle_seconds)
    worker = Worker(database, _provider(service, metrics), events.outbox, metrics, pace)
    ordering = Ordering(events.outbox, metrics, wake=worker.wake)
    events.consumer.around_batches(ordering.begin, ordering.committed)
    events.on(models.OrderReserved)(ordering.reserved)
    events.on(models.OrderRejected)(ordering.rejected)
    events.on(models.OrderCancelled)(ordering.cancelled)
    service.task("worker", worker.run, worker.stop)
    return [
        payments.routes(database, keys, worker),
        webhooks.routes(database, worker, metrics, settings),
    ]


def _provider(service: Service[Settings], metrics: PaymentMetrics) -> Provider:
    settings = service.settings.current
    client = HttpClient(
        "payment-provider",
        lambda _: (settings.provider_url,),
        transport=service.transport,
        metrics=service.metrics,
        tracer=service.tracer,
        # One attempt: after a call whose outcome is not known comes a question, and not the same call again.
        policy=CallPolicy(
            attempt_timeout_seconds=settings.provider_timeout_seconds,
            total_timeout_seconds=settings.provider_timeout_seconds,
            max_attempts=1,
        ),
    )
    return Provider(client, api_key=settings.provider_api_key.get_secret_value(), metrics=metrics)


def main() -> None:
    """Serve until SIGTERM."""
    service = Service.load(Settings, NAME)
    service.run(title=TITLE, routers=build(service))
