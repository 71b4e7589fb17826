"""The settings of inventory-service, besides the chassis' own."""

from __future__ import annotations

from mambogo_chassis.database import DatabaseSettings
from mambogo_chassis.events import EventSettings
from mambogo_chassis.settings import ServiceSettings, refreshable
from pydantic import Field


class Settings(ServiceSettings, DatabaseSettings, EventSettings):
    """`RESERVATION_SECONDS` and its like."""

    # Far above the time to a confirmation (under 1 s), and above what order-service's sweeper gives an order.
    reservation_seconds: float = refreshable(900.0, gt=0, le=86_400)
    expiry_interval_seconds: float = Field(default=1.0, gt=0, le=60)
