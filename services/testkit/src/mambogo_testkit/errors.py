"""The one error that a fixture raises when the environment, not the tested code, is at fault."""

from __future__ import annotations


class TestkitError(Exception):
    """A dependency could not be supplied: what happened, and what to do about it."""

    __test__ = False  # the name begins as a test class's does

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(code, message, hint)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}\n  {self.hint}"
