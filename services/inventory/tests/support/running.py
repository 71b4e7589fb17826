"""The whole service under a real server, within the test's own event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.issuing import Issuer
from mambogo_testkit.serving import Answering, answering, service_values

from mambogo_inventory.main import NAME, build
from mambogo_inventory.settings import Settings

TOPICS = ("orders", "orders.dlt", "inventory")


class Running(Answering[Settings]):
    """A service that answers, and those who ask it."""

    def reader(self) -> dict[str, str]:
        """Headers of a shopper."""
        return self.bearer("shopper", "inventory:read")

    def administrator(self, key: str | None = None) -> dict[str, str]:
        """Headers of an administrator."""
        headers = self.bearer("admin", "inventory:read", "inventory:write", roles=("shop-admin",))
        return headers | ({"Idempotency-Key": key} if key is not None else {})


def settings_for(
    tokens: Issuer, database: FreshDatabase, topics: TopicSpace | None = None, **changes: Any
) -> Settings:
    """Settings of a test's service."""
    return Settings(**service_values(NAME, tokens, database, topics) | changes)


@asynccontextmanager
async def running(settings: Settings, tokens: Issuer) -> AsyncIterator[Running]:
    """Serve for the length of the block."""
    async with answering(settings, tokens, build) as made:
        yield Running(made.service, made.client, tokens)
