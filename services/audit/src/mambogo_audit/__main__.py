"""Run the shop, hurt it, audit it: `python -m mambogo_audit [--orders 5000] [--clients 32] [--seed 1]`.

Ends with 0 if every invariant holds, 1 if one does not, 4 if one could not be looked at.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from mambogo_testkit.dependencies.kafka import KafkaBroker
from mambogo_testkit.dependencies.postgres import PostgresServer
from mambogo_testkit.dependencies.redis import RedisServer
from mambogo_testkit.engine import connect
from mambogo_testkit.fleet import Fleet
from mambogo_testkit.issuing import issuer
from rehearsal.chaos.proving.audit import Audit, audit
from rehearsal.chaos.proving.operations import operations_of
from rehearsal.core.verdicts import Verdict, combine, exit_code_of
from rehearsal.shop.history import History, read

from mambogo_audit.clients import Shoppers
from mambogo_audit.collecting import collect
from mambogo_audit.shop import MODULES, TOPICS, WITH_DATABASE, Parts, Shop, migrate

_PRODUCTS: Final = 20
_RACED: Final = 2
_STOCK: Final = 1_000_000
_LAST_UNITS: Final = 5
_PRICE_MINOR: Final = 1990
# Of quiet before the audit looks: what the invariant of ended orders grants.
QUIET_SECONDS: Final = 62.0
_SHOWN: Final = 10


@contextmanager
def parts_of(folder: Path) -> Iterator[Parts]:
    """Containers, databases with their tables, topics, and an issuer of tokens."""
    with ExitStack() as stack:
        client = connect()
        stack.callback(client.close)
        fleet = Fleet()
        stack.callback(fleet.close)
        postgres = PostgresServer(fleet.get("postgres"), client, shared=True)
        databases = {name: stack.enter_context(postgres.database()) for name in WITH_DATABASE}
        migrate(databases)
        topics = stack.enter_context(KafkaBroker(fleet.get("kafka"), client, shared=True).topics())
        for topic in TOPICS:
            topics.create(topic, partitions=4)
            topics.create(f"{topic}.dlt", partitions=1)
        redis = stack.enter_context(RedisServer(fleet.get("redis"), client, shared=True).space())
        yield Parts(databases, topics, redis, stack.enter_context(issuer()), folder)


async def stock_up(shop: Shop) -> tuple[list[str], list[str]]:
    """Make products and what there is of them: plenty, and of a few the last units."""
    token = shop.parts.issuer.token(
        "administrator", "products:write", "inventory:write", roles=("shop-admin",)
    )
    made: list[str] = []
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        for number in range(_PRODUCTS + _RACED):
            body = {
                "sku": f"AUDIT-{number:04}",
                "name": f"Product {number}",
                "category": "audit",
                "currency": "EUR",
                "price_minor": _PRICE_MINOR + number,
            }
            async with session.post(f"{shop.url('product')}/api/products", json=body) as answer:
                answer.raise_for_status()
                product_id = str((await answer.json())["id"])
            initial = _STOCK if number < _PRODUCTS else _LAST_UNITS
            path = f"{shop.url('inventory')}/api/inventory/{product_id}"
            async with session.put(path, json={"initial": initial}, headers={"If-None-Match": "*"}) as answer:
                answer.raise_for_status()
            made.append(product_id)
    return made[:_PRODUCTS], made[_PRODUCTS:]


async def run(parts: Parts, options: argparse.Namespace) -> tuple[Audit, Shop]:
    """The whole: stock, orders under kills, quiet, audit."""
    shop = Shop(parts, options.seed)
    history_file = parts.folder / "history.jsonl"
    try:
        await shop.start()
        products, raced = await stock_up(shop)
        urls = {name: shop.url(name) for name in MODULES}
        with History(history_file) as history:
            shoppers = Shoppers(urls, parts.issuer, history, products, raced)
            if not options.calm:
                await shop.kill_at_failpoints()
            await shoppers.run(options.orders, options.clients, options.seed)
        await shop.calm()
        await asyncio.sleep(QUIET_SECONDS)
        ledger = await _ledger(shop)
    finally:
        await shop.close()
    snapshot = collect(parts, ledger, quiet_seconds=QUIET_SECONDS, raced=dict.fromkeys(raced, _LAST_UNITS))
    return audit(operations_of(read(history_file)), snapshot), shop


async def _ledger(shop: Shop) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    async with aiohttp.ClientSession() as session:
        while True:
            after = entries[-1]["number"] if entries else 0
            async with session.get(f"{shop.url('sandbox')}/admin/ledger?after={after}") as answer:
                answer.raise_for_status()
                more = (await answer.json())["entries"]
            if not more:
                return entries
            entries += more


def main() -> int:
    """Print what was found; the exit code."""
    parser = argparse.ArgumentParser(prog="mambogo_audit", description=__doc__)
    parser.add_argument("--orders", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calm", action="store_true", help="kill nothing: a control run")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="shop-audit-"))
    print(f"history and logs: {folder}")
    with parts_of(folder) as parts:
        found, shop = asyncio.run(run(parts, options))
    deaths = Counter(death.partition("@")[0] for death in shop.deaths)
    print(f"{len(shop.deaths)} processes died at {len(deaths)} failpoints, and were started again")
    for result in found.results:
        counted = f"{result.looked_at} compared, {result.violation_count} violations"
        print(
            f"{result.verdict:8} {result.invariant.id:4} {result.invariant.title}: {counted} {result.reason}"
        )
        for violation in result.violations[:_SHOWN]:
            print(f"         {violation}")
    verdict = found.verdict
    if not shop.deaths and not options.calm:
        # Without a death, nothing that holds was put to the test.
        verdict = combine((verdict, Verdict.INVALID))
        print("no process died: more orders, or another seed")
    print(verdict)
    return int(exit_code_of(verdict))


if __name__ == "__main__":
    sys.exit(main())
