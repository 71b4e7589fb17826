"""Goods in the shop: the same products whenever it is run, only what is missing is added.

A product is known by its SKU, so that a second run, or one that was cut off, makes no second one. Products of
a run's own are `stocking`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.shop.answers import Answer, Kind
from rehearsal.shop.client import NewProduct

CATEGORY = "seed"
_UNITS = 1_000_000  # nobody sells a seeded product out by the way
_THINGS = ("Tent", "Sleeping bag", "Stove", "Lamp", "Rope", "Backpack", "Map", "Kettle", "Hammock", "Axe")
_CHEAPEST_MINOR = 499
_STEP_MINOR = 100


class Warehouse(Protocol):
    """The part of the shop that is needed here."""

    async def products(self, category: str, cursor: str = "") -> Answer:
        """Get a page of a category's products."""

    async def create_product(self, product: NewProduct) -> Answer:
        """Add a product to the catalogue."""

    async def set_stock(self, product_id: str, quantity: int) -> Answer:
        """Give a product its first stock."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """What there is after seeding."""

    product_ids: tuple[str, ...]
    added: int


def product(number: int) -> NewProduct:
    """Return the product of a number, from 1 on; always the same."""
    thing = _THINGS[number % len(_THINGS)]
    price = _CHEAPEST_MINOR + _STEP_MINOR * (number % 97)  # a prime: prices and things do not go together
    return NewProduct(f"SEED-{number:04d}", f"{thing} {number}", price, category=CATEGORY)


async def seed(shop: Warehouse, count: int) -> Seeded:
    """See to it that the first `count` products are there, with stock.

    Raises EnvironmentNotReadyError with the shop's answer when it refuses one.
    """
    known = await _known(shop)
    # A run that was cut off may have left the last one without stock; giving it again changes nothing.
    newest = max(known, default="")
    ids: list[str] = []
    for number in range(1, count + 1):
        wanted = product(number)
        product_id = known.get(wanted.sku) or await _made(shop, wanted)
        if wanted.sku not in known or wanted.sku == newest:
            _taken(await shop.set_stock(product_id, _UNITS), f"the stock of {wanted.sku}")
        ids.append(product_id)
    return Seeded(tuple(ids), sum(product(number).sku not in known for number in range(1, count + 1)))


async def _made(shop: Warehouse, wanted: NewProduct) -> str:
    return str(_taken(await shop.create_product(wanted), wanted.sku).body["id"])


async def _known(shop: Warehouse) -> dict[str, str]:
    found: dict[str, str] = {}
    cursor = ""
    while True:
        page = _taken(await shop.products(CATEGORY, cursor), "the question for its products")
        found.update({str(one["sku"]): str(one["id"]) for one in page.body["items"]})
        cursor = str(page.body.get("next_cursor") or "")
        if not cursor:
            return found


def _taken(answer: Answer, what: str) -> Answer:
    if answer.kind is not Kind.OK:
        raise EnvironmentNotReadyError(
            "SHOP_NOT_SEEDED",
            f"the shop does not take {what}: {answer}",
            hint="`kubectl get pods -A` shows which service is down; `rehearsal up --ci` mends it.",
        )
    return answer
