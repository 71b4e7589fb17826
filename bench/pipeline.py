"""How fast the shop is from an order to its confirmation: unloaded, at a fixed rate, and after a stop.

nox -s bench -- pipeline [way] [rate] [stops] [--write]

The five services and the provider's sandbox are processes; PostgreSQL, Redis and Kafka are containers; the
clients are this process. Everything shares the machine's cores, and what else the machine does is in every
number: the load average at the start is part of each table. `--write` puts them into docs/benchmarks/shop.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "shop"))

from buying import Buyers, percentile, session
from measured import (
    MeasuredShop,
    Orders,
    measured_shop,
    orders_of,
    per_order,
    service_names,
)

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "shop.md"
_LOOK_SECONDS = 0.002
_WARM_UP_ORDERS = 30
_WARM_UP_SECONDS = 10.0
_ENOUGH_SECONDS = 120.0
# A backlog is gone when no more orders wait than a second's offer.
_NORMAL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measurement uses."""

    shop: MeasuredShop
    orders: Orders
    buyers: Buyers
    options: argparse.Namespace


@asynccontextmanager
async def load(bench: Bench, rate: float) -> AsyncIterator[None]:
    """Orders at a rate for the length of the block."""
    over = asyncio.Event()
    running = asyncio.create_task(bench.buyers.at_rate(rate, over))
    try:
        yield
    finally:
        over.set()
        await running


async def drained(bench: Bench, most: float) -> float:
    """Seconds until at most `most` orders wait; infinity when that takes too long."""
    started = time.monotonic()
    while await bench.orders.waiting() > most:
        if time.monotonic() - started > _ENOUGH_SECONDS:
            return float("inf")
        await asyncio.sleep(0.1)
    return time.monotonic() - started


async def way(bench: Bench) -> list[str]:
    """Orders one after the other, each from the request's sending to the visible CONFIRMED."""
    for _ in range(_WARM_UP_ORDERS):
        await until_confirmed(bench)
    seconds = [await until_confirmed(bench) for _ in range(bench.options.orders)]
    cells = [f"{percentile(seconds, share) * 1000:.0f} ms" for share in (0.5, 0.9, 0.99, 1.0)]
    return [
        "| orders | median | p90 | p99 | slowest | bound of p99 |",
        "|---|---|---|---|---|---|",
        f"| {len(seconds)} | {' | '.join(cells)} | 300 ms |",
    ]


async def until_confirmed(bench: Bench) -> float:
    """One order's way."""
    started = time.monotonic()
    order_id = await bench.buyers.place()
    assert order_id is not None, "an order was refused by a shop that does nothing else"
    while await bench.orders.state(order_id) != "CONFIRMED":
        assert time.monotonic() - started < _ENOUGH_SECONDS, f"{order_id} is not confirmed"
        await asyncio.sleep(_LOOK_SECONDS)
    return time.monotonic() - started


async def rate(bench: Bench) -> list[str]:
    """Orders at fixed rates: what is confirmed meanwhile, how late, and what each part spends."""
    rows = [
        "| offered | confirmed | refused | answered p99 | confirmed median | p99 | waiting at the end |",
        "|---|---|---|---|---|---|---|",
    ]
    costs: list[str] = []
    for offered in bench.options.rates:
        row, spent = await at_rate(bench, offered)
        rows.append(row)
        shown = ", ".join(f"{name} {cost:.1f}" for name, cost in spent.items() if cost >= 0.05)
        costs.append(f"CPU ms per order at {offered:g}/s: {shown}; together {sum(spent.values()):.1f}.")
        await drained(bench, 0)
    return [*rows, "", *costs]


