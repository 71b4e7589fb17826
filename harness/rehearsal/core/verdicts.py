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


class Ending(StrEnum):
    """How a stage or a run ended: with a verdict, or why without one."""

    PASS = "PASS"  # noqa: S105 - a verdict, no password
    FAIL = "FAIL"
    INVALID = "INVALID"
    ABORTED = "ABORTED"
    ERROR = "ERROR"
    ENVIRONMENT = "ENVIRONMENT"  # the machine or the cluster was not in a state to look
    USAGE = "USAGE"  # what was asked for does not fit what is there
    INTERRUPTED = "INTERRUPTED"
    NOT_RUN = "NOT RUN"


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
_ENDING_CODES = {
    **{Ending(verdict.value): code for verdict, code in _EXIT_CODES.items()},
    Ending.ENVIRONMENT: ExitCode.ENVIRONMENT,
    Ending.USAGE: ExitCode.USAGE,
    Ending.INTERRUPTED: ExitCode.INTERRUPTED,
    Ending.NOT_RUN: ExitCode.INVALID,  # nothing was looked at
}
# As among verdicts; an environment that broke leaves a failed check a fact, and explains why others could not
# look. Whoever interrupted the run knows that it says nothing about the whole.
_ENDING_SEVERITY = (
    Ending.NOT_RUN,
    Ending.PASS,
    Ending.INVALID,
    Ending.ENVIRONMENT,
    Ending.USAGE,
    Ending.FAIL,
    Ending.ABORTED,
    Ending.ERROR,
    Ending.INTERRUPTED,
)


def exit_code_of(verdict: Verdict) -> ExitCode:
    """Return the exit code that stands for a verdict."""
    return _EXIT_CODES[verdict]


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of a whole from those of its parts.

    A whole without parts is INVALID: nothing was looked at.
    """
    ranked = sorted(verdicts, key=_SEVERITY.index)
    return ranked[-1] if ranked else Verdict.INVALID


def combine_endings(endings: Iterable[Ending]) -> Ending:
    """Return how a run ended from how its stages did; NOT_RUN when none of them ran."""
    return max(endings, key=_ENDING_SEVERITY.index, default=Ending.NOT_RUN)


def exit_code_of_ending(ending: Ending) -> ExitCode:
    """Return the exit code that stands for how a run ended."""
    return _ENDING_CODES[ending]
