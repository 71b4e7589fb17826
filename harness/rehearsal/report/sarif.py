"""SARIF 2.1.0: findings for code scanning; each has a place, a stable rule and a stable fingerprint.

A run that did not look everywhere says so: else an alert that it has not found again would count as mended.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from rehearsal.core.checks import Severity
from rehearsal.core.verdicts import Ending, Verdict
from rehearsal.report.model import CheckReport, Report, StageReport
from rehearsal.report.phrasing import headline

_LEVELS = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning"}
_OF_CHECKS = (Verdict.PASS, Verdict.FAIL, Verdict.INVALID)
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render_sarif(report: Report) -> str:
    """Return the document."""
    findings = report.findings()
    rules = sorted({one.id for one in findings})
    run = {
        "tool": {"driver": {"name": "rehearsal", "rules": [_rule(id_) for id_ in rules]}},
        "invocations": [_invocation(report)],
        "results": list(_results(findings, rules)),
    }
    content = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _invocation(report: Report) -> Mapping[str, object]:
    """Return whether the run came to its end in every stage, and else which it did not."""
    unseen = [
        f"{one.name}: {one.ending}: {one.reason}" for one in report.stages if not _has_looked(report, one)
    ]
    if not report.complete or report.verdict not in {Ending(one.value) for one in _OF_CHECKS}:
        unseen.insert(0, f"{report.verdict}: {headline(report)}")
    notes = [{"level": "error", "message": {"text": one}} for one in unseen]
    found: dict[str, object] = {"executionSuccessful": not unseen, "exitCode": report.exit_code}
    return {**found, "toolExecutionNotifications": notes} if notes else found


def _has_looked(report: Report, stage: StageReport) -> bool:
    """Return whether a stage ended by its checks: all of them were made."""
    verdicts = {one.verdict.value for one in report.checks if one.stage == stage.name}
    return stage.ending is Ending.PASS or stage.ending.value in verdicts


def _rule(id_: str) -> Mapping[str, object]:
    return {"id": id_, "help": {"text": f"docs/checks/{id_}.md; rehearsal explain {id_}"}}


def _results(findings: Sequence[CheckReport], rules: list[str]) -> Iterator[Mapping[str, object]]:
    times: Counter[str] = Counter()
    for one in findings:
        what = f"{one.id}\n{one.subject}"
        times[what] += 1
        # Two results with one fingerprint are one alert, whose second half nobody would see.
        yield _result(one, rules, what if times[what] == 1 else f"{what}\n{times[what]}")


def _result(one: CheckReport, rules: list[str], what: str) -> Mapping[str, object]:
    # A result without a place is not shown at all: what concerns no file points to its check's page.
    place = one.source or f"docs/checks/{one.id}.md"
    blind = one.verdict is not Verdict.FAIL
    return {
        "ruleId": one.id,
        "ruleIndex": rules.index(one.id),
        "level": "warning" if blind else _LEVELS[one.severity],
        "message": {"text": f"{one.subject}: {one.sentence}"},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": quote(place)}, "region": {"startLine": 1}}}
        ],
        "partialFingerprints": {"check/v1": hashlib.sha256(what.encode()).hexdigest()},
    }
