"""How much there is of a product, for everybody; and changing it, for administrators."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Response
from mambogo_chassis.auth import Principal, requires
from mambogo_chassis.database import Connection, Database
from mambogo_chassis.http.openapi import LOCATION, with_headers
from mambogo_chassis.http.problems import conflict, errors, not_found
from mambogo_chassis.http.types import JSON_INTEGER, Body, Text, View
from mambogo_chassis.idempotency import Answer, IdempotencyStore, Keyed, answer, keyed_responses, respond
from pydantic import AfterValidator, Field

from mambogo_inventory.domain.stock import MAX_UNITS, Stock, StockRefusedError
from mambogo_inventory.service import stocking
from mambogo_inventory.service.stocking import UnknownProductError

ADMINISTRATOR: Final = "shop-admin"
Reader = Annotated[Principal, requires("inventory:read")]
Administrator = Annotated[Principal, requires("inventory:write", any_role=[ADMINISTRATOR])]


def _refuse_zero(value: int) -> int:
    if value == 0:
        raise ValueError("must not be 0")
    return value


Difference = Annotated[
    int,
    Field(ge=-MAX_UNITS, le=MAX_UNITS, json_schema_extra={"not": {"const": 0}}),
    JSON_INTEGER,
    AfterValidator(_refuse_zero),
]


class InitialBody(Body):
    """Everything that ever came in of a product, less what was written off."""

    initial: Annotated[int, Field(ge=0, le=MAX_UNITS), JSON_INTEGER]


class AdjustmentBody(Body):
    """So many more, or fewer, and why."""

    quantity: Difference
    reason: Annotated[Text, Field(min_length=1, max_length=200)]


class StockView(View):
    """`initial` is always the sum of the other three."""

    product_id: UUID
    initial: int
    on_hand: int
    reserved: int
    sold: int
    version: int


def routes(database: Database, keys: IdempotencyStore) -> APIRouter:
    """The operations, on the parts that they use."""
    router = APIRouter(prefix="/api/inventory", tags=["inventory"])

    @router.get("/{product_id}", operation_id="getStock", responses=errors(404))
    async def get_stock(product_id: UUID, principal: Reader) -> StockView:
        """Get a product's stock."""
        try:
            return _view(await stocking.find(database, product_id))
        except UnknownProductError as error:
            raise not_found("product") from error

    @router.put(
        "/{product_id}",
        operation_id="putStock",
        responses={201: {"model": StockView, **with_headers(LOCATION)}, **errors(409)},
    )
    async def put_stock(
        product_id: UUID, body: InitialBody, principal: Administrator, response: Response
    ) -> StockView:
        """Say how much there is of a product, in all."""
        try:
            stock, is_new = await stocking.set_initial(database, product_id, body.initial)
        except StockRefusedError as error:
            raise conflict(error.code, str(error)) from error
        if is_new:
            response.status_code = 201
            response.headers["Location"] = f"/api/inventory/{product_id}"
        return _view(stock)

    @router.post(
        "/{product_id}/adjustments",
        operation_id="adjustStock",
        response_model=StockView,
        responses={**keyed_responses(200), **errors(404)},
    )
    async def adjust_stock(
        product_id: UUID, body: AdjustmentBody, principal: Administrator, keyed: Keyed
    ) -> Response:
        """Take units in or write them off, once per key."""

        async def work(connection: Connection) -> Answer:
            try:
                return answer(200, _view(await stocking.adjust(connection, product_id, body.quantity)))
            except StockRefusedError as error:
                raise conflict(error.code, str(error)) from error
            except UnknownProductError as error:
                raise not_found("product") from error

        return respond(await keys.execute(keyed.by(principal.subject), work))

    return router


def _view(stock: Stock) -> StockView:
    fields: dict[str, Any] = {name: getattr(stock, name) for name in StockView.model_fields}
    return StockView(**fields)
