"""The border to the place where gateways share their buckets, and what a lease is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mambogo_gateway.errors import GatewayError


class StoreUnavailableError(GatewayError):
    """The shared buckets cannot be reached; limiters fall back to their own."""

    def __init__(self, message: str) -> None:
        super().__init__("limiter-store-unavailable", message, "limits are local until Redis is back")


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """A wish for tokens of one shared bucket; `owed` were already spent on credit and are taken in any case.

    A negative `owed` gives unspent tokens back.
    """

    key: bytes
    wanted: int
    owed: int
    per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class Lease:
    """What was granted, and in how many seconds one more token will be there."""

    granted: int
    wait_seconds: float


class LimiterStore(Protocol):
    """Grants leases from shared buckets; one round trip per call, however many requests it carries."""

    async def lease(self, requests: Sequence[LeaseRequest]) -> Sequence[Lease]:
        """One lease per request, in order; raises StoreUnavailableError."""
        ...
