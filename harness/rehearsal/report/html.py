"""The report as one page: no network, no script, light and dark, on paper too.

Its style is the only thing that its content security policy allows. Verdicts differ by sign and word, not by
colour alone. Engines that have more to show get a section of their own beside the timeline. Each section has
a share of the bytes: the page stays below 300 kB whatever was found.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from rehearsal.core.verdicts import Ending, Verdict
from rehearsal.report import contracts, faults
from rehearsal.report.autoscaling import render_replicas, said
from rehearsal.report.marking import badge, code, entry, fitting, kind, link, more, short, table, text
from rehearsal.report.model import CheckReport, Report, ScoreReport, StageReport
from rehearsal.report.phrasing import WORST, again, duration, explain_command, headline, mark, revision
from rehearsal.report.series import Point, Replicas, by_hpa
from rehearsal.report.timeline import Timeline, lanes_of, render_timeline, timeline_of

_OF_AN_HPA = ("load.scaled", "load.formula", "load.new_pods", "load.slo", "load.down", "load.generator")
_STYLE = Path(__file__).with_name("page.css")
# Shares of the page. The largest run so far has 50 kB of checks; its other sections stay below 10 kB.
_FINDINGS_BYTES = 55_000
_CHECKS_BYTES = 70_000
_HPAS_BYTES = 20_000
_NOT_LOOKED_AT_BYTES = 10_000
_NOTICES_BYTES = 5_000
_LEGEND_BYTES = 5_000
_MOST_NAMES = 6  # of what was not looked at, on top
_LONGEST_NAME = 60
_ARTEFACTS_BYTES = 2_000  # of each stage


def render_html(report: Report, points: Sequence[Point] = (), looks: Sequence[Replicas] = ()) -> str:
    """Return the page; `points` and `looks` are the run's series, of orders and of HPAs."""
    return "\n".join(_page(report, points, looks)) + "\n"


def _page(report: Report, points: Sequence[Point], looks: Sequence[Replicas]) -> Iterator[str]:
    style = _STYLE.read_text(encoding="utf-8")
    # The hash is of exactly what stands between the tags.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    yield "<!doctype html>"
    yield '<html lang="en">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark">'
    yield f"<title>{report.verdict}: rehearsal {escape(report.run.id)}</title>"
    yield f"<style>{style}</style>"
    yield "</head>"
    yield "<body>"
    yield '<a class="skip" href="#findings">Skip to the findings</a>'
    yield from _header(report)
    yield "<main>"
    yield from _stages(report)
    yield from _timeline(timeline_of(report, points, looks))
    yield from _autoscaling(report, looks)
    yield from _findings(report)
    yield from contracts.render(report.checks)
    yield from faults.render(report)
    yield from _score(report.score)
    yield from _not_looked_at(report)
    yield from _checks(report)
    yield from _facts(report)
    yield from _notices(report)
    yield "</main>"
    yield "</body>"
    yield "</html>"


def _header(report: Report) -> Iterator[str]:
    yield f'<header class="{kind(report.verdict)}">'
    yield f"<h1>{badge(report.verdict)} {text(headline(report))}</h1>"
    worst = report.findings()[:WORST]
    if worst:
        yield "<ul>"
        yield from (f"<li>{text(one.subject)}: {text(one.sentence)}</li>" for one in worst)
        yield "</ul>"
    run = report.run
    parts = (
        f"commit {revision(report)}",
        f"profile {run.profile}",
        f"timing {run.timing}",
        duration(run.seconds),
        run.machine,
    )
    yield f"<p>{text(' · '.join(parts))}</p>"
    if report.not_looked_at:
        names = ", ".join(short(one.what, _LONGEST_NAME) for one in report.not_looked_at[:_MOST_NAMES])
        left = len(report.not_looked_at) - _MOST_NAMES
        rest = f", and {left} more" if left > 0 else ""
        yield f'<p><a href="#not-looked-at">Not looked at</a>: {escape(names)}{rest}</p>'
    yield "</header>"


def _timeline(timeline: Timeline | None) -> Iterator[str]:
    if timeline is None:
        return
    yield '<section aria-labelledby="timeline"><h2 id="timeline">Timeline</h2>'
    yield from _drawing("the timeline", render_timeline(timeline))
    yield f'<p class="legend">{" ".join(_legend(timeline))}</p>'
    if timeline.report.faults:
        kept, left = fitting(_faults_by_number(timeline.report), _LEGEND_BYTES)
        yield from ('<ol class="legend">', *kept, "</ol>", *more(left))
    yield "</section>"


def _faults_by_number(report: Report) -> Iterator[str]:
    cards, _ = faults.cards(report)
    for number, one in enumerate(report.faults, 1):
        name = text(one.title)
        if number <= len(cards):
            name = f'<a href="#{faults.anchor(number)}">{name}</a>'
        yield f"<li>{name}, {duration(one.end - one.start)}</li>"


