"""The audit of a run's orders as checks, and what a reader needs to believe them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from rehearsal.chaos.checks import AUDIT
from rehearsal.chaos.proving.audit import Audit
from rehearsal.chaos.proving.findings import Result, Violation
from rehearsal.chaos.proving.operations import Operation
from rehearsal.chaos.proving.shrinking import shrink
from rehearsal.chaos.proving.snapshot import Snapshot
from rehearsal.core.checks import Check
from rehearsal.core.verdicts import Verdict

SUBJECT: Final = "all orders of the run"
_SHOWN: Final = 3  # violations in a sentence; the evidence has more
_SHRUNK: Final = 3  # violations of each invariant that are shown by the fewest operations


def judge_audit(found: Audit, evidence: tuple[str, ...]) -> Iterator[Check]:
    """Yield one check per invariant."""
    for result in found.results:
        yield _check(result, evidence)


def unaudited(why: str) -> Iterator[Check]:
    """Yield that nothing could be audited."""
    for kind in AUDIT.values():
        yield kind.invalid(SUBJECT, why)


def _check(result: Result, evidence: tuple[str, ...]) -> Check:
    kind = AUDIT[result.invariant.id]
    if result.verdict is Verdict.INVALID:
        return kind.invalid(SUBJECT, result.reason)
    if result.verdict is Verdict.PASS:
        return kind.passed(SUBJECT, f"{result.invariant.title}: {result.looked_at} compared")
    rules = sorted({one.rule for one in result.violations})
    return kind.failed(
        SUBJECT,
        f"{result.invariant.id} does not hold in {result.violation_count} cases ({', '.join(rules)})",
        expected=result.violations[0].expected,
        observed="; ".join(f"{one.subject} {one.rule}: {one.observed}" for one in result.violations[:_SHOWN]),
        evidence=evidence,
    )


def document(found: Audit, operations: Sequence[Operation], snapshot: Snapshot) -> Mapping[str, Any]:
    """Return what was found with the operations and rows that show it, for a file."""
    return {
        "quiet_seconds": snapshot.quiet_seconds,
        "invariants": [
            {
                "id": one.invariant.id,
                "title": one.invariant.title,
                "verdict": str(one.verdict),
                "reason": one.reason,
                "looked_at": one.looked_at,
                "violation_count": one.violation_count,
                "numbers": one.numbers,
                "violations": [
                    _violation(violation, operations, snapshot, shrunk=number < _SHRUNK)
                    for number, violation in enumerate(one.violations)
                ],
            }
            for one in found.results
        ],
    }


def _violation(
    violation: Violation, operations: Sequence[Operation], snapshot: Snapshot, *, shrunk: bool
) -> Mapping[str, Any]:
    # A race is not shrunk: its violation shows the shortest beginning itself.
    if not shrunk or violation.invariant == "I13":
        return asdict(violation)
    items = shrink(violation, operations, snapshot)
    return {**asdict(violation), "shown_by": [f"{item.part}: {item.content}" for item in items]}
