"""Verdicts of checks, stages and runs, and the exit codes that scripts rely on."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, StrEnum


class Verdict(StrEnum):
    """What a check, a stage or a run ended with."""

    PASS = "PASS"  # noqa: S105 - a verdict, no password
    FAIL = "FAIL"  # a check does not hold
    INVALID = "INVALID"  # the check could not look
    ABORTED = "ABORTED"  # a stop condition fired
    ERROR = "ERROR"  # the harness broke


class ExitCode(IntEnum):
    """Exit codes of `rehearsal` and of the nox sessions; part of the public interface."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    ENVIRONMENT = 3
    INVALID = 4
    ERROR = 5
    ABORTED = 6
    INTERRUPTED = 130


_EXIT_CODES = {
    Verdict.PASS: ExitCode.PASS,
    Verdict.FAIL: ExitCode.FAIL,
    Verdict.INVALID: ExitCode.INVALID,
    Verdict.ABORTED: ExitCode.ABORTED,
    Verdict.ERROR: ExitCode.ERROR,
}

# A broken harness says nothing about the product, so it outranks everything; a stop condition cut the look
# short; a failed check is a fact that a check which could not look does not take away.
_SEVERITY = (Verdict.PASS, Verdict.INVALID, Verdict.FAIL, Verdict.ABORTED, Verdict.ERROR)


def exit_code_of(verdict: Verdict) -> ExitCode:
    """Return the exit code that stands for a verdict."""
    return _EXIT_CODES[verdict]


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of a whole from those of its parts.

    A whole without parts is INVALID: nothing was looked at.
    """
    ranked = sorted(verdicts, key=_SEVERITY.index)
    return ranked[-1] if ranked else Verdict.INVALID
