"""`report.json`, version 1: the one source of every form of the report.

The committed JSON Schema beside this module says the same to other programs. A field that goes or changes its
meaning makes a new version; fields may be added, each with what it is in a report that was written before.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from rehearsal.core.checks import Severity
from rehearsal.core.verdicts import Ending, Verdict


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Run(_Part):
    """What has to be known to read the results, and to run it again."""

    id: str
    command: str
    sha: str
    changed: bool
    profile: str
    timing: str
    context: str
    seed: int
    machine: str
    started: datetime
    seconds: float
    order_p95_seconds: float | None = None  # what is promised of orders


class StageReport(_Part):
    """How a stage ended; a stage that was not run has a reason and no time."""

    name: str
    summary: str
    ending: Ending
    reason: str
    seconds: float
    limit_seconds: float
    artefacts: tuple[str, ...] = ()  # what was collected because it did not pass
    started: float | None = None  # Unix seconds


class CheckReport(_Part):
    """What a check found."""

    id: str
    stage: str
    severity: Severity
    subject: str
    verdict: Verdict
    sentence: str
    expected: str
    observed: str
    evidence: tuple[str, ...]  # files, relative to the run's folder
    reproduce: str
    source: str  # a file of the repository


class NotLookedAtReport(_Part):
    """What a reader might think was looked at."""

    what: str
    why: str


class FaultReport(_Part):
    """When a fault was at work, in Unix seconds."""

    title: str
    start: float
    end: float


class NoticeReport(_Part):
    """A fallback, a repair, a warning."""

    level: str
    message: str


class CriterionReport(_Part):
    """A promise, whether this run has shown it, and by what or why not."""

    promise: str
    checks: tuple[str, ...]  # ids; none: nothing looks at it yet
    shown: bool
    why: str


class AspectReport(_Part):
    """The criteria of one aspect."""

    name: str
    score: float
    criteria: tuple[CriterionReport, ...]


class ScoreReport(_Part):
    """How ready this run has shown the shop to be; `guide` is what production's guide asserts."""

    score: float
    best: float
    guide: float
    aspects: tuple[AspectReport, ...]


class Report(_Part):
    """A run and everything that it found."""

    schema_version: Literal[1]
    verdict: Ending
    exit_code: int
    complete: bool  # false: the run was cut off, or goes on; this is what it had said by then
    run: Run
    stages: tuple[StageReport, ...]
    checks: tuple[CheckReport, ...]
    score: ScoreReport | None = None
    faults: tuple[FaultReport, ...] = ()
    not_looked_at: tuple[NotLookedAtReport, ...]
    notices: tuple[NoticeReport, ...]

    def of_verdict(self, *verdicts: Verdict) -> Sequence[CheckReport]:
        """Return the checks with one of these verdicts, in order of the run."""
        return [one for one in self.checks if one.verdict in verdicts]

    def findings(self) -> Sequence[CheckReport]:
        """Return the checks that do not hold, then those that could not look, the gravest first."""
        order = list(Severity)
        bad = self.of_verdict(Verdict.FAIL, Verdict.INVALID)
        return sorted(bad, key=lambda one: (one.verdict is not Verdict.FAIL, order.index(one.severity)))
