"""What placing an order costs order-service, in CPU time of its process per request.

    python bench/placing.py [--orders 2400]

PostgreSQL and Kafka are real, by the testkit; product-service is a small real server. The service is a
process of its own; HTTP server, relay, consumer and sweeper are in the number, the client and others are not.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import httpx

from mambogo_chassis.events.topics import ensure_topics
from mambogo_testkit.dependencies.kafka import KafkaBroker
from mambogo_testkit.dependencies.postgres import PostgresServer
from mambogo_testkit.engine import connect
from mambogo_testkit.fleet import Fleet
from mambogo_testkit.issuing import issuer
from mambogo_testkit.processes import ServiceProcess, service_process
from mambogo_testkit.serving import migrate
from support.catalogue import Catalogue, catalogue
from support.shop import ALICE, process_environment_for

MIGRATIONS = Path(__file__).parents[1] / "migrations"
LINES = 3
CLIENTS = 8
# Other work on the machine shows in a round's CPU time, too: the best of many short ones is the code's own.
ROUNDS = 20


async def place(url: str, headers: dict[str, str], products: Catalogue, orders: int) -> None:
    """So many orders of three lines, by some clients at once."""
    lines = [{"product_id": str(products.add()), "quantity": 2} for _ in range(LINES)]
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:

        async def buy(count: int) -> None:
            for _ in range(count):
                key = {"Idempotency-Key": str(uuid4())}
                answer = await client.post("/api/orders", json={"lines": lines}, headers=key)
                assert answer.status_code == 201, answer.text

        await asyncio.gather(*(buy(orders // CLIENTS) for _ in range(CLIENTS)))


def measure(
    service: ServiceProcess, headers: dict[str, str], products: Catalogue, orders: int
) -> list[float]:
    """CPU milliseconds per order, in each of several rounds."""
    asyncio.run(place(service.url, headers, products, CLIENTS * 12))
    each = orders // ROUNDS // CLIENTS * CLIENTS
    rounds = []
    for _ in range(ROUNDS):
        before = service.cpu_seconds
        asyncio.run(place(service.url, headers, products, each))
        rounds.append((service.cpu_seconds - before) / each * 1000)
    return sorted(rounds)


def main() -> None:
    """Start the parts, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=int, default=2400)
    options = parser.parse_args()
    fleet, client = Fleet(), connect()
    try:
        postgres = PostgresServer(fleet.get("postgres"), client, shared=True)
        broker = KafkaBroker(fleet.get("kafka"), client, shared=True).bootstrap_servers
        ensure_topics(broker, ("orders", "inventory", "payments"), partitions=3, replication_factor=1)
        with postgres.database() as database, catalogue() as products, issuer() as tokens:
            migrate(database, MIGRATIONS)
            environment = process_environment_for(database, tokens, products, broker)
            headers = {"Authorization": f"Bearer {tokens.token(ALICE, 'orders:write')}"}
            with (
                tempfile.TemporaryDirectory() as directory,
                service_process("mambogo_order.main", environment, log=Path(directory, "log")) as service,
            ):
                rounds = measure(service, headers, products, options.orders)
    finally:
        fleet.close()
        client.close()
    print("| what | CPU ms, best round | median | bound |")
    print("|---|---|---|---|")
    cells = f"{rounds[0]:.2f} | {rounds[ROUNDS // 2]:.2f} | 3"
    print(f"| `POST /api/orders`, {LINES} lines, its event sent | {cells} |")


if __name__ == "__main__":
    main()
