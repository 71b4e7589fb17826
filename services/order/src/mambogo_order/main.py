"""Puts order-service together: `python -m mambogo_order.main`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter

from mambogo_chassis.database import Database, use_database
from mambogo_chassis.events import Events, use_events
from mambogo_chassis.idempotency import use_idempotency
from mambogo_chassis.service import Service
from mambogo_order.adapters.events import registry
from mambogo_order.adapters.metrics import OrderMetrics
from mambogo_order.adapters.quotes import ProductQuotes
from mambogo_order.api.events import listen
from mambogo_order.api.operations import Operations
from mambogo_order.domain.sweeping import Patience
from mambogo_order.service.moving import Mover
from mambogo_order.service.placing import Placer
from mambogo_order.service.sweeping import Sweeper
from mambogo_order.settings import OrderSettings

NAME: Final = "order-service"
TITLE: Final = "Orders"


@dataclass(frozen=True, slots=True)
class Parts:
    """What order-service consists of."""

    database: Database
    events: Events
    sweeper: Sweeper
    routers: list[APIRouter]


def assemble(service: Service[OrderSettings]) -> Parts:
    """Register every part of order-service."""

    def patience() -> Patience:
        return service.settings.current.patience

    database = use_database(service)
    events = use_events(service, database, registry)
    keys = use_idempotency(service, database)
    metrics = OrderMetrics(service.metrics)
    mover = Mover(events.outbox, patience)
    quotes = ProductQuotes(service.client(service.settings.current.product_service))
    listen(events, mover, metrics)
    sweeper = Sweeper(
        database,
        mover=mover,
        outbox=events.outbox,
        metrics=metrics,
        settings=lambda: service.settings.current,
    )
    service.task("sweeper", sweeper.run, sweeper.stop)
    operations = Operations(
        database,
        keys=keys,
        placer=Placer(quotes, events.outbox, patience),
        mover=mover,
        metrics=metrics,
        reserve_seconds=lambda: service.settings.current.placement_reserve_seconds,
    )
    return Parts(database, events, sweeper, [operations.router()])


def main() -> None:
    """Serve until SIGTERM."""
    service = Service.load(OrderSettings, NAME)
    service.run(title=TITLE, routers=assemble(service).routers)


if __name__ == "__main__":
    main()
