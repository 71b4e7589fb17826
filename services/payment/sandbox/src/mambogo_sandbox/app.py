"""The provider's HTTP API, and the operations by which tests turn its switches and read its ledger.

aiohttp's server, because it lets a handler cut its own connection: a lost reply is a reset, and no answer of
any status.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from mambogo_sandbox.ledger import Answer, Ledger, refused
from mambogo_sandbox.model import Payment, PaymentRequest, Reference, RefundRequest, RefusedError, Switches
from mambogo_sandbox.webhooks import WebhookSender

KEY_HEADER: Final = "Idempotency-Key"
_LEDGER: Final = web.AppKey("ledger", Ledger)
_MAX_BODY_BYTES: Final = 65_536

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(ledger: Ledger, *, api_key: str, webhooks: WebhookSender | None = None) -> web.Application:
    """The application; sends webhooks where somebody wants them."""
    merchant = _Merchant(ledger, api_key)
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[_errors, merchant.gate])
    app[_LEDGER] = ledger
    app.add_routes(
        [
            web.post("/v1/payments", merchant.authorise),
            web.get("/v1/payments", merchant.find),
            web.post("/v1/payments/{payment}/capture", merchant.capture),
            web.post("/v1/payments/{payment}/refunds", merchant.refund),
            web.post("/v1/references/{reference}/closure", merchant.close),
            web.get("/admin/ledger", _ledger),
            web.get("/admin/switches", _get_switches),
            web.put("/admin/switches", _put_switches),
            web.get("/healthz", _health),
        ]
    )
    if webhooks is not None:
        app.cleanup_ctx.append(_sending(webhooks))
    return app


class _Merchant:
    """The operations of the API, as badly behaved as the switches say."""

    def __init__(self, ledger: Ledger, api_key: str) -> None:
        self._ledger = ledger
        self._authorization = f"Bearer {api_key}"
        self._changes = 0

    @web.middleware
    async def gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Down, slow, and who may call."""
        if not request.path.startswith("/v1/"):
            return await handler(request)
        if self._ledger.switches.down:
            return _cut(request)
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, self._authorization.encode()):
            raise RefusedError(401, "unauthorised")
        response = await handler(request)
        # The work is done by now: who gives up waiting does not know what came of it.
        await asyncio.sleep(self._ledger.switches.slow_seconds)
        if request.method == "POST" and self._loses_reply():
            return _cut(request)
        return response

    async def authorise(self, request: web.Request) -> web.Response:
        """POST /v1/payments."""
        body = await request.read()
        asked = _decode(body, PaymentRequest)
        return self._once(request, body, lambda key: self._ledger.authorise(asked, key))

    async def capture(self, request: web.Request) -> web.Response:
        """POST /v1/payments/{payment}/capture."""
        body = await request.read()
        payment_id = request.match_info["payment"]
        return self._once(request, body, lambda key: self._ledger.capture(payment_id, key))

    async def refund(self, request: web.Request) -> web.Response:
        """POST /v1/payments/{payment}/refunds."""
        body = await request.read()
        asked = _decode(body, RefundRequest)
        payment_id = request.match_info["payment"]
        return self._once(request, body, lambda key: self._ledger.refund(payment_id, asked, key))

    async def close(self, request: web.Request) -> web.Response:
        """POST /v1/references/{reference}/closure: idempotent by itself."""
        reference = _decode(msgspec.json.encode(request.match_info["reference"]), Reference)
        return _json({"payments": self._ledger.close_reference(reference)})

    async def find(self, request: web.Request) -> web.Response:
        """GET /v1/payments?reference=..."""
        return _json({"payments": self._ledger.payments(request.query.get("reference", ""))})

    def _once(self, request: web.Request, body: bytes, work: Callable[[str], Payment]) -> web.Response:
        key = request.headers.get(KEY_HEADER, "")
        if not 1 <= len(key) <= 255:
            raise RefusedError(400, "key-missing")
        return _response(self._ledger.once(request.path, key, body, lambda: work(key)))

    def _loses_reply(self) -> bool:
        every = self._ledger.switches.lost_reply_every
        self._changes += 1
        return every > 0 and self._changes % every == 0


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusedError as refusal:
        return _response(refused(refusal))


async def _ledger(request: web.Request) -> web.Response:
    after = request.query.get("after", "0")
    if not after.isascii() or not after.isdigit():
        raise RefusedError(400, "malformed")
    return _json({"entries": request.app[_LEDGER].entries(int(after))})


async def _get_switches(request: web.Request) -> web.Response:
    return _json(request.app[_LEDGER].switches)


async def _put_switches(request: web.Request) -> web.Response:
    request.app[_LEDGER].switches = _decode(await request.read(), Switches)
    return _json(request.app[_LEDGER].switches)


async def _health(_: web.Request) -> web.Response:
    return _json({"status": "UP"})


def _sending(sender: WebhookSender) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(sender.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    return context


def _cut(request: web.Request) -> web.Response:
    """Reset the connection: the client gets no byte of the answer that is returned here."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError(400, "malformed") from error


def _json(value: object) -> web.Response:
    return _response(Answer(200, msgspec.json.encode(value)))


def _response(answer: Answer) -> web.Response:
    return web.Response(body=answer.body, status=answer.status, content_type="application/json")
