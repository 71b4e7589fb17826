"""SARIF 2.1.0: findings for code scanning; each has a place, a stable rule and a stable fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from rehearsal.core.checks import Severity
from rehearsal.core.verdicts import Verdict
from rehearsal.report.model import CheckReport, Report

_LEVELS = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render_sarif(report: Report) -> str:
    """Return the document."""
    findings = report.findings()
    rules = sorted({one.id for one in findings})
    run = {
        "tool": {"driver": {"name": "rehearsal", "rules": [_rule(id_) for id_ in rules]}},
        "results": list(_results(findings, rules)),
    }
    content = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


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