async def at_rate(bench: Bench, offered: float) -> tuple[str, dict[str, float]]:
    """One rate: its row, and CPU milliseconds per order."""
    async with load(bench, offered):
        await asyncio.sleep(_WARM_UP_SECONDS)
        bench.buyers.answered_seconds.clear()
        refused, before = bench.buyers.refused, await bench.shop.cpu_seconds()
        began = time.time()
        await asyncio.sleep(bench.options.seconds)
        ended, after = time.time(), await bench.shop.cpu_seconds()
        waiting = await bench.orders.waiting()
    confirmed_at = await bench.orders.confirmed_at()
    within = [order for order, at in confirmed_at.items() if began <= at < ended]
    taken = [confirmed_at[order] - bench.buyers.sent_at[order] for order in within]
    cells = (
        f"{offered:g}/s",
        f"{len(within) / (ended - began):.1f}/s",
        str(bench.buyers.refused - refused),
        f"{percentile(bench.buyers.answered_seconds, 0.99) * 1000:.0f} ms",
        f"{percentile(taken, 0.5) * 1000:.0f} ms",
        f"{percentile(taken, 0.99) * 1000:.0f} ms",
        str(waiting),
    )
    return f"| {' | '.join(cells)} |", per_order(before, after, len(within))


async def stops(bench: Bench) -> list[str]:
    """Each service stopped for a minute under load: how soon nothing waits any more after its return."""
    rows = [
        "| stopped | refused meanwhile | waiting at its return | ready after | drained after start | bound |",
        "|---|---|---|---|---|---|",
    ]
    offered = bench.options.offered
    for name in bench.options.stop or service_names():
        async with load(bench, offered):
            await asyncio.sleep(_WARM_UP_SECONDS)
            refused = bench.buyers.refused
            await bench.shop.stop(name)
            await asyncio.sleep(bench.options.stopped_seconds)
            waiting, started = await bench.orders.waiting(), time.monotonic()
            await bench.shop.resume(name)
            ready = time.monotonic() - started
            refused = bench.buyers.refused - refused
            whole = ready + await drained(bench, offered * _NORMAL_SECONDS)
        rows.append(f"| {name} | {refused} | {waiting} | {ready:.1f} s | {whole:.1f} s | 30 s |")
        print(rows[-1], file=sys.stderr)
        await drained(bench, 0)
    return rows


MEASUREMENTS: dict[str, Callable[[Bench], Awaitable[list[str]]]] = {"way": way, "rate": rate, "stops": stops}


async def run(options: argparse.Namespace) -> dict[str, list[str]]:
    """The measurements that were asked for, each on the same shop."""
    found = {}
    async with measured_shop() as (shop, products), session() as http, orders_of(shop) as orders:
        buyers = Buyers(http, shop.urls["order"], shop.parts.issuer, products)
        bench = Bench(shop, orders, buyers, options)
        for name in options.what or MEASUREMENTS:
            at_start = f"Load average {os.getloadavg()[0]:.1f} at the start, {os.cpu_count()} cores."
            found[name] = [at_start, "", *await MEASUREMENTS[name](bench)]
    return found


def write(name: str, lines: Iterable[str]) -> None:
    """Put a table between its marks in the page."""
    marks = f"<!-- {name} -->", f"<!-- /{name} -->"
    old = PAGE.read_text()
    between = re.compile(f"{marks[0]}.*?{marks[1]}", re.DOTALL)
    assert between.search(old), f"{PAGE} has no place for {name}"
    new = "\n\n".join((marks[0], "\n".join(lines), marks[1]))
    PAGE.write_text(between.sub(lambda _: new, old))


def parsed() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="nox -s bench -- pipeline")
    parser.add_argument("what", nargs="*", choices=[*MEASUREMENTS, []], help="everything, unless named")
    parser.add_argument("--orders", type=int, default=200, help="of the way")
    parser.add_argument("--rates", type=float, nargs="+", default=[25.0, 50.0, 100.0], metavar="PER_SECOND")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each rate")
    parser.add_argument(
        "--offered", type=float, default=25.0, metavar="PER_SECOND", help="while one is stopped"
    )
    parser.add_argument("--stopped-seconds", type=float, default=60.0)
    parser.add_argument("--stop", nargs="+", choices=service_names(), help="these only")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = parsed()
    for name, lines in asyncio.run(run(options)).items():
        print(f"\n{name}\n")
        print("\n".join(lines))
        if options.write:
            write(name, lines)


if __name__ == "__main__":
    main()
