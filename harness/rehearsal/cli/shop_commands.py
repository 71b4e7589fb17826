"""`rehearsal seed` and `rehearsal shop`: goods in the shop, and one order through all of it."""

from __future__ import annotations

import asyncio
import uuid

import click

from rehearsal.cli.composition import Workshop, workshop
from rehearsal.core.verdicts import ExitCode

_FEW = 10  # enough for one order by hand


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
    """Place an order and follow it to its end; print each hop with its time."""
    with workshop("shop") as opened:
        return asyncio.run(_walk(opened, user))


async def _seeded(opened: Workshop, count: int) -> tuple[tuple[str, ...], int]:
    from rehearsal.cli.judging_assembly import open_shop
    from rehearsal.shop.seeding import seed as put_there

    async with open_shop(opened) as shop:
        done = await put_there(shop, count)
        return done.product_ids, done.added


async def _walk(opened: Workshop, user: str) -> int:
    from rehearsal.cli.judging_assembly import open_shop
    from rehearsal.shop.walking import GOOD_END, Walk

    product_ids, added = await _seeded(opened, _FEW)
    if added:
        click.echo(f"{added} products were added to an empty shop")
    last = None
    async with open_shop(opened) as shop:
        walk = Walk(
            shop, user, product_ids[0], str(uuid.uuid4()), opened.catalogue.objectives.order_end_seconds
        )
        async for hop in walk.hops():
            click.echo(f"{hop.seconds * 1000:8.0f} ms  {hop.what}: {hop.said}")
            last = hop
        click.echo(f"`rehearsal trace {walk.trace_id}` shows what the shop did for it")
    good = last is not None and last.good
    click.echo(f"the order was {GOOD_END}" if good else "the order did not get through")
    return ExitCode.PASS if good else ExitCode.FAIL
