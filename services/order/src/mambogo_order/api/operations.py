"""The HTTP operations on orders.

Whose an order is is checked here; what may happen to it is the domain's.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from mambogo_chassis.auth import Principal, ensure_owner, requires
from mambogo_chassis.database import Connection, Database
from mambogo_chassis.http import context, pagination
from mambogo_chassis.http.openapi import LOCATION
from mambogo_chassis.http.problems import Problem, conflict, errors, not_found
from mambogo_chassis.idempotency import (
    Answer,
    IdempotencyStore,
    Keyed,
    answer,
    keyed_responses,
    respond,
)
from mambogo_order.adapters import orders
from mambogo_order.adapters.metrics import OrderMetrics
from mambogo_order.api.models import OrderBody, OrderSummary, OrderView, summary, view
from mambogo_order.domain.model import Order, Step
from mambogo_order.domain.moving import CancelAsked, ContradictionError
from mambogo_order.domain.placing import PlacementError
from mambogo_order.service.moving import Mover
from mambogo_order.service.placing import Placer

Reader = Annotated[Principal, requires("orders:read")]
Writer = Annotated[Principal, requires("orders:write")]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Operations:
    """The operations of one service, and what they need."""

    def __init__(
        self,
        database: Database,
        *,
        keys: IdempotencyStore,
        placer: Placer,
        mover: Mover,
        metrics: OrderMetrics,
        reserve_seconds: Callable[[], float],
    ) -> None:
        self._database = database
        self._keys = keys
        self._placer = placer
        self._mover = mover
        self._metrics = metrics
        self._reserve_seconds = reserve_seconds

    def router(self) -> APIRouter:
        """Where each operation is, and what it may answer."""
        router = APIRouter(prefix="/api/orders", tags=["orders"])
        router.add_api_route(
            "",
            self.place,
            methods=["POST"],
            status_code=201,
            operation_id="placeOrder",
            response_model=OrderView,
            responses=keyed_responses(201, LOCATION),
        )
        router.add_api_route(
            "", self.list_own, methods=["GET"], operation_id="listOrders", responses=errors(404)
        )
        router.add_api_route(
            "/{order_id}", self.get, methods=["GET"], operation_id="getOrder", responses=errors(404)
        )
        router.add_api_route(
            "/{order_id}/cancellation",
            self.cancel,
            methods=["POST"],
            operation_id="cancelOrder",
            responses=errors(404, 409),
        )
        return router

    async def place(self, body: OrderBody, principal: Writer, keyed: Keyed) -> Response:
        """Place an order, once per Idempotency-Key. Prices are the products' at this moment."""
        request = keyed.by(principal.subject)
        if (replay := await self._keys.find(request)) is not None:
            return respond(replay)
        try:
            wanted = await self._placer.price([line.wish() for line in body.lines], body.currency)
        except PlacementError as error:
            raise conflict(error.code, str(error)) from error
        if (current := context.current()) is not None:
            current.deadline.require(self._reserve_seconds())

        async def work(connection: Connection) -> Answer:
            order = await self._placer.place(connection, principal.subject, wanted)
            begun = Step(order.sequence, order.state, None, order.placed_at)
            location = f"/api/orders/{order.order_id}"
            return answer(201, view(order, wanted.lines, [begun]), {"Location": location})

        given = await self._keys.execute(request, work)
        if not given.is_replay:
            self._metrics.placed()
        return respond(given)

    async def list_own(
        self, query: Annotated[pagination.PageQuery, Query()], principal: Reader
    ) -> pagination.Page[OrderSummary]:
        """List the caller's orders, the newest first."""
        before = pagination.decode_cursor(query.cursor, tuple[int, UUID])
        async with self._database.transaction() as connection:
            rows = await orders.page(connection, principal.subject, _place_of(before), query.limit + 1)
        items, more = pagination.page_of(rows, query.limit)
        cursor = pagination.encode_cursor(_key_of(items[-1])) if more else None
        return pagination.Page[OrderSummary](items=[summary(order) for order in items], next_cursor=cursor)

    async def get(self, order_id: UUID, principal: Reader) -> OrderView:
        """Get one of the caller's orders with its lines and its history."""
        async with self._database.transaction() as connection:
            order = await orders.find(connection, order_id)
            return await _whole(connection, _own(order, principal))

    async def cancel(self, order_id: UUID, principal: Writer) -> OrderView:
        """Cancel an order that was not rejected; what was reserved or paid is undone. Repeatable."""
        async with self._database.transaction() as connection:
            order = _own(await orders.locked(connection, order_id), principal)
            try:
                applied = await self._mover.apply(connection, order, CancelAsked())
            except ContradictionError as error:
                raise conflict("order-rejected", "A rejected order cannot be cancelled.") from error
            cancelled = await _whole(connection, _own(await orders.find(connection, order_id), principal))
        if applied.is_new:
            self._metrics.moved(applied.before, applied.order)
        return cancelled


async def _whole(connection: Connection, order: Order) -> OrderView:
    lines = await orders.lines(connection, order.order_id)
    return view(order, lines, await orders.history(connection, order.order_id))


def _own(order: Order | None, principal: Principal) -> Order:
    if order is None:
        raise not_found("order")
    ensure_owner(principal, order.user_id, "order")
    return order


def _key_of(order: Order) -> tuple[int, UUID]:
    """Where an order stands in a list. Whole microseconds: that is what the database keeps."""
    return (order.placed_at - _EPOCH) // _MICROSECOND, order.order_id


def _place_of(key: tuple[int, UUID] | None) -> tuple[datetime, UUID] | None:
    if key is None:
        return None
    try:
        return _EPOCH + key[0] * _MICROSECOND, key[1]
    except OverflowError as error:
        raise Problem(404, "cursor-unknown", "The cursor is none of this list's.") from error
