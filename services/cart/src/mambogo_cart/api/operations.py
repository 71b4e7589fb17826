"""The HTTP operations on the caller's cart. There is no other's cart to name: the token says whose it is."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from mambogo_cart.adapters.orders import OrdersUnavailableError
from mambogo_cart.adapters.quotes import QuotesUnavailableError
from mambogo_cart.api.models import CartView, ItemBody, OrderedView, ordered, view
from mambogo_cart.domain.cart import Cart
from mambogo_cart.service.carts import CartFullError, Carts, NotOnSaleError, UnknownProductError
from mambogo_cart.service.checkout import CartChangedError, Checkout, EmptyCartError, OrderRefusedError
from mambogo_chassis.auth import Principal, requires
from mambogo_chassis.http.openapi import LOCATION, with_headers
from mambogo_chassis.http.problems import Problem, conflict, errors, not_found, unavailable
from mambogo_chassis.idempotency import REPLAYED, REPLAYED_HEADER

Shopper = Annotated[Principal, requires("carts:write")]
Buyer = Annotated[Principal, requires("carts:write", "orders:write")]


class Operations:
    """The operations of one service, and what they need."""

    def __init__(self, carts: Carts, checkout: Checkout) -> None:
        self._carts = carts
        self._checkout = checkout

    def router(self) -> APIRouter:
        """Where each operation is, and what it may answer."""
        router = APIRouter(prefix="/api/carts/current", tags=["carts"])
        item = "/items/{product_id}"
        router.add_api_route("", self.get, methods=["GET"], operation_id="getCart", response_model=CartView)
        router.add_api_route("", self.clear, methods=["DELETE"], status_code=204, operation_id="clearCart")
        router.add_api_route(
            item,
            self.put,
            methods=["PUT"],
            operation_id="putItem",
            response_model=CartView,
            responses=errors(404, 409),
        )
        router.add_api_route(
            item,
            self.remove,
            methods=["DELETE"],
            status_code=204,
            operation_id="removeItem",
            responses=errors(404),
        )
        router.add_api_route(
            "/checkout",
            self.check_out,
            methods=["POST"],
            status_code=201,
            operation_id="checkOut",
            responses={201: with_headers(LOCATION, REPLAYED), **errors(409)},
        )
        return router

    async def get(self, principal: Shopper) -> Response:
        """Get one's cart, with prices of this moment or, while those cannot be had, as last seen."""
        return _shown(await self._carts.show(principal.subject))

    async def clear(self, principal: Shopper) -> None:
        """Empty one's cart."""
        await self._carts.clear(principal.subject)

    async def put(self, product_id: UUID, body: ItemBody, principal: Shopper) -> Response:
        """Set how many of a product are in the cart. Repeatable."""
        try:
            return _shown(await self._carts.put(principal.subject, product_id, body.quantity))
        except UnknownProductError as error:
            raise not_found("product") from error
        except NotOnSaleError as error:
            raise conflict("product-unavailable", str(error)) from error
        except CartFullError as error:
            raise conflict("cart-full", str(error)) from error
        except QuotesUnavailableError as error:
            raise unavailable("The product cannot be looked at now.") from error

    async def remove(self, product_id: UUID, principal: Shopper) -> None:
        """Take a product out of the cart."""
        if not await self._carts.remove(principal.subject, product_id):
            raise not_found("item")

    async def check_out(self, request: Request, principal: Buyer, response: Response) -> OrderedView:
        """Order what is in the cart. One state of the cart is one order, however often it is asked for."""
        # The operation's requirement has read it: it is there, and a bearer's.
        token = request.headers["authorization"].partition(" ")[2].strip()
        try:
            made = await self._checkout.order(principal.subject, token)
        except EmptyCartError as error:
            raise conflict("cart-empty", str(error)) from error
        except CartChangedError as error:
            raise conflict("cart-changed", str(error)) from error
        except OrderRefusedError as error:
            raise _refused(error) from error
        except (OrdersUnavailableError, QuotesUnavailableError) as error:
            raise unavailable("Orders cannot be placed now; the cart is as it was.") from error
        response.headers["Location"] = f"/api/orders/{made.order.order_id}"
        if made.is_repeated:
            response.headers[REPLAYED_HEADER] = "true"
        return ordered(made.order)


def _shown(cart: Cart) -> Response:
    """The cart as `CartView` writes it; FastAPI would validate it again first."""
    return Response(view(cart).model_dump_json(), media_type="application/json")


def _refused(error: OrderRefusedError) -> Problem:
    refusal = error.refusal
    if refusal.status in (401, 403):
        # The token was good a moment ago: it has run out, or order-service knows less of it.
        return Problem(refusal.status, refusal.code, refusal.detail)
    return conflict(refusal.code, refusal.detail)
