"""Goods in the shop: so many for sale, with stock, the same whenever it is run; what is there stays.

A product is known by its SKU, so that a second run, one that was cut off, and one beside it make no second
one. One that was discontinued stays so, because somebody decided it, and keeps its SKU, which is taken for
ever: a successor is made, `SEED-0003-2`. Products of a run's own are `stocking`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.shop.answers import Answer, Kind, id_of
from rehearsal.shop.client import NewProduct

CATEGORY = "seed"
_UNITS = 1_000_000  # nobody sells a seeded product out by the way
_THINGS = ("Tent", "Sleeping bag", "Stove", "Lamp", "Rope", "Backpack", "Map", "Kettle", "Hammock", "Axe")
_CHEAPEST_MINOR = 499
_STEP_MINOR = 100
_SKU_TAKEN = 409  # the only conflict that a new product can have
_SKU_PARTS = 2  # `SEED` and the number; a third is a successor's
_MOST_GENERATIONS = 100  # arbitrary; a shop that takes no SKU at all must not be asked for ever
_SERVER_ERRORS = 500
_DOWN_HINT = "`kubectl get pods -A` shows which service is down; `rehearsal up --ci` mends it."
_REFUSED_HINT = "It is up and refuses: `rehearsal logs product-service`, or inventory-service, may say why."


class Warehouse(Protocol):
    """The part of the shop that is needed here."""

    async def products(self, category: str, cursor: str = "") -> Answer:
        """Get a page of a category's products that are for sale, the newest first."""

    async def search(self, text: str) -> Answer:
        """Get products for sale that have each word of a text in name, SKU or category."""

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


@dataclass(frozen=True, slots=True)
class _Offered:
    product_id: str
    is_new: bool


async def seed(shop: Warehouse, count: int) -> Seeded:
    """See to it that the first `count` products are for sale, with stock.

    Raises EnvironmentNotReadyError with the shop's answer when it refuses one.
    """
    known, newest = await _known(shop)
    ids: list[str] = []
    added = 0
    for number in range(1, count + 1):
        wanted = product(number)
        product_id = known.get(wanted.sku)
        if product_id is None:
            offered = await _offered(shop, wanted)
            product_id, added = offered.product_id, added + offered.is_new
        # A run that was cut off may have left the last one that it made without stock, one beside this may
        # not have given it yet; giving it again changes nothing.
        if wanted.sku not in known or product_id in newest:
            _taken(await shop.set_stock(product_id, _UNITS), f"the stock of {wanted.sku}")
        ids.append(product_id)
    return Seeded(tuple(ids), added)


async def _offered(shop: Warehouse, wanted: NewProduct) -> _Offered:
    """Make a product, or find who was quicker; where its SKU is lost to a discontinued one, a successor."""
    generation, sku = 1, wanted.sku
    answer = await shop.create_product(wanted)
    while answer.status == _SKU_TAKEN and generation < _MOST_GENERATIONS:
        if product_id := await _for_sale(shop, sku):
            return _Offered(product_id, is_new=False)
        generation += 1
        sku = f"{wanted.sku}-{generation}"
        answer = await shop.create_product(replace(wanted, sku=sku))
    return _Offered(id_of(_taken(answer, sku), sku), is_new=True)


async def _for_sale(shop: Warehouse, sku: str) -> str:
    """Return the id of the product that is sold under a SKU; empty when none is."""
    found = _listed(_taken(await shop.search(sku), f"the question for {sku}"))
    # Words are found by how they begin, so others may be among them.
    return next((id_ for known, id_ in found if known == sku), "")


async def _known(shop: Warehouse) -> tuple[dict[str, str], set[str]]:
    """Return ids by the SKU that each began with, and of the newest product and the newest successor."""
    found: dict[str, str] = {}
    newest: dict[bool, str] = {}
    cursor = ""
    while True:
        page = _taken(await shop.products(CATEGORY, cursor), "the question for its products")
        for sku, id_ in _listed(page):
            parts = sku.split("-")
            newest.setdefault(len(parts) > _SKU_PARTS, id_)
            found["-".join(parts[:_SKU_PARTS])] = id_
        cursor = str(page.body.get("next_cursor") or "")
        if not cursor:
            return found, set(newest.values())


def _listed(page: Answer) -> list[tuple[str, str]]:
    """Return SKU and id of each product that is listed. Raises EnvironmentNotReadyError for no such list."""
    try:
        return [(str(one["sku"]), str(one["id"])) for one in page.body["items"]]
    except (KeyError, TypeError) as error:
        raise EnvironmentNotReadyError(
            "PRODUCTS_UNREADABLE",
            f"product-service answers {page.status}, and not by products with SKU and id: {error!r}",
            hint=_REFUSED_HINT,
        ) from error


def _taken(answer: Answer, what: str) -> Answer:
    if answer.kind is not Kind.OK:
        refused = answer.status is not None and answer.status < _SERVER_ERRORS
        raise EnvironmentNotReadyError(
            "SHOP_NOT_SEEDED",
            f"the shop does not take {what}: {answer}",
            hint=_REFUSED_HINT if refused else _DOWN_HINT,
        )
    return answer
