"""A shop in memory, and the same one behind HTTP with an identity provider.

Both are driven by the test: how orders move, which answers are lost, what is refused.
"""

from __future__ import annotations

import asyncio
import json
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rehearsal.shop.answers import Answer, Kind, kind_of
from rehearsal.shop.client import ADMINISTRATOR, Line, NewProduct

from tests.servers import running

PATH = ("PENDING", "RESERVED", "CONFIRMED")
PASSWORD = "geheim"


@dataclass
class FakeShop:
    """`Shop`, in memory."""

    moves: Callable[[str], str] = lambda state: PATH[min(PATH.index(state) + 1, len(PATH) - 1)]
    # Called with the number of each placement: what its client is told instead, if anything.
    trouble: Callable[[int], Answer | None] = lambda number: None
    # Whether a placement of that number happens although its client is told otherwise.
    happens: Callable[[int], bool] = lambda number: False
    forgets: Callable[[int], bool] = lambda number: False  # acknowledged, and not there afterwards
    doubles: Callable[[int], bool] = lambda number: False  # acknowledged, and there twice
    placements: int = 0
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    stock: dict[str, int] = field(default_factory=dict)

    async def place_order(self, user: str, lines: Sequence[Line], *, key: str) -> Answer:
        """Place an order, once per key."""
        self.placements += 1
        number = self.placements
        trouble = self.trouble(number)
        if trouble is None or self.happens(number):
            self._store(user, key, number)
        if trouble is not None:
            return trouble
        order_id = self.keys[key]
        return Answer(Kind.OK, 201, dict(self.stored.get(order_id, {"order_id": order_id})))

    async def order(self, user: str, order_id: str) -> Answer:
        """Get an order, which moves each time that somebody looks."""
        one = self.stored.get(order_id)
        if one is None or one["user"] != user:
            return Answer(Kind.FAIL, 404, {"code": "order-unknown"})
        one["state"] = self.moves(one["state"])
        return Answer(Kind.OK, 200, dict(one))

    async def orders(self, user: str, cursor: str = "") -> Answer:
        """List a user's orders, two a page."""
        own = [one for one in self.stored.values() if one["user"] == user]
        start = int(cursor or 0)
        page = own[start : start + 2]
        after = str(start + 2) if start + 2 < len(own) else None
        return Answer(Kind.OK, 200, {"items": page, "next_cursor": after})

    async def create_product(self, product: NewProduct) -> Answer:
        """Add a product."""
        product_id = str(uuid.uuid4())
        self.stock[product_id] = 0
        return Answer(Kind.OK, 201, {"id": product_id, "sku": product.sku})

    async def set_stock(self, product_id: str, quantity: int) -> Answer:
        """Set a stock."""
        self.stock[product_id] = quantity
        return Answer(Kind.OK, 200, {"product_id": product_id})

    def _store(self, user: str, key: str, number: int) -> None:
        if key in self.keys:
            return
        self.keys[key] = str(uuid.uuid4())
        copies = [self.keys[key]] * (not self.forgets(number)) + [str(uuid.uuid4())] * self.doubles(number)
        for order_id in copies:
            self.stored[order_id] = {"order_id": order_id, "user": user, "state": PATH[0]}


@dataclass
class Served:
    """Where a fake shop is reached."""

    base_url: str
    token_url: str
    tokens_given: list[str] = field(default_factory=list)


@contextmanager
def serving(shop: FakeShop, documents: Mapping[str, object] | None = None) -> Iterator[Served]:
    """Serve a shop over HTTP; a token is the user's name."""
    served = Served("", "")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self._answer(self._route("GET"))

        def do_POST(self) -> None:
            self._answer(self._route("POST"))

        def do_PUT(self) -> None:
            self._answer(self._route("PUT"))

        def _route(self, method: str) -> Answer | None:
            url = urllib.parse.urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if url.path == "/token":
                return _token(served, dict(urllib.parse.parse_qsl(raw.decode())))
            if documents and url.path in documents:
                return Answer(Kind.OK, 200, {"document": documents[url.path]})
            user = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if not user:
                return Answer(Kind.FAIL, 401, {"title": "Unauthorized"})
            content = json.loads(raw) if raw else {}
            query = dict(urllib.parse.parse_qsl(url.query))
            return asyncio.run(
                _call(shop, user, method, url.path, content, query, dict(self.headers.items()))
            )

        def _answer(self, answer: Answer | None) -> None:
            if answer is None or answer.status is None:
                self.close_connection = True
                self.connection.close()
                return
            body = json.dumps(dict(answer.body)).encode()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Served-By", "10.244.0.7:8080")
            if answer.retry_after_seconds:
                self.send_header("Retry-After", str(int(answer.retry_after_seconds)))
            self.end_headers()
            self.wfile.write(body)

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        served.base_url = f"http://127.0.0.1:{port}"
        served.token_url = f"{served.base_url}/token"
        yield served


def refusing(status: int, retry_after_seconds: float = 0.0) -> Answer:
    """Return an answer with a status and nothing to it."""
    return Answer(kind_of(status), status, {"title": "trouble"}, retry_after_seconds=retry_after_seconds)


SILENT = Answer(Kind.INFO, error="no answer came")


def _token(served: Served, form: Mapping[str, str]) -> Answer:
    if form.get("password") != PASSWORD:
        return Answer(Kind.FAIL, 401, {"error": "invalid_grant"})
    served.tokens_given.append(form["username"])
    return Answer(Kind.OK, 200, {"access_token": form["username"], "expires_in": 300})


async def _call(
    shop: FakeShop,
    user: str,
    method: str,
    path: str,
    content: Mapping[str, Any],
    query: Mapping[str, str],
    headers: Mapping[str, str],
) -> Answer:
    match method, path.strip("/").split("/"):
        case "POST", ["api", "orders"]:
            lines = [Line(**line) for line in content["lines"]]
            return await shop.place_order(user, lines, key=headers["Idempotency-Key"])
        case "GET", ["api", "orders"]:
            return await shop.orders(user, query.get("cursor", ""))
        case "GET", ["api", "orders", order_id]:
            return await shop.order(user, order_id)
        case "POST", ["api", "products"] if user == ADMINISTRATOR:
            return await shop.create_product(NewProduct(**content))
        case "PUT", ["api", "inventory", product_id] if user == ADMINISTRATOR:
            return await shop.set_stock(product_id, content["initial"])
    return Answer(Kind.FAIL, 404)
