"""The operations of product-service.

Reading one product sends the bytes that the cache holds: no model is built for it. That they are what the
document says is `models.encode`'s, and tested.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Response
from mambogo_chassis.auth import PUBLIC, Principal, requires
from mambogo_chassis.http import etags, pagination
from mambogo_chassis.http.openapi import LOCATION, header, with_headers
from mambogo_chassis.http.problems import Problem, conflict, errors, not_found

from mambogo_product.api import models
from mambogo_product.domain.products import SkuTakenError
from mambogo_product.service.catalogue import Catalogue

_MAX_BIGINT: Final = 2**63 - 1
_ETAG: Final = header("ETag", "The version of the product.")
_CACHE_CONTROL: Final = header("Cache-Control", "How long a shared cache may keep the answer.")
# An edge that cannot reach us may go on with what it has for so long.
_STALE_SECONDS: Final = 300

Administrator = Annotated[Principal, requires("products:write", any_role=["shop-admin"])]


class Position(msgspec.Struct, frozen=True, array_like=True):
    """What a cursor holds: the place of the last item in its list."""

    place: Annotated[int, msgspec.Meta(ge=1, le=_MAX_BIGINT)]


def routes(catalogue: Catalogue, edge_seconds: Callable[[], int]) -> list[APIRouter]:
    """All of them. `edge_seconds` is how long a shared cache may keep a product."""
    return [_reading(catalogue, edge_seconds), _changing(catalogue), _quoting(catalogue)]


def _reading(catalogue: Catalogue, edge_seconds: Callable[[], int]) -> APIRouter:
    router = APIRouter(tags=["catalogue"])

    @router.get("/api/products", operation_id="listProducts", openapi_extra=PUBLIC, responses=errors(404))
    async def list_products(
        query: Annotated[models.ProductQuery, Query()],
    ) -> pagination.Page[models.ProductView]:
        """List active products, the newest first. Each word of `q` has to begin a word of the product."""
        rows = await catalogue.page(
            before=_before(query.cursor), count=query.limit + 1, category=query.category, text=query.q
        )
        kept, more = pagination.page_of(rows, query.limit)
        return pagination.Page[models.ProductView](
            items=[models.ProductView.of(product) for _, product in kept],
            next_cursor=_cursor(kept[-1][0]) if more else None,
        )

    @router.get(
        "/api/products/{product_id}",
        operation_id="getProduct",
        openapi_extra=PUBLIC,
        response_model=models.ProductView,
        responses={
            200: with_headers(_ETAG, _CACHE_CONTROL),
            304: {"description": "Not changed.", **with_headers(_ETAG, _CACHE_CONTROL)},
            **errors(404),
        },
    )
    async def get_product(product_id: UUID, if_none_match: etags.IfNoneMatch = None) -> Response:
        """Get one product, discontinued ones too."""
        entry = await catalogue.get(product_id)
        if entry is None:
            raise not_found("product")
        headers = {
            "ETag": etags.etag(entry.version),
            "Cache-Control": f"public, max-age={edge_seconds()}, stale-if-error={_STALE_SECONDS}",
        }
        if etags.not_modified(if_none_match, entry.version):
            return Response(status_code=304, headers=headers)
        return Response(entry.body, headers=headers, media_type="application/json")

    @router.get(
        "/api/products/{product_id}/prices",
        operation_id="listPrices",
        openapi_extra=PUBLIC,
        responses=errors(404),
    )
    async def list_prices(
        product_id: UUID, query: Annotated[pagination.PageQuery, Query()]
    ) -> pagination.Page[models.PriceView]:
        """List the prices that a product has had, the newest first."""
        rows = await catalogue.prices(product_id, before=_before(query.cursor), count=query.limit + 1)
        if rows is None:
            raise not_found("product")
        kept, more = pagination.page_of(rows, query.limit)
        items = [
            models.PriceView(
                currency=price.currency, price_minor=price.price_minor, valid_from=price.valid_from
            )
            for price in kept
        ]
        return pagination.Page[models.PriceView](
            items=items, next_cursor=_cursor(kept[-1].id) if more else None
        )

    @router.get("/api/categories", operation_id="listCategories", openapi_extra=PUBLIC)
    async def list_categories() -> models.Categories:
        """List the categories of active products."""
        rows = await catalogue.categories()
        return models.Categories(
            items=[models.CategoryView(category=name, products=count) for name, count in rows]
        )

    return router


def _changing(catalogue: Catalogue) -> APIRouter:
    router = APIRouter(tags=["administration"])

    @router.post(
        "/api/products",
        status_code=201,
        operation_id="createProduct",
        responses={201: with_headers(LOCATION, _ETAG), **errors(409)},
    )
    async def create_product(
        body: models.ProductBody, principal: Administrator, response: Response
    ) -> models.ProductView:
        """Add a product."""
        try:
            product = await catalogue.create(body.draft())
        except SkuTakenError as error:
            raise _sku_taken() from error
        response.headers["Location"] = f"/api/products/{product.id}"
        response.headers["ETag"] = etags.etag(product.version)
        return models.ProductView.of(product)

    @router.put(
        "/api/products/{product_id}",
        operation_id="replaceProduct",
        responses={200: with_headers(_ETAG), **errors(404, 409, 412)},
    )
    async def replace_product(
        product_id: UUID,
        body: models.ProductBody,
        principal: Administrator,
        response: Response,
        if_match: etags.IfMatch,
    ) -> models.ProductView:
        """Replace a product that has not changed since it was read."""
        try:
            product = await catalogue.replace(
                product_id, body.draft(), check=lambda version: etags.require_match(if_match, version)
            )
        except SkuTakenError as error:
            raise _sku_taken() from error
        if product is None:
            raise not_found("product")
        response.headers["ETag"] = etags.etag(product.version)
        return models.ProductView.of(product)

    return router


def _quoting(catalogue: Catalogue) -> APIRouter:
    router = APIRouter(tags=["internal"])

    @router.get("/api/quotes", operation_id="getQuotes", openapi_extra=PUBLIC, response_model=models.Quotes)
    async def get_quotes(query: Annotated[models.QuotesQuery, Query()]) -> Response:
        """Say what products cost now."""
        found = await catalogue.quotes(query.product_id)
        quotes = models.Quotes(
            items=[models.QuoteView.of(product) for product in found.products], unknown=found.unknown
        )
        # Every order asks: returned as a model it would be checked and built once more.
        return Response(quotes.model_dump_json(), media_type="application/json")

    return router


def _before(cursor: str | None) -> int:
    position = pagination.decode_cursor(cursor, Position)
    return position.place if position is not None else _MAX_BIGINT


def _cursor(place: int) -> str:
    return pagination.encode_cursor(Position(place))


def _sku_taken() -> Problem:
    return conflict("sku-taken", "Another product has this SKU.")
