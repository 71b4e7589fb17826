"""Checks: what can be found wrong, and what was found.

A kind of check has an id, a title and a page, `docs/checks/<id>.md`. Each engine lists its own kinds; how a
result is shown is for the reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rehearsal.core.verdicts import Verdict


class Severity(StrEnum):
    """What a failed check means for a release."""

    CRITICAL = "critical"  # data or money is lost, or somebody sees what is not theirs
    HIGH = "high"  # a promise to clients is broken
    MEDIUM = "medium"  # it works now, and will not in a case that is near


@dataclass(frozen=True, slots=True)
class CheckKind:
    """One thing that can be checked; its id never changes its meaning."""

    id: str
    title: str
    severity: Severity

    def passed(self, subject: str, sentence: str, *, observed: str = "") -> Check:
        """Return a result that holds."""
        return Check(self.id, self.severity, subject, Verdict.PASS, sentence, observed=observed)

    def failed(
        self,
        subject: str,
        sentence: str,
        *,
        expected: str,
        observed: str,
        evidence: tuple[str, ...] = (),
        reproduce: str = "",
        source: str = "",
    ) -> Check:
        """Return a result that does not hold, with what a reader needs to believe and repeat it."""
        return Check(
            self.id,
            self.severity,
            subject,
            Verdict.FAIL,
            sentence,
            expected=expected,
            observed=observed,
            evidence=evidence,
            reproduce=reproduce,
            source=source,
        )

    def invalid(self, subject: str, why: str, *, expected: str = "", observed: str = "") -> Check:
        """Return that the check could not look, and why."""
        return Check(self.id, self.severity, subject, Verdict.INVALID, why, expected, observed)


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found about one subject."""

    id: str
    severity: Severity
    subject: str  # the service, operation, workload or flow that was looked at
    verdict: Verdict
    sentence: str  # what was found, for a reader who knows nothing of the check
    expected: str = ""
    observed: str = ""
    evidence: tuple[str, ...] = ()  # files, relative to the run's folder
    reproduce: str = ""  # a command
    source: str = ""  # a file of the repository that the finding is about
