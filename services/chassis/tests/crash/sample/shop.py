"""A small service on the chassis: takes orders under idempotency keys, emits events, relays them.

    python shop.py PORT DATABASE_DSN BOOTSTRAP_SERVERS TOPIC

It speaks JSON lines over TCP instead of HTTP, so that its restart is quick. It is killed at failpoints; what
it promises is that each answered order exists once, with one event.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import uuid

from common import OrderPlaced, database_settings, event_settings, registry_of

from mambogo_chassis import failpoints
from mambogo_chassis.database import Connection, Database, DatabaseError
from mambogo_chassis.events import KafkaPublisher, Outbox, Relay
from mambogo_chassis.idempotency import Answer, IdempotencyError, IdempotencyStore, Request

# Every n-th order holds its transaction open after its event has an id: later ids then commit before it.
SLOW_EVERY = 5
SLOW_SECONDS = 0.05
# Every n-th order is refused at first, as if a supplier were away; the client's next try is served.
REFUSED_EVERY = 7


class Shop:
    """Orders of one process."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox
        self._store = IdempotencyStore(database)
        self._refused: set[str] = set()

    async def order(self, body: bytes) -> Answer:
        """Place an order, once per key."""
        asked = json.loads(body)
        content = json.dumps([asked["reference"], asked["amount"]]).encode()
        request = Request.of(user="u", key=asked["key"], method="POST", path="/orders", body=content)

        async def place(connection: Connection) -> Answer:
            return await self._place(connection, asked["reference"], asked["amount"])

        return await self._store.execute(request, place)

    async def _place(self, connection: Connection, reference: str, amount: int) -> Answer:
        if amount % REFUSED_EVERY == 0 and reference not in self._refused:
            self._refused.add(reference)
            return Answer(503, b"")
        order_id = str(uuid.uuid4())
        await connection.execute(
            "INSERT INTO orders (order_id, reference, amount) VALUES (%s, %s, %s)",
            (order_id, reference, amount),
        )
        await self._outbox.append(connection, OrderPlaced(order_id=order_id, amount=amount), subject=order_id)
        if amount % SLOW_EVERY == 0:
            await asyncio.sleep(SLOW_SECONDS)
        return Answer(201, order_id.encode())


async def serve(shop: Shop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection: a line in, a line out."""
    while line := await reader.readline():
        try:
            answer = await shop.order(line)
        except (DatabaseError, IdempotencyError) as error:
            answer = Answer(error.http_status or 500, b"")
        reply = {"status": answer.status, "order_id": answer.body.decode(), "replay": answer.is_replay}
        writer.write(json.dumps(reply).encode() + b"\n")
        await writer.drain()
    writer.close()


async def main(port: int, dsn: str, bootstrap_servers: str, topic: str) -> None:
    """Serve and relay until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    database = Database(database_settings(dsn), application_name="shop")
    await database.open()
    outbox = Outbox(registry_of(topic), source="/mambogo/shop")
    publisher = KafkaPublisher(bootstrap_servers, client_id="shop")
    relay = Relay(database, publisher, settings=event_settings(bootstrap_servers), outbox=outbox)
    relaying = asyncio.create_task(relay.run())
    shop = Shop(database, outbox)
    server = await asyncio.start_server(lambda r, w: serve(shop, r, w), "127.0.0.1", port)
    await stop.wait()
    server.close()
    relay.stop()
    await relaying
    await database.close()


if __name__ == "__main__":
    failpoints.enable_from_environment(os.environ)
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