def _legend(timeline: Timeline) -> Iterator[str]:
    began = datetime.fromtimestamp(timeline.axis.first, UTC)
    yield f"0 s is {began:%H:%M:%S} UTC."
    if any(one.served is None for one in timeline.points):
        yield "Served: orders that were accepted, in the second in which they were due."
    else:
        yield "Served: orders that were accepted, in the second of their answer."
    yield "p95: the time in which 95 % of the orders of a second were answered, from when they were due."
    if timeline.slot_seconds > 1:
        yield f"Rates are means of {timeline.slot_seconds} s; the p95 is the worst of their seconds."
    if left := lanes_of(timeline)[1]:
        yield f"The replicas of {left} HPAs do not fit here: series.ndjson has them."
    if timeline.stages:
        yield "Thin uprights: a stage began."
    if timeline.report.faults:
        yield "Hatched: a fault was at work."


def _drawing(what: str, content: Iterable[str]) -> Iterator[str]:
    """Yield a drawing that is scrolled where a screen is too narrow for its words."""
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="Drawing: {escape(what)}">'
    yield from content
    yield "</div>"


def _autoscaling(report: Report, looks: Sequence[Replicas]) -> Iterator[str]:
    if not looks:
        return
    yield '<section aria-labelledby="autoscaling"><h2 id="autoscaling">Autoscaling</h2>'
    cards = ("\n".join(_hpa(report, name, own)) for name, own in by_hpa(looks).items())
    kept, left = fitting(cards, _HPAS_BYTES)
    yield from (*kept, *more(left))
    yield (
        '<p class="legend">Dotted: what the formula gives for the pods as they were. Dashed: what the HPA '
        "asked for. Line: pods that were ready. Below: what they used, in percent of what they request.</p>"
    )
    yield "</section>"


def _hpa(report: Report, name: str, looks: Sequence[Replicas]) -> Iterator[str]:
    yield f"<h3>{text(said(looks))}</h3>"
    yield from _drawing(f"the HPA of {name}", render_replicas(looks))
    found = [one for one in report.checks if one.id in _OF_AN_HPA and one.subject == name]
    yield "<ul>"
    yield from (f"<li>{badge(one.verdict)} {text(one.sentence)}</li>" for one in found)
    yield "</ul>"


def _stages(report: Report) -> Iterator[str]:
    yield '<section aria-labelledby="stages"><h2 id="stages">Stages</h2>'
    longest = max((one.seconds for one in report.stages), default=0.0)
    rows = (
        _stage_row(stage, [one for one in report.checks if one.stage == stage.name], longest)
        for stage in report.stages
    )
    yield from table("stages", ("Stage", "Ended", "Took", "Checks", "Why"), rows)
    yield "</section>"


def _stage_row(stage: StageReport, checks: Sequence[CheckReport], longest: float) -> str:
    good = sum(one.verdict is Verdict.PASS for one in checks)
    ran = stage.ending is not Ending.NOT_RUN
    took = f"{duration(stage.seconds)} {_bar(stage.seconds, longest)}" if ran else ""
    files, left = fitting(map(link, stage.artefacts), _ARTEFACTS_BYTES)
    if left:
        files.append(f"and {left} more, in {link('report.json')}")
    cells = (
        f'<th scope="row">{text(stage.name)}</th>',
        f"<td>{badge(stage.ending)}</td>",
        f'<td class="took">{took}</td>',
        f"<td>{f'{good} of {len(checks)}' if checks else ''}</td>",
        f"<td>{' '.join((text(stage.reason), *files))}</td>",
    )
    return f"<tr>{''.join(cells)}</tr>"


def _bar(seconds: float, longest: float) -> str:
    width = round(100 * seconds / longest, 1) if longest else 0
    return (
        '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{width}" height="4"/></svg>'
    )


def _findings(report: Report) -> Iterator[str]:
    findings = report.findings()
    yield '<section aria-labelledby="findings"><h2 id="findings">Findings</h2>'
    if not findings:
        yield "<p>None.</p>"
    kept, left = fitting(("\n".join(_finding(one)) for one in findings), _FINDINGS_BYTES)
    yield from (*kept, *more(left))
    yield "</section>"


def _finding(one: CheckReport) -> Iterator[str]:
    yield f'<article class="finding {kind(one.verdict)}">'
    yield f"<h3>{badge(one.verdict)} {text(one.subject)}: {text(one.sentence)}</h3>"
    yield "<dl>"
    yield entry("check", f"{code(one.id)}, {one.severity}, in stage {text(one.stage)}")
    if one.expected:
        yield entry("expected", text(one.expected))
    if one.observed:
        yield entry("observed", text(one.observed))
    if one.source:
        yield entry("about", code(one.source))
    if one.evidence:
        yield entry("evidence", ", ".join(link(path) for path in one.evidence))
    if one.reproduce:
        yield entry("reproduce", code(one.reproduce))
    yield entry("explain", code(explain_command(one)))
    yield "</dl></article>"


