"""`rehearsal seed` and `rehearsal shop`: goods in the shop, and one order through all of it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from rehearsal.cli.composition import Workshop, workshop
from rehearsal.cli.console import show
from rehearsal.core.errors import RehearsalError
from rehearsal.core.verdicts import ExitCode

if TYPE_CHECKING:
    from rehearsal.shop.walking import Hop

_FEW = 10  # enough for one order by hand
_LINES_SECONDS = 2.5  # lines are there after 1.3 to 1.8 s; nobody waits for a collector that is busy


@click.command()
@click.option("--products", type=click.IntRange(1, 9999), default=1000, show_default=True)
def seed(products: int) -> None:
    """See to it that so many products are in the shop, with stock; what is there stays."""
    with workshop("seed") as shop:
        added = asyncio.run(_seeded(shop, products))[1]
        click.echo(f"{products} products are there, {added} of them new")


@click.command()
@click.option("--user", default="shopper-01", show_default=True, help="shopper-01 to shopper-20.")
def shop(user: str) -> int:
    """Place an order and follow it to its end; print each hop with its time.

    What cache, load balancer, gateway and service had of it comes from their logs, two seconds later.
    """
    from rehearsal.shop.walking import GOOD_END

    with workshop("shop") as opened:
        walked = asyncio.run(_walk(opened, user))
        for line in _inside(opened, walked.hops):
            show(line)
    click.echo(f"`rehearsal trace {walked.trace_id}` shows what the shop did for it")
    good = bool(walked.hops) and walked.hops[-1].good
    click.echo(f"the order was {GOOD_END}" if good else "the order did not get through")
    return ExitCode.PASS if good else ExitCode.FAIL


@dataclass(frozen=True, slots=True)
class _Walked:
    hops: tuple[Hop, ...]
    trace_id: str


async def _seeded(opened: Workshop, count: int) -> tuple[tuple[str, ...], int]:
    from rehearsal.cli.judging_assembly import open_shop
    from rehearsal.shop.seeding import seed as put_there

    async with open_shop(opened) as shop:
        done = await put_there(shop, count)
        return done.product_ids, done.added


async def _walk(opened: Workshop, user: str) -> _Walked:
    from rehearsal.cli.judging_assembly import open_shop
    from rehearsal.shop.walking import Walk

    product_ids, added = await _seeded(opened, _FEW)
    if added:
        click.echo(f"{added} products were added to an empty shop")
    hops: list[Hop] = []
    async with open_shop(opened) as shop:
        walk = Walk(
            shop, user, product_ids[0], str(uuid.uuid4()), opened.catalogue.objectives.order_end_seconds
        )
        async for hop in walk.hops():
            show(f"{hop.seconds * 1000:8.0f} ms  {hop.what}: {hop.said}")
            hops.append(hop)
    return _Walked(tuple(hops), walk.trace_id)


def _inside(opened: Workshop, hops: Sequence[Hop]) -> list[str]:
    """Return what the edge, the gateway and the services had of each request, as lines."""
    from rehearsal.observe.asking import store_client
    from rehearsal.observe.hops import hop_times, shares_text
    from rehearsal.observe.logs import VictoriaLogs

    ids = [hop.request_id for hop in hops if hop.request_id]
    with store_client(opened.catalogue.ports.logs) as client:
        try:
            found = hop_times(VictoriaLogs(client), ids, within_seconds=_LINES_SECONDS) if ids else {}
        except RehearsalError as error:
            return [f"who had how much of it is not known: {error.message}"]
        except ValueError as error:
            return [f"who had how much of it is not known: a log has no time in its form: {error}"]
    said = {hop.what: shares_text(found[hop.request_id]) for hop in hops if hop.request_id}
    said |= {hop.what: "the cache alone" for hop in hops if hop.cache and not hop.request_id}
    return ["of that time", *(f"  {hop.what}: {said[hop.what]}" for hop in hops if hop.what in said)]
