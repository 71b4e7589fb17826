"""Authentication at the edge: a token is verified once, then recognised by its bytes until it expires.

Verification itself (signature, issuer, audience, type) is the verifier's, the chassis' in production. The
services behind check the token again: this module keeps what is worthless from reaching them, it does not
speak for them. Nothing is admitted when in doubt.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final, Protocol

from mambogo_gateway.errors import GatewayError

MAX_TOKEN_BYTES: Final = 8 * 1024
_SCHEME: Final = b"bearer "
# How long a verified token is recognised without asking again: the time until a revoked key is noticed.
_RECOGNISED_SECONDS: Final = 60.0
# About 1.5 KiB each with the token: 15 MiB at most.
_MAX_RECOGNISED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a verified token speaks for; `expires_at` is Unix time in seconds."""

    subject: bytes
    expires_at: float


class TokenRefusedError(GatewayError):
    """The token is not valid; its bearer is told no more than that."""

    def __init__(self, message: str) -> None:
        super().__init__("token-refused", message)


class VerifierUnavailableError(GatewayError):
    """The token could not be checked, which says nothing about the token."""

    def __init__(self, message: str) -> None:
        super().__init__("verifier-unavailable", message)


class TokenVerifier(Protocol):
    """Checks a token that was not seen before."""

    async def verify(self, token: str) -> Principal:
        """The token's principal; raises TokenRefusedError or VerifierUnavailableError."""
        ...


class Authenticator:
    """Remembers verified tokens and asks once per unknown one, however many requests carry it."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier
        self._recognised: dict[bytes, tuple[Principal, float]] = {}
        self._pending: dict[bytes, asyncio.Task[Principal]] = {}

    def recall(self, authorization: bytes, now: float) -> Principal | None:
        """The principal of a token that was verified before; `now` is the event loop's time."""
        found = self._recognised.get(authorization)
        if found is None:
            return None
        principal, until = found
        if now < until:
            return principal
        del self._recognised[authorization]
        return None

    async def verify(self, authorization: bytes) -> Principal:
        """The principal of an Authorization field; raises TokenRefusedError or VerifierUnavailableError."""
        pending = self._pending.get(authorization)
        if pending is None:
            pending = asyncio.get_running_loop().create_task(self._verify(authorization))
            self._pending[authorization] = pending
            pending.add_done_callback(lambda task: self._settle(authorization, task))
        # One client's departure must not cancel the check that others wait for.
        return await asyncio.shield(pending)

    def _settle(self, authorization: bytes, task: asyncio.Task[Principal]) -> None:
        del self._pending[authorization]
        if not task.cancelled():
            task.exception()  # marks it as seen when every client that waited has left

    async def _verify(self, authorization: bytes) -> Principal:
        if len(authorization) > MAX_TOKEN_BYTES or authorization[:7].lower() != _SCHEME:
            raise TokenRefusedError("not a bearer token of acceptable size")
        try:
            token = authorization[7:].strip(b" ").decode("ascii")
        except UnicodeDecodeError as error:
            raise TokenRefusedError("a token is ASCII") from error
        try:
            principal = await self._verifier.verify(token)
        except (TokenRefusedError, VerifierUnavailableError):
            raise
        except Exception as error:
            raise VerifierUnavailableError(f"the verifier failed: {error!r}") from error
        lifetime = principal.expires_at - time.time()
        if lifetime <= 0:
            raise TokenRefusedError("the token has expired")
        if len(self._recognised) >= _MAX_RECOGNISED:
            # Oldest first: a dictionary keeps the order of insertion.
            del self._recognised[next(iter(self._recognised))]
        until = asyncio.get_running_loop().time() + min(lifetime, _RECOGNISED_SECONDS)
        self._recognised[authorization] = (principal, until)
        return principal
