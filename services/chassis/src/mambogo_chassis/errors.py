"""The root of every error that the chassis raises on its own account.

An error with an `http_status` is answered by the HTTP layer with that status, and with `Retry-After` where
`retry_after_seconds` says so; without one it is a 500. `http.problems.Problem` is for answers that an
operation gives on purpose. Business errors belong to the services.
"""

from __future__ import annotations

from typing import ClassVar


class ChassisError(Exception):
    """An error with a stable code, what happened, and what to do about it."""

    code: ClassVar[str] = "chassis"
    http_status: ClassVar[int | None] = None
    retry_after_seconds: ClassVar[int | None] = None

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}" + (f" ({self.hint})" if self.hint else "")
