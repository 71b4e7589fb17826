"""A small shop behind real HTTP: what journeys ask for, and faults to plant."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers import running

PRICE = 1299
PRODUCTS = ("p-1", "p-2")


@dataclass(slots=True)
class SmallShop:
    """The shop's state; every field with a default is a fault that can be planted."""

    url: str = ""
    refuses: str = ""  # the beginning of a path that is answered 503
    wrong_total: int = 0  # added to what is charged
    forgets_double_click: bool = False
    last_state: str = "CONFIRMED"
    refuses_logins: bool = False
    frozen: tuple[float, float] = (
        0.0,
        0.0,
    )  # seconds since its first request between which nothing is answered
    carts: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    overlaps: int = 0  # requests that found another shopper's goods in their cart
    began: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, user: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return status and content."""
        if self.refuses and path.startswith(self.refuses):
            return 503, {"title": "Service Unavailable", "detail": "planted"}
        with self.lock:
            if path.startswith("/api/carts"):
                return self._cart(method, path, user, body)
            return self._other(path)

    def freeze(self) -> None:
        """Wait as long as the shop is frozen."""
        with self.lock:
            self.began = self.began or time.monotonic()
            start, end = (self.began + seconds for seconds in self.frozen)
        if start <= time.monotonic() < end:
            time.sleep(end - time.monotonic())

    def _cart(self, method: str, path: str, user: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.users.add(user)
        cart = self.carts.setdefault(user, {"cart_id": str(uuid.uuid4()), "items": {}, "last": ""})
        if path.endswith("/checkout"):
            return self._check_out(cart)
        if method == "DELETE":
            cart |= {"cart_id": str(uuid.uuid4()), "items": {}}
            return 204, {}
        if method == "PUT":
            self.overlaps += bool(cart["items"])
            cart["items"][path.rsplit("/", 1)[1]] = body["quantity"]
        return 200, {"cart_id": cart["cart_id"], "total_minor": self._total(cart)}

    def _total(self, cart: dict[str, Any]) -> int:
        return PRICE * int(sum(cart["items"].values())) + self.wrong_total

    def _check_out(self, cart: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if cart["items"] or self.forgets_double_click:
            order: dict[str, Any] = {
                "order_id": str(uuid.uuid4()),
                "state": "PENDING",
                "total_minor": self._total(cart),
            }
            self.orders[order["order_id"]] = order
            cart |= {"items": {}, "last": order["order_id"]}
        return 201, self.orders[str(cart["last"])]

    def _other(self, path: str) -> tuple[int, dict[str, Any]]:
        if path.startswith("/api/orders/"):
            return 200, self.orders[path.rsplit("/", 1)[1]] | {"state": self.last_state}
        if path.startswith("/api/products/"):
            name = path.rsplit("/", 1)[1]
            return 200, {"id": name, "sku": name.upper(), "price_minor": PRICE}
        return 200, {"items": [{"id": name} for name in PRODUCTS]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    shop: SmallShop

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _any(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/token":
            user = content.decode().split("username=")[1].split("&")[0]
            self._say(401 if self.shop.refuses_logins else 200, {"access_token": user, "expires_in": 300})
            return
        self.shop.freeze()
        user = self.headers.get("Authorization", "").removeprefix("Bearer ")
        body = json.loads(content) if content else {}
        self._say(*self.shop.answer(self.command, self.path.split("?")[0], user, body))

    def _say(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode() if status != 204 else b""
        self.send_response(status)
        self.send_header("X-Served-By", "10.0.0.1:8080")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 - the names that http.server looks for


@contextmanager
def serving(shop: SmallShop) -> Iterator[SmallShop]:
    """Serve a shop on a free port."""
    handler = type("Handler", (_Handler,), {"shop": shop})
    with running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as port:
        shop.url = f"http://127.0.0.1:{port}"
        yield shop
