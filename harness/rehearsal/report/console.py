"""The last lines of a run on a console: verdict, what failed, where the report is, how to repeat it."""

from __future__ import annotations

from rehearsal.core.showing import visible
from rehearsal.core.verdicts import Verdict
from rehearsal.report.model import CheckReport, Report
from rehearsal.report.phrasing import RUNNING, again, explain_command, headline

_INDENT = 15  # of what others said in several lines: as the values of a finding stand
_MOST_FINDINGS = 10  # a screenful; the report has all of them


def render_console(report: Report, page: str, *, going_on: bool = False) -> str:
    """Return the block; `page` is where the HTML report is; `going_on` of a run that has no end yet."""
    verdict = RUNNING if going_on else report.verdict
    lines = ["", visible(f"{verdict}: {headline(report, going_on=going_on)}", _INDENT)]
    findings = report.findings()
    for one in findings[:_MOST_FINDINGS]:
        lines += ["", *_finding(one)]
    if len(findings) > _MOST_FINDINGS:
        lines += ["", f"... and {len(findings) - _MOST_FINDINGS} more, in the report"]
    if report.not_looked_at:
        unseen = ", ".join(one.what for one in report.not_looked_at)
        lines += ["", visible(f"not looked at: {unseen}", _INDENT)]
    if report.score is not None:
        lines += ["", f"readiness: {report.score.score:g} of {report.score.best:g}"]
    lines += ["", f"report: {page}", f"again:  {again(report)}"]
    return "\n".join(lines)


def _finding(one: CheckReport) -> list[str]:
    lines = [f"  {one.verdict} {one.id} ({one.severity}) {one.subject}: {one.sentence}"]
    if one.verdict is Verdict.FAIL:
        lines += [f"    expected   {one.expected}", f"    observed   {one.observed}"]
    if one.reproduce:
        lines.append(f"    reproduce  {one.reproduce}")
    return [visible(line, _INDENT) for line in (*lines, f"    explain    {explain_command(one)}")]
