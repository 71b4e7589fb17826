"""What shop and ledger share: their event and their settings."""

from __future__ import annotations

from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from mambogo_chassis.database import DatabaseSettings
from mambogo_chassis.events import EventData, EventRegistry, EventSettings


class OrderPlaced(EventData):
    """The one event."""

    order_id: str
    amount: int


def registry_of(topic: str) -> EventRegistry:
    """The registry of both."""
    registry = EventRegistry()
    registry.event("com.mambogo.order.placed.v1", topic=topic)(OrderPlaced)
    return registry


def database_settings(dsn: str) -> DatabaseSettings:
    """Settings from a connection URL; generous where a loaded machine would time out."""
    parts = conninfo_to_dict(dsn)
    return DatabaseSettings(
        db_host=str(parts["host"]),
        db_port=int(str(parts["port"])),
        db_name=str(parts["dbname"]),
        db_user=str(parts["user"]),
        db_password=SecretStr(str(parts["password"])),
        db_pool_max=16,
        db_pool_wait_seconds=10,
        db_connect_timeout_seconds=10,
    )


def event_settings(bootstrap_servers: str) -> EventSettings:
    """A member with a name: after a crash it takes its partitions over at once."""
    return EventSettings(
        kafka_bootstrap_servers=bootstrap_servers,
        relay_batch_events=50,
        consumer_batch_records=50,
        consumer_poll_seconds=0.1,
        consumer_instance_id="the-only-one",
        consumer_backoff_max_seconds=1,
    )
