"""The issuer's signing keys: cached, refreshed by one caller for all, kept while the issuer is away.

A key that the issuer has withdrawn is dropped with the next refresh, at the latest after `REFRESH_SECONDS`.
Keys come from the configured address only; nothing in a token (`jku`, `jwk`, `x5u`) is ever followed.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from mambogo_chassis import fetching
from mambogo_chassis.errors import ChassisError
from mambogo_chassis.metrics import Metrics

REFRESH_SECONDS: Final = 300.0
# At most this often, however many tokens with made-up key ids come in.
MIN_INTERVAL_SECONDS: Final = 1.0
# How long a key id that the issuer did not know is refused without asking again.
UNKNOWN_SECONDS: Final = 5.0
FETCH_TIMEOUT_SECONDS: Final = 2.0
MAX_ANSWER_BYTES: Final = 262_144
# Callers that may wait for one refresh; the rest of a flood is told to come again.
MAX_WAITING: Final = 200
MAX_UNKNOWN_IDS: Final = 1000
# NIST SP 800-131A disallows less.
MIN_RSA_BITS: Final = 2048

logger = logging.getLogger(__name__)


class KeysUnavailableError(ChassisError):
    """No key has ever been read, or too many wait for one: tokens cannot be judged now."""

    code = "keys-unavailable"
    http_status = 503
    retry_after_seconds = 1


class UnknownKeyError(ChassisError):
    """The issuer has no signing key of this id."""

    code = "unknown-key"


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """One public key with the only algorithm that it may be used for; compared by identity."""

    key_id: str
    algorithm: str
    key: Any
    jwk: dict[str, Any]


class KeyCache:
    """The keys at one JWKS address."""

    def __init__(
        self,
        url: str,
        *,
        algorithms: frozenset[str] = frozenset({"RS256"}),
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._algorithms = algorithms
        self._clock = clock
        self._keys: dict[str, SigningKey] = {}
        self._unknown: dict[str, float] = {}
        self._refreshing: asyncio.Task[bool] | None = None
        self._next_start = float("-inf")
        self._read_at: float | None = None
        self._waiting = 0
        self.refreshes = 0
        if metrics is not None:
            metrics.gauge_callback(
                "jwks_age_seconds",
                "Since the signing keys were last read.",
                lambda: self._clock() - self._read_at if self._read_at is not None else float("inf"),
            )

    def cached(self, key_id: str) -> SigningKey | None:
        """A key that is there already."""
        return self._keys.get(key_id)

    async def find(self, key_id: str) -> SigningKey:
        """The key, after at most one refresh. Raises UnknownKeyError, KeysUnavailableError."""
        key = self._keys.get(key_id)
        if key is not None:
            return key
        if self._unknown.get(key_id, float("-inf")) > self._clock():
            raise UnknownKeyError("the token's key id is not the issuer's")
        if self._waiting >= MAX_WAITING:
            raise KeysUnavailableError("too many requests wait for the signing keys")
        fresh = await self._refresh_with_others()
        key = self._keys.get(key_id)
        if key is not None:
            return key
        if self._read_at is None:
            raise KeysUnavailableError(f"no signing keys from {self._url} yet")
        if fresh:
            self._remember_unknown(key_id)
        raise UnknownKeyError("the token's key id is not the issuer's")

    async def run(self) -> None:
        """A supervised task: read the keys at start, and again regularly, so that withdrawn ones go."""
        pause = MIN_INTERVAL_SECONDS
        while True:
            if await self._refresh_with_others():
                pause = REFRESH_SECONDS
            else:
                pause = min(pause * 2, 30.0) if self._read_at is None else 30.0
            await asyncio.sleep(pause * random.uniform(0.9, 1.0))  # noqa: S311 - spreads instances, no secret

    async def _refresh_with_others(self) -> bool:
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh())
        self._waiting += 1
        try:
            # Shielded: a caller whose deadline passes must not end the others' refresh.
            return await asyncio.shield(self._refreshing)
        finally:
            self._waiting -= 1

    async def _refresh(self) -> bool:
        try:
            # Waiting for the slot, not refusing: a token signed by a brand-new key deserves its answer.
            await asyncio.sleep(max(self._next_start - self._clock(), 0.0))
            self._next_start = self._clock() + MIN_INTERVAL_SECONDS
            self.refreshes += 1
            body = await asyncio.to_thread(
                fetching.get, self._url, timeout_seconds=FETCH_TIMEOUT_SECONDS, max_bytes=MAX_ANSWER_BYTES
            )
            self._replace(msgspec.json.decode(body, type=_KeySet).keys)
        except (fetching.FetchError, msgspec.DecodeError, UnknownKeyError) as error:
            logger.warning("signing keys not refreshed, %d are kept: %s", len(self._keys), error)
            return False
        finally:
            self._refreshing = None
        self._read_at = self._clock()
        return True

    def _replace(self, jwks: list[dict[str, Any]]) -> None:
        keys: dict[str, SigningKey] = {}
        for jwk in jwks:
            known = self._keys.get(str(jwk.get("kid")))
            # The same object for the same key, so that what was verified with it stays verified.
            key = known if known is not None and known.jwk == jwk else _signing_key(jwk, self._algorithms)
            if key is not None:
                keys[key.key_id] = key
        if not keys:
            # An issuer without keys cannot issue: this is garbage, and no reason to forget.
            raise UnknownKeyError(f"{self._url} holds no usable signing key")
        self._keys = keys
        self._unknown.clear()

    def _remember_unknown(self, key_id: str) -> None:
        if len(self._unknown) >= MAX_UNKNOWN_IDS:
            self._unknown.pop(next(iter(self._unknown)))
        self._unknown[key_id] = self._clock() + UNKNOWN_SECONDS


def _signing_key(jwk: dict[str, Any], algorithms: frozenset[str]) -> SigningKey | None:
    """The key if it is for signatures by one of `algorithms`; Keycloak publishes one for encryption too."""
    key_id, algorithm = jwk.get("kid"), jwk.get("alg")
    if not isinstance(key_id, str) or jwk.get("use", "sig") != "sig" or algorithm not in algorithms:
        return None
    try:
        key = jwt.PyJWK(jwk).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        logger.warning("signing key %r is not usable: %s", key_id, type(error).__name__)
        return None
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        logger.warning("signing key %r has only %d bits", key_id, key.key_size)
        return None
    return SigningKey(key_id, str(algorithm), key, jwk)
