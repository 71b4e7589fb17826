"""A small consumer on the chassis: books each order's amount once.

python ledger.py DATABASE_DSN BOOTSTRAP_SERVERS TOPIC GROUP
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from common import OrderPlaced, database_settings, event_settings, registry_of
from prometheus_client import REGISTRY

from mambogo_chassis import failpoints
from mambogo_chassis.database import Connection, Database
from mambogo_chassis.events import CloudEvent, EventConsumer, Outbox


async def book(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
    """The effect; the table has no key that would keep a second row out."""
    await connection.execute(
        "INSERT INTO ledger (order_id, amount) VALUES (%s, %s)", (event.data.order_id, event.data.amount)
    )


async def main(dsn: str, bootstrap_servers: str, topic: str, group: str) -> None:
    """Consume until SIGTERM; then say on stdout how many duplicates were dropped."""
    database = Database(database_settings(dsn), application_name="ledger")
    await database.open()
    events = registry_of(topic)
    consumer = EventConsumer(
        database,
        group=group,
        events=events,
        outbox=Outbox(events, source="/mambogo/ledger"),
        settings=event_settings(bootstrap_servers),
    )
    consumer.on(OrderPlaced)(book)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, consumer.stop)
    await consumer.run()
    await database.close()
    dropped = REGISTRY.get_sample_value("consumer_records_total", {"group": group, "outcome": "duplicate"})
    sys.stdout.write(json.dumps({"duplicates": dropped}) + "\n")


if __name__ == "__main__":
    failpoints.enable_from_environment(os.environ)
    asyncio.run(main(*sys.argv[1:]))
