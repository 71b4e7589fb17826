"""Tokens: kept, renewed in time, and used on while no new one can be had."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.shop import tokens
from rehearsal.shop.tokens import Account, PasswordTokens, Realm

LIFE_SECONDS = 300


class Provider:
    """Gives numbered tokens, or none while it is away; stands for the HTTP client, too."""

    def __init__(self) -> None:
        self.given = 0
        self.is_away = False
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    @asynccontextmanager
    async def post(self, url: str, data: Any) -> AsyncIterator[Provider]:
        if self.is_away:
            raise aiohttp.ClientConnectionError("nobody there")
        yield self

    def raise_for_status(self) -> None:
        pass

    async def json(self, content_type: str | None) -> dict[str, Any]:
        self.given += 1
        return {"access_token": f"token {self.given}", "expires_in": LIFE_SECONDS}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    found = Provider()
    monkeypatch.setattr(tokens, "time", found)
    return found


@pytest.fixture
def shopper(provider: Provider) -> PasswordTokens:
    client = cast("aiohttp.ClientSession", provider)
    return PasswordTokens(client, Realm("http://identity", "shop"), {"alice": Account("alice", "x", "")})


def bearer(shopper: PasswordTokens) -> str:
    return asyncio.run(shopper.bearer("alice"))


def test_a_token_is_kept_and_renewed_before_it_expires(provider: Provider, shopper: PasswordTokens) -> None:
    assert bearer(shopper) == "token 1"
    provider.now += LIFE_SECONDS - 61
    assert bearer(shopper) == "token 1"
    provider.now += 2
    assert bearer(shopper) == "token 2"


def test_a_token_that_is_good_is_used_on_while_no_new_one_can_be_had(
    provider: Provider, shopper: PasswordTokens
) -> None:
    bearer(shopper)
    provider.now += LIFE_SECONDS - 30
    provider.is_away = True
    assert bearer(shopper) == "token 1"
    provider.now += 2
    provider.is_away = False
    assert bearer(shopper) == "token 2"


@pytest.mark.parametrize("age_seconds", [None, LIFE_SECONDS - 4])
def test_without_a_good_token_none_is_an_error(
    provider: Provider, shopper: PasswordTokens, age_seconds: float | None
) -> None:
    if age_seconds is not None:
        bearer(shopper)
        provider.now += age_seconds
    provider.is_away = True
    with pytest.raises(EnvironmentNotReadyError, match="gives alice no token: nobody there"):
        bearer(shopper)
