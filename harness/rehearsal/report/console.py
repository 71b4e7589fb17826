"""The last lines of a run on a console: verdict, what failed, where the report is, how to repeat it."""

from __future__ import annotations

from rehearsal.core.verdicts import Verdict
from rehearsal.report.model import CheckReport, Report
from rehearsal.report.phrasing import again, explain_command, headline

_MOST_FINDINGS = 10  # a screenful; the report has all of them


def render_console(report: Report, page: str) -> str:
    """Return the block; `page` is where the HTML report is."""
    lines = ["", f"{report.verdict}: {headline(report)}"]
    findings = report.findings()
    for one in findings[:_MOST_FINDINGS]:
        lines += ["", *_finding(one)]
    if len(findings) > _MOST_FINDINGS:
        lines += ["", f"... and {len(findings) - _MOST_FINDINGS} more, in the report"]
    if report.not_looked_at:
        lines += ["", f"not looked at: {', '.join(one.what for one in report.not_looked_at)}"]
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
    return [*lines, f"    explain    {explain_command(one)}"]
