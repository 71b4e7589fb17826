"""The whole service under a real server, within the test's own event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.issuing import Issuer
from mambogo_testkit.serving import Answering, answering, service_values

from mambogo_payment.main import NAME, build
from mambogo_payment.settings import Settings
from support.sandbox import API_KEY, WEBHOOK_SECRET

TOPICS = ("orders", "orders.dlt", "payments")


class Running(Answering[Settings]):
    """A service that answers, and those who ask it."""

    def reader(self, user: str = "anna") -> dict[str, str]:
        """Headers of a shopper."""
        return self.bearer(user, "payments:read")

    def administrator(self, key: str | None = None) -> dict[str, str]:
        """Headers of an administrator."""
        headers = self.bearer("admin", "payments:read", "payments:write", roles=("shop-admin",))
        return headers | ({"Idempotency-Key": key} if key is not None else {})


def settings_for(
    tokens: Issuer,
    database: FreshDatabase,
    provider_url: str,
    topics: TopicSpace | None = None,
    **changes: Any,
) -> Settings:
    """Settings of a test's service."""
    provider = {
        "provider_url": provider_url,
        "provider_api_key": API_KEY,
        "provider_webhook_secret": WEBHOOK_SECRET,
        "worker_idle_seconds": 0.05,
    }
    return Settings(**service_values(NAME, tokens, database, topics) | provider | changes)


@asynccontextmanager
async def running(settings: Settings, tokens: Issuer) -> AsyncIterator[Running]:
    """Serve for the length of the block."""
    async with answering(settings, tokens, build) as made:
        yield Running(made.service, made.client, tokens)
