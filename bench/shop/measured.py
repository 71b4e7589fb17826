"""The shop of `mambogo_audit` as production runs it: with its access log, and services that stop and go on.

Readings are of the system's own accounts: CPU time of each service's process and of each container.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path

import psutil
import psycopg
from mambogo_audit.administering import Administrator
from mambogo_audit.administering import session as administrators
from mambogo_audit.killing import Deaths
from mambogo_audit.parts import ground, parts_on
from mambogo_audit.planning import Stall
from mambogo_audit.shop import OWN_SETTINGS, Shop
from mambogo_audit.shopping import Market
from mambogo_audit.tree import MODULES, Tree
from mambogo_testkit.engine import LABEL_KIND, LABEL_OWNER, connect
from mambogo_testkit.owners import this_owner
from rehearsal.shop.history import History

# One statement over a partial index: what it costs the database does not grow with the orders that ended.
_WAITING = "SELECT count(*) FROM orders WHERE sweep_at IS NOT NULL"
_CONFIRMED_AT = """
SELECT order_id::text, extract(epoch FROM at)::float8 FROM order_history WHERE state = 'CONFIRMED'
"""


class MeasuredShop(Shop):
    """Five services and the sandbox, without failpoints."""

    async def stop(self, name: str) -> None:
        """End a service as the kernel does when memory is short."""
        await self._end(name)

    async def resume(self, name: str) -> None:
        """Start it again; returns when it is ready."""
        await self._start(name, None)
        await self._ready(name)

    async def cpu_seconds(self) -> dict[str, float]:
        """CPU time so far of each process and container, the load's own (`clients`) included.

        Beside the loop: asking the engine takes a second, whose orders would all come at once afterwards.
        """
        return await asyncio.to_thread(self._cpu_seconds)

    def _cpu_seconds(self) -> dict[str, float]:
        times = {name: _of_process(process.pid) for name, process in self._processes.items()}
        times["clients"] = _of_process(os.getpid())
        return times | _of_containers()

    def _environment(self, name: str) -> dict[str, str]:
        hurried = OWN_SETTINGS.get(name, {})
        kept = {key: value for key, value in super()._environment(name).items() if key not in hurried}
        return kept | {"ACCESS_LOG": "true", "LOG_LEVEL": "INFO"}


@asynccontextmanager
async def measured_shop() -> AsyncIterator[tuple[MeasuredShop, list[str]]]:
    """A shop of one process each that is ready, with a well-behaved provider; and its products."""
    folder = Path(tempfile.mkdtemp(prefix="shop-bench-"))
    print(f"logs: {folder}", file=sys.stderr)
    with ground() as servers, parts_on(servers, Tree.own(), folder) as parts:
        one_each = {name: name for name in MODULES}
        shop = MeasuredShop(parts, Tree.own(), 1, Deaths({}), processes=one_each, switches={})
        try:
            await shop.start()
            yield shop, await _stocked_up(shop)
        finally:
            await shop.close()


async def _stocked_up(shop: MeasuredShop) -> list[str]:
    """Plenty of each product; their ids."""
    with History(shop.parts.folder / "history.jsonl") as history:
        market = Market(shop.urls, shop.parts.issuer, history, Stall((), ()))
        async with administrators() as http:
            return list((await Administrator(market, http, shop.seed).stock_up(0)).plenty)


class Orders:
    """A look into order-service's database."""

    def __init__(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        self._connection = connection

    async def state(self, order_id: str) -> str:
        """Where an order stands, as it is committed."""
        row = await self._one("SELECT state FROM orders WHERE order_id = %s", (order_id,))
        return str(row[0])

    async def waiting(self) -> int:
        """Orders that have not ended."""
        row = await self._one(_WAITING, ())
        return int(str(row[0]))

    async def confirmed_at(self) -> dict[str, float]:
        """When each order was confirmed, in Unix seconds of the same machine's clock."""
        cursor = await self._connection.execute(_CONFIRMED_AT)
        return {str(order_id): float(str(at)) for order_id, at in await cursor.fetchall()}

    async def _one(self, query: str, parameters: tuple[object, ...]) -> tuple[object, ...]:
        cursor = await self._connection.execute(query.encode(), parameters)
        row = await cursor.fetchone()
        assert row is not None
        return row


@asynccontextmanager
async def orders_of(shop: MeasuredShop) -> AsyncIterator[Orders]:
    """The look, for the length of the block."""
    dsn = shop.parts.databases["order"].dsn
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        yield Orders(connection)


def per_order(before: Mapping[str, float], after: Mapping[str, float], orders: int) -> dict[str, float]:
    """CPU milliseconds per order of each part, the dearest first."""
    spent = {name: (after[name] - before[name]) / orders * 1000 for name in after if name in before}
    return dict(sorted(spent.items(), key=lambda item: -item[1]))


def service_names() -> tuple[str, ...]:
    """The services that can be stopped."""
    return tuple(MODULES)


def _of_process(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _of_containers() -> dict[str, float]:
    with closing(connect()) as client:
        mine = {"label": f"{LABEL_OWNER}={this_owner()}"}
        return {
            container.labels[LABEL_KIND]: _used_seconds(client, container.id or "")
            for container in client.containers.list(filters=mine)
        }


def _used_seconds(client: object, container: str) -> float:
    # One shot: without it the engine waits a second for a second reading.
    raw = client.api._get(  # type: ignore[attr-defined] # docker-py cannot say "one shot"
        client.api._url("/containers/{0}/stats", container),  # type: ignore[attr-defined]
        params={"stream": "0", "one-shot": "1"},
    )
    return float(json.loads(raw.content)["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9
