"""Idempotency keys: one execution per user and key, one answer to every repetition."""

from mambogo_chassis.idempotency.errors import (
    IdempotencyError,
    InProgressError,
    InvalidKeyError,
    KeyReusedError,
)
from mambogo_chassis.idempotency.store import Answer, IdempotencyStore, Request

__all__ = [
    "Answer",
    "IdempotencyError",
    "IdempotencyStore",
    "InProgressError",
    "InvalidKeyError",
    "KeyReusedError",
    "Request",
]
