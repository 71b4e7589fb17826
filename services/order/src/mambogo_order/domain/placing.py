"""What makes an order out of what a client asks for and what the products cost. Pure.

A refusal is an exception with the code that the client gets. Each depends on the products' state at this
moment: the same request may be good later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from mambogo_order.domain.model import CURRENCIES, MAX_TOTAL_MINOR, Line


@dataclass(frozen=True, slots=True)
class Wish:
    """A line as the client wants it; `expected_unit_price_minor` is the price that it was shown, if any."""

    product_id: UUID
    quantity: int
    expected_unit_price_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """What one of a product costs now."""

    product_id: UUID
    currency: str
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class Draft:
    """An order that may be stored."""

    lines: Sequence[Line]
    currency: str
    total_minor: int


class PlacementError(Exception):
    """The order cannot be placed as it was asked for."""

    code: ClassVar[str]


class DuplicateProductError(PlacementError):
    """Two lines name one product. No schema can say that this is forbidden; merging them would be a guess."""

    code = "product-repeated"


class ProductUnavailableError(PlacementError):
    """A product does not exist, or is not on sale."""

    code = "product-unavailable"


class PriceChangedError(PlacementError):
    """The client expected another price."""

    code = "price-changed"


class CurrencyError(PlacementError):
    """The products' currency is not one, not known, or not the one that was asked for."""

    code = "currency-mismatch"


class TotalTooLargeError(PlacementError):
    """The total cannot be written as an integer that everybody reads alike."""

    code = "total-too-large"


def require_distinct(wishes: Sequence[Wish]) -> None:
    """Raises DuplicateProductError."""
    if len({wish.product_id for wish in wishes}) < len(wishes):
        raise DuplicateProductError("Two lines name the same product.")


def draft(wishes: Sequence[Wish], quotes: Mapping[UUID, Quote], currency: str | None) -> Draft:
    """Price the wishes; `currency` is the one that the client wants to pay in, if it said so.

    Raises the PlacementErrors.
    """
    require_distinct(wishes)
    _require_known(wishes, quotes)
    lines = [_priced(wish, quotes[wish.product_id]) for wish in wishes]
    total_minor = sum(line.quantity * line.unit_price_minor for line in lines)
    if total_minor > MAX_TOTAL_MINOR:
        raise TotalTooLargeError(f"The total is more than {MAX_TOTAL_MINOR}.")
    return Draft(lines, _one_currency([quotes[wish.product_id] for wish in wishes], currency), total_minor)


def _require_known(wishes: Sequence[Wish], quotes: Mapping[UUID, Quote]) -> None:
    unknown = [str(wish.product_id) for wish in wishes if wish.product_id not in quotes]
    if unknown:
        # The first few: whoever sent 100 wrong ids is not helped by a list of them.
        raise ProductUnavailableError(f"Not on sale: {', '.join(unknown[:5])}.")


def _priced(wish: Wish, quote: Quote) -> Line:
    if wish.expected_unit_price_minor not in (None, quote.unit_price_minor):
        raise PriceChangedError(f"Product {wish.product_id} now costs {quote.unit_price_minor}.")
    return Line(wish.product_id, wish.quantity, quote.unit_price_minor)


def _one_currency(quotes: Sequence[Quote], wanted: str | None) -> str:
    found = sorted({quote.currency for quote in quotes})
    if len(found) != 1:
        raise CurrencyError(f"The products are sold in {' and '.join(found)}: order them separately.")
    if found[0] not in CURRENCIES or wanted not in (None, found[0]):
        raise CurrencyError(f"The products are sold in {found[0]}.")
    return found[0]
