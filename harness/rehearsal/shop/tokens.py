"""Tokens of users, from the identity provider, kept until shortly before they expire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from rehearsal.core.errors import EnvironmentNotReadyError

_MARGIN_SECONDS = 20.0  # a token that expires sooner might do so on its way


class Tokens(Protocol):
    """Who can make somebody a user."""

    async def bearer(self, user: str) -> str:
        """Return a token of this user. Raises EnvironmentNotReadyError when none can be had."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user and what their tokens may do."""

    username: str
    password: str
    scope: str


@dataclass(frozen=True, slots=True)
class Realm:
    """Where tokens come from."""

    token_url: str
    client_id: str
    client_secret: str = ""


class PasswordTokens:
    """Tokens by user name and password (RFC 6749 4.3), which only test realms allow."""

    def __init__(self, client: aiohttp.ClientSession, realm: Realm, accounts: Mapping[str, Account]) -> None:
        self._client = client
        self._realm = realm
        self._accounts = accounts
        self._kept: dict[str, tuple[str, float]] = {}
        self._locks = {user: asyncio.Lock() for user in accounts}

    async def bearer(self, user: str) -> str:
        """Return a token, a new one when the kept one is about to expire."""
        async with self._locks[user]:
            token, expires = self._kept.get(user, ("", 0.0))
            if time.monotonic() >= expires:
                token, seconds = await self._fetch(self._accounts[user])
                self._kept[user] = token, time.monotonic() + seconds - _MARGIN_SECONDS
            return token

    async def _fetch(self, account: Account) -> tuple[str, float]:
        form = {
            "grant_type": "password",
            "client_id": self._realm.client_id,
            "username": account.username,
            "password": account.password,
            "scope": account.scope,
        }
        if self._realm.client_secret:
            form["client_secret"] = self._realm.client_secret
        try:
            async with self._client.post(self._realm.token_url, data=form) as answer:
                answer.raise_for_status()
                content = await answer.json(content_type=None)  # what it is called decides nothing
            return str(content["access_token"]), float(content["expires_in"])
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
            raise EnvironmentNotReadyError(
                "TOKEN_REFUSED",
                f"{self._realm.token_url} gives {account.username} no token: {error}",
                hint="`rehearsal up --ci` deploys the identity provider and its realm; its log says why.",
            ) from error