def _score(score: ScoreReport | None) -> Iterator[str]:
    if score is None:
        return
    yield '<section aria-labelledby="score"><h2 id="score">Readiness</h2>'
    asserted = f"Production's guide asserts {score.guide:g}."
    yield f"<p><strong>{score.score:g} of {score.best:g}</strong>: what this run has shown. {asserted}</p>"
    yield from table("readiness", ("Aspect", "Score", "Promise", "Shown", "By"), _aspects(score))
    yield "</section>"


def _aspects(score: ScoreReport) -> Iterator[str]:
    for aspect in score.aspects:
        yield "<tbody>"
        for number, one in enumerate(aspect.criteria):
            span = f' rowspan="{len(aspect.criteria)}"'
            first = f'<th scope="rowgroup"{span}>{text(aspect.name)}</th><td{span}>{aspect.score:g}</td>'
            by = " ".join((*map(code, one.checks), text(one.why)))
            row = f"<td>{text(one.promise)}</td><td>{_shown(shown=one.shown)}</td><td>{by}</td>"
            yield f"<tr>{'' if number else first}{row}</tr>"
        yield "</tbody>"


def _shown(*, shown: bool) -> str:
    ending = Ending.PASS if shown else Ending.NOT_RUN
    return f'<span aria-hidden="true">{mark(ending)}</span> {"yes" if shown else "no"}'


def _not_looked_at(report: Report) -> Iterator[str]:
    yield '<section aria-labelledby="not-looked-at"><h2 id="not-looked-at">Not looked at</h2>'
    if report.not_looked_at:
        entries = (entry(one.what, text(one.why)) for one in report.not_looked_at)
        kept, left = fitting(entries, _NOT_LOOKED_AT_BYTES)
        yield from ('<dl class="wide">', *kept, "</dl>", *more(left))
    else:
        yield "<p>Nothing that a run can look at was left out.</p>"
    yield "</section>"


def _checks(report: Report) -> Iterator[str]:
    if not report.checks:
        return
    yield '<section aria-labelledby="checks"><h2 id="checks">All checks</h2>'
    rows = {
        stage.name: [_check_row(one) for one in report.checks if one.stage == stage.name]
        for stage in report.stages
    }
    sizes = {name: sum(len(row.encode()) for row in own) for name, own in rows.items()}
    # Each stage has its part of the share, or a large one would leave nothing for those after it.
    part = min(1.0, _CHECKS_BYTES / max(1, sum(sizes.values())))
    for stage in report.stages:
        if rows[stage.name]:
            own = [one for one in report.checks if one.stage == stage.name]
            yield from _checks_of(stage, own, fitting(rows[stage.name], math.floor(part * sizes[stage.name])))
    yield "</section>"


def _checks_of(
    stage: StageReport, checks: Sequence[CheckReport], shown: tuple[Sequence[str], int]
) -> Iterator[str]:
    good = sum(one.verdict is Verdict.PASS for one in checks)
    rows, left = shown
    yield f"<details><summary>{text(stage.name)}: {good} of {len(checks)} hold</summary>"
    columns = ("Check", "Of", "Verdict", "What was found", "Observed")
    yield from table(f"checks of {stage.name}", columns, rows)
    yield from more(left)
    yield "</details>"


def _check_row(one: CheckReport) -> str:
    cells = (text(one.subject), badge(one.verdict), text(one.sentence), text(one.observed))
    found = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{code(one.id)}</th>{found}</tr>'


def _facts(report: Report) -> Iterator[str]:
    run = report.run
    yield '<section aria-labelledby="run"><h2 id="run">The run</h2><dl class="wide">'
    yield entry("run", text(run.id))
    began = f"{run.started:%Y-%m-%d %H:%M:%S} UTC"
    yield entry("began", f'<time datetime="{run.started.isoformat()}">{began}</time>')
    yield entry("took", duration(run.seconds))
    yield entry("commit", text(revision(report)))
    yield entry("cluster", text(f"{run.context}, profile {run.profile}, timing {run.timing}"))
    yield entry("machine", text(run.machine))
    yield entry("again", code(again(report)))
    yield entry("raw", ", ".join(link(name) for name in ("report.json", "events.ndjson")))
    yield "</dl></section>"


def _notices(report: Report) -> Iterator[str]:
    if not report.notices:
        return
    yield '<section aria-labelledby="notices"><h2 id="notices">Notices</h2>'
    kept, left = fitting((entry(one.level, text(one.message)) for one in report.notices), _NOTICES_BYTES)
    yield from ('<dl class="wide">', *kept, "</dl>", *more(left))
    yield "</section>"
