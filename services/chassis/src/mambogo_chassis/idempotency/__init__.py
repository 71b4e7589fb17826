"""Idempotency keys: one execution per user and key, one answer to every repetition."""

from mambogo_chassis.idempotency.errors import (
    IdempotencyError,
    InProgressError,
    InvalidKeyError,
    KeyReusedError,
)
from mambogo_chassis.idempotency.requests import (
    REPLAYED,
    REPLAYED_HEADER,
    Keyed,
    KeyedRequest,
    answer,
    keyed_responses,
    respond,
)
from mambogo_chassis.idempotency.store import Answer, IdempotencyStore, Request
from mambogo_chassis.idempotency.wiring import use_idempotency

__all__ = [
    "REPLAYED",
    "REPLAYED_HEADER",
    "Answer",
    "IdempotencyError",
    "IdempotencyStore",
    "InProgressError",
    "InvalidKeyError",
    "KeyReusedError",
    "Keyed",
    "KeyedRequest",
    "Request",
    "answer",
    "keyed_responses",
    "respond",
    "use_idempotency",
]
