"""What the merchant is told, and a provider that is killed and started again."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from mambogo_sandbox.app import create_app
from mambogo_sandbox.ledger import Ledger
from mambogo_sandbox.model import PaymentRequest, Switches
from mambogo_sandbox.webhooks import SIGNATURE_HEADER, WebhookSender
from support.merchant import API_KEY, Merchant

SECRET = "whsec"
PATIENCE_SECONDS = 30


@dataclass
class Receiver:
    """A merchant's endpoint, which refuses the first `refusals` webhooks."""

    refusals: int = 0
    seen: list[tuple[str, bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.seen.append((request.headers[SIGNATURE_HEADER], await request.read()))
        return web.Response(status=500 if len(self.seen) <= self.refusals else 204)

    async def wait_for(self, count: int) -> list[dict[str, object]]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.seen) < count:  # noqa: ASYNC110 - a condition would say no more
                await asyncio.sleep(0.01)
        return [json.loads(body) for _, body in self.seen]


@asynccontextmanager
async def sandbox(path: Path, receiver: Receiver) -> AsyncIterator[Merchant]:
    app = web.Application()
    app.add_routes([web.post("/hook", receiver.take)])
    endpoint = TestServer(app)
    await endpoint.start_server()
    ledger = Ledger(path)
    sender = WebhookSender(ledger, url=str(endpoint.make_url("/hook")), secret=SECRET)
    server = TestServer(create_app(ledger, api_key=API_KEY, webhooks=sender))
    await server.start_server()
    async with aiohttp.ClientSession() as session:
        yield Merchant(str(server.make_url("")).rstrip("/"), session)
    await server.close()
    await endpoint.close()
    ledger.close()


async def test_each_change_is_told_with_a_valid_signature(tmp_path: Path) -> None:
    receiver = Receiver()
    async with sandbox(tmp_path / "db", receiver) as merchant:
        await merchant.capture(await merchant.authorise())
        told = await receiver.wait_for(2)
    assert [webhook["type"] for webhook in told] == ["payment.authorised", "payment.captured"]
    for header, body in receiver.seen:
        fields = dict(part.split("=", 1) for part in header.split(","))
        expected = hmac.new(SECRET.encode(), f"{fields['t']}.".encode() + body, hashlib.sha256).hexdigest()
        assert fields["v1"] == expected


async def test_a_webhook_that_is_refused_comes_again(tmp_path: Path) -> None:
    receiver = Receiver(refusals=1)
    async with sandbox(tmp_path / "db", receiver) as merchant:
        await merchant.authorise()
        told = await receiver.wait_for(2)
    assert told[0] == told[1]


async def test_duplicates_are_sent_as_often_as_asked(tmp_path: Path) -> None:
    receiver = Receiver()
    async with sandbox(tmp_path / "db", receiver) as merchant:
        await merchant.switch(duplicate_webhooks=2)
        await merchant.authorise()
        assert len(await receiver.wait_for(3)) == 3


def test_webhooks_that_are_due_together_are_taken_newest_first(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "db")
    ledger.switches = Switches(reorder_webhooks=True)
    for number in range(3):
        ledger.authorise(PaymentRequest(f"r{number}", 5, "EUR"), "k")
    bodies = [json.loads(webhook.body) for webhook in ledger.due_webhooks(10)]
    ledger.close()
    assert [body["data"]["reference"] for body in bodies] == ["r2", "r1", "r0"]


async def test_a_restart_forgets_neither_money_nor_keys_nor_webhooks(tmp_path: Path) -> None:
    receiver = Receiver(refusals=1)
    async with sandbox(tmp_path / "db", receiver) as merchant:
        first = await merchant.authorise()
        await receiver.wait_for(1)
    async with sandbox(tmp_path / "db", receiver) as merchant:
        assert await merchant.authorise() == first
        assert await merchant.kinds() == ["authorised"]
        await receiver.wait_for(2)
