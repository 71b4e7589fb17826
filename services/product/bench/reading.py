"""What reading one cached product costs product-service, in CPU time per request.

    python bench/reading.py [--requests 5000]

Starts PostgreSQL, Redis and Kafka by the testkit. The service answers in this process, by its whole ASGI
application and a real Redis, without the HTTP server (80 us, the same for every operation). Prints a table.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [
    str(Path(__file__).parents[1] / "tests"),
    str(Path(__file__).parents[2] / "chassis" / "tests"),
]

import uvloop
from mambogo_testkit.dependencies.kafka import KafkaBroker
from mambogo_testkit.dependencies.postgres import PostgresServer
from mambogo_testkit.dependencies.redis import RedisServer
from mambogo_testkit.engine import connect
from mambogo_testkit.fleet import Fleet
from mambogo_testkit.serving import migrate
from support.issuer import issuer
from support.running import Running

from catalogue_support import ADMINISTRATOR, MIGRATIONS, body, serving, settings

# Other work on the machine shows in a round's CPU time, too: the best of many short ones is the code's own.
ROUNDS = 50


async def ask(app: Any, path: str) -> int:
    """One request through the application; the number of bytes answered."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"shop")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    assert sent[0]["status"] == 200, sent
    return len(sent[1]["body"])


async def measure(shop: Running, path: str, requests: int) -> float:
    """CPU microseconds per request, the best of several rounds."""
    app = shop.server.config.app
    await ask(app, path)
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(requests // ROUNDS):
            await ask(app, path)
        best = min(best, (time.process_time() - started) / (requests // ROUNDS))
    return best * 1e6


async def run(shop: Running, administrator: dict[str, str], requests: int) -> list[tuple[str, float]]:
    """What each read costs."""
    made = await shop.client.post("/api/products", json=body(), headers=administrator)
    path = f"/api/products/{made.json()['id']}"
    return [
        ("`GET /api/products/{id}`, cached", await measure(shop, path, requests)),
        ("`GET /api/categories`, from PostgreSQL", await measure(shop, "/api/categories", requests)),
    ]


def main() -> None:
    """Start the parts, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=5000)
    options = parser.parse_args()
    fleet, client = Fleet(), connect()
    try:
        postgres = PostgresServer(fleet.get("postgres"), client, shared=True)
        kafka = KafkaBroker(fleet.get("kafka"), client, shared=True)
        redis = RedisServer(fleet.get("redis"), client, shared=True)
        with postgres.database() as database, kafka.topics() as topics, redis.space() as space:
            migrate(database, MIGRATIONS)
            topics.create("products", partitions=3)
            with issuer() as tokens:
                used = settings(tokens, database, space, topics.bootstrap_servers, kafka_prefix=topics.prefix)
                administrator = {"Authorization": f"Bearer {tokens.token(**ADMINISTRATOR)}"}

                async def serve() -> list[tuple[str, float]]:
                    async with serving(used) as shop:
                        return await run(shop, administrator, options.requests)

                rows = uvloop.run(serve())
    finally:
        fleet.close()
        client.close()
    print("| read | CPU us |")
    print("|---|---|")
    for what, micros in rows:
        print(f"| {what} | {micros:.0f} |")


if __name__ == "__main__":
    main()
