"""The errors a caller may catch.

Every error carries a stable code, a message that says what happened and a hint that says what to do next.
A broken environment is never reported as a broken product: each class ends in an exit code of its own
(see `rehearsal.core.verdicts`). Programming mistakes are not wrapped here; they surface as they are.
"""

from __future__ import annotations

from typing import ClassVar

from rehearsal.core.verdicts import ExitCode


class RehearsalError(Exception):
    """Root of all errors that the harness raises on purpose."""

    exit_code: ClassVar[ExitCode] = ExitCode.ERROR

    def __init__(self, code: str, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"


class ConfigurationError(RehearsalError):
    """What the user asked for, or wrote into `rehearsal.toml`, does not make sense."""

    exit_code = ExitCode.USAGE


class EnvironmentNotReadyError(RehearsalError):
    """The machine, the engine, a supply or the cluster is not in a state to work with."""

    exit_code = ExitCode.ENVIRONMENT


class HarnessError(RehearsalError):
    """The harness itself broke: no statement about the product is possible."""

    exit_code = ExitCode.ERROR
