"""What an update of a cart costs cart-service, in CPU time of its process per request.

    python bench/updating.py [--updates 4000]

Redis is real, by the testkit; product-service is a small real server. The service is a process of its own;
its HTTP server is in the number, the client and the others are not.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import httpx

from mambogo_testkit.dependencies.redis import RedisServer
from mambogo_testkit.engine import connect
from mambogo_testkit.fleet import Fleet
from mambogo_testkit.issuing import issuer
from mambogo_testkit.processes import ServiceProcess, service_process
from support.shop import ALICE, neighbours, process_environment_for

PRODUCTS = 3
CLIENTS = 4
# Other work on the machine shows in a round's CPU time, too: the best of many short ones is the code's own.
ROUNDS = 20


async def update(url: str, headers: dict[str, str], items: list[str], updates: int) -> None:
    """So many changes of quantity, by some tabs at once."""
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:

        async def change(tab: int, count: int) -> None:
            for number in range(count):
                path = f"/api/carts/current/items/{items[tab % len(items)]}"
                answer = await client.put(path, json={"quantity": number % 1000 + 1})
                assert answer.status_code == 200, answer.text

        await asyncio.gather(*(change(tab, updates // CLIENTS) for tab in range(CLIENTS)))


def measure(service: ServiceProcess, headers: dict[str, str], items: list[str], updates: int) -> list[float]:
    """CPU microseconds per update, in each of several rounds."""
    asyncio.run(update(service.url, headers, items, CLIENTS * 30))
    each = updates // ROUNDS // CLIENTS * CLIENTS
    rounds = []
    for _ in range(ROUNDS):
        before = service.cpu_seconds
        asyncio.run(update(service.url, headers, items, each))
        rounds.append((service.cpu_seconds - before) / each * 1e6)
    return sorted(rounds)


def main() -> None:
    """Start the parts, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=4000)
    options = parser.parse_args()
    fleet, client = Fleet(), connect()
    try:
        redis = RedisServer(fleet.get("redis"), client, shared=True)
        with redis.space() as space, neighbours() as near, issuer() as tokens:
            items = [str(near.catalogue.add()) for _ in range(PRODUCTS)]
            # As in production: a price that was seen within 5 s is not asked for again.
            environment = process_environment_for(space.url, tokens, near.addresses)
            headers = {"Authorization": f"Bearer {tokens.token(ALICE, 'carts:write')}"}
            with (
                tempfile.TemporaryDirectory() as directory,
                service_process("mambogo_cart.main", environment, log=Path(directory, "log")) as service,
            ):
                rounds = measure(service, headers, items, options.updates)
    finally:
        fleet.close()
        client.close()
    print("| what | CPU us, best round | median | bound |")
    print("|---|---|---|---|")
    cells = f"{rounds[0]:.0f} | {rounds[ROUNDS // 2]:.0f} | 600"
    print(f"| `PUT /api/carts/current/items/{{product_id}}`, {PRODUCTS} products | {cells} |")


if __name__ == "__main__":
    main()
