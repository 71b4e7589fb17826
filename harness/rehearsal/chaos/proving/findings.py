"""What a checker says: which invariant, of what, what was expected and what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rehearsal.core.verdicts import Verdict

# Violations that a result carries; the number of all of them is in it as well.
MAX_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Invariant:
    """Something that has to hold whatever fails; the ids are those of docs/reference/invariants.md."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Violation:
    """Where an invariant does not hold: `rule` says in what way; `subject` is an order, key or SKU."""

    invariant: str
    rule: str
    subject: str
    expected: str
    observed: str

    def __str__(self) -> str:
        return (
            f"{self.invariant} {self.rule} {self.subject}: expected {self.expected}, observed {self.observed}"
        )


@dataclass(frozen=True, slots=True)
class Result:
    """What one checker found. `looked_at` counts what it compared: none at all is INVALID, never PASS."""

    invariant: Invariant
    verdict: Verdict
    looked_at: int
    violations: tuple[Violation, ...] = ()
    violation_count: int = 0
    reason: str = ""
    numbers: dict[str, float] = field(default_factory=dict)


def judge(
    invariant: Invariant,
    looked_at: int,
    violations: Sequence[Violation],
    *,
    numbers: dict[str, float] | None = None,
) -> Result:
    """FAIL with violations, PASS without, INVALID where there was nothing to compare."""
    verdict = Verdict.FAIL if violations else Verdict.PASS if looked_at else Verdict.INVALID
    reason = "" if verdict is not Verdict.INVALID else "there was nothing to compare"
    return Result(
        invariant, verdict, looked_at, tuple(violations[:MAX_SHOWN]), len(violations), reason, numbers or {}
    )


def unseen(invariant: Invariant, reason: str) -> Result:
    """INVALID: the checker could not look."""
    return Result(invariant, Verdict.INVALID, 0, reason=reason)
