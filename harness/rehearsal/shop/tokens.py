"""Tokens of users, from the identity provider, kept until shortly before they expire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import aiohttp

from rehearsal.core.errors import EnvironmentNotReadyError

# A new one is asked for while the old one is good for a while: the provider may be away for a moment.
_RENEWAL_SECONDS = 60.0
_AGAIN_SECONDS = 1.0
_MARGIN_SECONDS = 5.0  # a token that expires sooner might do so on its way


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


@dataclass(frozen=True, slots=True)
class _Kept:
    """A token, by the monotonic clock: when a new one is asked for, and until when it is good."""

    token: str
    renewal: float
    end: float


class PasswordTokens:
    """Tokens by user name and password (RFC 6749 4.3), which only test realms allow."""

    def __init__(self, client: aiohttp.ClientSession, realm: Realm, accounts: Mapping[str, Account]) -> None:
        self._client = client
        self._realm = realm
        self._accounts = accounts
        self._kept: dict[str, _Kept] = {}
        self._locks = {user: asyncio.Lock() for user in accounts}

    async def bearer(self, user: str) -> str:
        """Return a token, a new one some time before the kept one expires."""
        async with self._locks[user]:
            kept, now = self._kept.get(user), time.monotonic()
            if kept is None or now >= kept.renewal:
                kept = await self._renewed(user, kept)
                self._kept[user] = kept
            return kept.token

    async def _renewed(self, user: str, old: _Kept | None) -> _Kept:
        """Return a new token; the old one, if it is still good and no new one can be had."""
        try:
            token, seconds = await self._fetch(self._accounts[user])
        except EnvironmentNotReadyError:
            now = time.monotonic()
            if old is None or now >= old.end:
                raise
            return replace(old, renewal=now + _AGAIN_SECONDS)
        now = time.monotonic()
        return _Kept(
            token, now + seconds - min(_RENEWAL_SECONDS, seconds / 2), now + seconds - _MARGIN_SECONDS
        )

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
