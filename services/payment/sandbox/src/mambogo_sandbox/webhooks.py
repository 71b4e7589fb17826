"""Tells the merchant what happened: signed, at least once, in no promised order.

A webhook is sent until it is answered 2xx, with growing pauses, and given up after `MAX_ATTEMPTS`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from typing import Final

import aiohttp

from mambogo_sandbox.ledger import DueWebhook, Ledger

SIGNATURE_HEADER: Final = "Provider-Signature"
MAX_ATTEMPTS: Final = 12
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 60.0
_TIMEOUT_SECONDS: Final = 5.0
_IDLE_SECONDS: Final = 0.1
_BATCH: Final = 20

logger = logging.getLogger(__name__)


def signature(secret: str, body: bytes, timestamp: int) -> str:
    """`t=<Unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


class WebhookSender:
    """Sends what the ledger has queued."""

    def __init__(self, ledger: Ledger, *, url: str, secret: str) -> None:
        self._ledger = ledger
        self._url = url
        self._secret = secret

    async def run(self) -> None:
        """Send until cancelled."""
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                due = self._ledger.due_webhooks(_BATCH)
                for webhook in due:
                    await self._send(session, webhook)
                if not due:
                    await asyncio.sleep(_IDLE_SECONDS)

    async def _send(self, session: aiohttp.ClientSession, webhook: DueWebhook) -> None:
        headers = {
            "Content-Type": "application/json",
            SIGNATURE_HEADER: signature(self._secret, webhook.body, int(time.time())),
        }
        try:
            async with session.post(self._url, data=webhook.body, headers=headers) as answer:
                is_taken = answer.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.info("webhook %s was not taken: %r", webhook.id, error)
            is_taken = False
        if is_taken or webhook.attempts + 1 >= MAX_ATTEMPTS:
            self._ledger.webhook_sent(webhook.id)
            return
        pause_seconds = min(_FIRST_PAUSE_SECONDS * 2**webhook.attempts, _LONGEST_PAUSE_SECONDS)
        self._ledger.webhook_failed(webhook.id, pause_seconds)
