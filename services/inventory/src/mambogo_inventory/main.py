"""Puts inventory-service together; the only module that knows all of its parts."""

from __future__ import annotations

from fastapi import APIRouter
from mambogo_chassis.database import use_database
from mambogo_chassis.events import use_events
from mambogo_chassis.idempotency import use_idempotency
from mambogo_chassis.service import Service

from mambogo_inventory.adapters import events as models
from mambogo_inventory.adapters.metrics import InventoryMetrics
from mambogo_inventory.api import stock
from mambogo_inventory.service.expiring import Expiring
from mambogo_inventory.service.reserving import Reserving
from mambogo_inventory.settings import Settings

NAME = "inventory-service"
TITLE = "Inventory"


def build(service: Service[Settings]) -> list[APIRouter]:
    """Wire the parts; a test calls it with a service of its own settings."""
    database = use_database(service)
    events = use_events(service, database, models.registry)
    keys = use_idempotency(service, database)
    reserving = Reserving(
        events.outbox,
        InventoryMetrics(service.metrics),
        hold_seconds=lambda: service.settings.current.reservation_seconds,
    )
    events.consumer.around_batches(reserving.begin, reserving.committed)
    events.on(models.OrderPlaced)(reserving.placed)
    events.on(models.OrderConfirmed)(reserving.confirmed)
    events.on(models.OrderRejected)(reserving.rejected)
    events.on(models.OrderCancelled)(reserving.cancelled)
    expiring = Expiring(
        database, reserving, interval_seconds=service.settings.current.expiry_interval_seconds
    )
    service.task("expiry", expiring.run, expiring.stop)
    return [stock.routes(database, keys)]


def main() -> None:
    """Serve until SIGTERM."""
    service = Service.load(Settings, NAME)
    service.run(title=TITLE, routers=build(service))
