"""Why a request with an idempotency key is not executed, as types that the HTTP layer answers."""

from __future__ import annotations

from typing import ClassVar

from mambogo_chassis.errors import ChassisError


class IdempotencyError(ChassisError):
    """Root of this package's errors."""

    code = "idempotency"


class InvalidKeyError(IdempotencyError):
    """The key is missing or no key: 1 to 255 visible ASCII characters."""

    code = "idempotency-key-invalid"
    http_status: ClassVar[int | None] = 400


class KeyReusedError(IdempotencyError):
    """The key was used for another request."""

    code = "idempotency-key-reused"
    http_status: ClassVar[int | None] = 422


class InProgressError(IdempotencyError):
    """The first request with this key has not ended within the time that a second one waits."""

    code = "idempotency-in-progress"
    http_status: ClassVar[int | None] = 409
    retry_after_seconds: ClassVar[int | None] = 1
