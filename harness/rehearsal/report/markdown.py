"""`summary.md`: for a job's summary page, short enough for GitHub's limit of 1 MiB a step."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rehearsal.report.model import CheckReport, Report
from rehearsal.report.phrasing import again, duration, explain_command, headline, mark, revision

_MOST_FINDINGS = 50  # keeps the page below 60 kB with the longest findings
_LONGEST_CHARACTERS = 400


def render_markdown(report: Report) -> str:
    """Return the summary."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {mark(report.verdict)} {report.verdict}: {_escape(_flat(headline(report)))}"
    yield ""
    yield (
        f"Commit {revision(report)}, profile {report.run.profile}, timing {report.run.timing}, "
        f"{duration(report.run.seconds)} on {_escape(_flat(report.run.machine))}."
    )
    yield from _findings(report)
    yield from ("", "## Stages", "", "| stage | ended | took | why |", "|---|---|---|---|")
    for stage in report.stages:
        ended = f"{mark(stage.ending)} {stage.ending}"
        yield f"| {stage.name} | {ended} | {duration(stage.seconds)} | {_cell(stage.reason)} |"
    if score := report.score:
        aspects = ", ".join(f"{one.name} {one.score:g}" for one in score.aspects)
        yield from ("", f"Readiness: **{score.score:g} of {score.best:g}** ({aspects})")
    if report.not_looked_at:
        yield from ("", "## Not looked at", "")
        for one in report.not_looked_at:
            yield f"- {_escape(_short(one.what))}: {_escape(_short(one.why))}"
    yield from ("", f"Again: {_code(again(report))}")


def _findings(report: Report) -> Iterator[str]:
    findings = report.findings()
    if not findings:
        return
    yield from ("", "## Findings", "")
    for one in findings[:_MOST_FINDINGS]:
        yield from _finding(one)
    if len(findings) > _MOST_FINDINGS:
        yield f"- and {len(findings) - _MOST_FINDINGS} more, in the report"


def _finding(one: CheckReport) -> Iterator[str]:
    what = f"{_escape(_short(one.subject))}: {_escape(_short(one.sentence))}"
    yield f"- {mark(one.verdict)} **{one.id}** ({one.severity}), {what}"
    if one.expected or one.observed:
        yield f"  expected {_escape(_short(one.expected))}; observed {_escape(_short(one.observed))}"
    yield f"  {_code(one.reproduce or explain_command(one))}"


def _flat(text: str) -> str:
    """Return text in one line: what others said must not begin one of its own."""
    return " ".join(text.split())


def _code(command: str) -> str:
    """Return a command as code, between more backticks than it has in a row."""
    line = " ".join(command.splitlines())
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    gap = " " * ("`" in line)
    return f"{fence}{gap}{line}{gap}{fence}"


def _short(text: str) -> str:
    flat = _flat(text)
    return flat if len(flat) <= _LONGEST_CHARACTERS else f"{flat[:_LONGEST_CHARACTERS]} ..."


def _cell(text: str) -> str:
    return _escape(_short(text)).replace("|", "\\|")


def _escape(text: str) -> str:
    for sign in "\\`*_[]<&~":
        text = text.replace(sign, f"\\{sign}")
    return text
