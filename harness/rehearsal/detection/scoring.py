"""The score of a look at a planted defect, as ITBench scores diagnoses. Pure.

A missed cause is 0; else the score is the precision of what was named. Nothing is known where the detector
could not look, or where it finds something in a tree that nobody has broken.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rehearsal.core.verdicts import ExitCode
from rehearsal.detection.model import Cause, Seen

_LOOKED = frozenset({ExitCode.PASS, ExitCode.FAIL, ExitCode.INVALID})


class Outcome(StrEnum):
    """What became of a planted defect, or of a control."""

    FOUND = "found"
    MISSED = "missed"
    VOID = "void"  # its detector also finds something where nothing is
    NOT_LOOKED = "not looked at"
    CLEAN = "clean"  # of a control: everything was looked at, nothing found


@dataclass(frozen=True, slots=True)
class Score:
    """An outcome, and how much of what was named was the cause: 0 to 1."""

    outcome: Outcome
    value: float


def score(seen: Seen, cause: Cause) -> Score:
    """Return what a look at a planted defect is worth, by a detector whose control is clean."""
    if seen.exit_code not in _LOOKED:
        return Score(Outcome.NOT_LOOKED, 0.0)
    hits = sum(cause.is_named_by(one) for one in seen.named)
    if not hits:
        return Score(Outcome.MISSED, 0.0)
    return Score(Outcome.FOUND, hits / len(seen.named))


def control(seen: Seen) -> Score:
    """Return what a look at an unbroken tree is worth: anything but a whole look without a finding voids."""
    if seen.exit_code not in _LOOKED:
        return Score(Outcome.NOT_LOOKED, 0.0)
    is_clean = seen.exit_code == ExitCode.PASS and not seen.named and not seen.blind
    return Score(Outcome.CLEAN if is_clean else Outcome.VOID, 0.0)
