"""The report as one page: no network, no script, light and dark, on paper too.

Its style is the only thing that its content security policy allows. Verdicts differ by sign and word, not by
colour alone. Engines that have more to show get a section of their own beside the timeline.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from rehearsal.core.verdicts import Ending, Verdict
from rehearsal.report import contracts, faults
from rehearsal.report.autoscaling import Replicas, by_hpa, render_replicas, said
from rehearsal.report.marking import badge, code, entry, head, kind, link, text
from rehearsal.report.model import CheckReport, Report, StageReport
from rehearsal.report.phrasing import WORST, again, duration, explain_command, headline, mark, revision
from rehearsal.report.timeline import Point, render_timeline

_OF_AN_HPA = ("load.scaled", "load.formula", "load.new_pods", "load.slo", "load.down", "load.generator")
_STYLE = Path(__file__).with_name("page.css")


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
    yield from _timeline(report, points)
    yield from _autoscaling(report, looks)
    yield from _findings(report)
    yield from contracts.render(report.checks)
    yield from faults.render(report)
    yield from _score(report)
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
        count = len(report.not_looked_at)
        what = "thing was" if count == 1 else "things were"
        yield f'<p><a href="#not-looked-at">{count} {what} not looked at</a></p>'
    yield "</header>"


def _timeline(report: Report, points: Sequence[Point]) -> Iterator[str]:
    if not points:
        return
    yield '<section aria-labelledby="timeline"><h2 id="timeline">Orders over time</h2>'
    yield from render_timeline(report, points)
    yield (
        '<p class="legend">Dashed: orders offered. Line: orders accepted. Below: the time in which 95 % of '
        "them were answered. Hatched: a fault was at work.</p>"
    )
    if report.faults:
        yield '<ol class="legend">'
        for number, fault in enumerate(report.faults, 1):
            name = f'<a href="#{faults.anchor(number)}">{text(fault.title)}</a>'
            yield f"<li>{name}, {duration(fault.end - fault.start)}</li>"
        yield "</ol>"
    yield "</section>"


def _autoscaling(report: Report, looks: Sequence[Replicas]) -> Iterator[str]:
    if not looks:
        return
    yield '<section aria-labelledby="autoscaling"><h2 id="autoscaling">Autoscaling</h2>'
    for name, own in by_hpa(looks).items():
        yield f"<h3>{text(said(own))}</h3>"
        yield from render_replicas(own)
        found = [one for one in report.checks if one.id in _OF_AN_HPA and one.subject == name]
        yield "<ul>"
        yield from (f"<li>{badge(one.verdict)} {text(one.sentence)}</li>" for one in found)
        yield "</ul>"
    yield (
        '<p class="legend">Dotted: what the formula gives for the pods as they were. Dashed: what the HPA '
        "asked for. Line: pods that were ready. Below: what they used, in percent of what they request.</p>"
    )
    yield "</section>"


def _stages(report: Report) -> Iterator[str]:
    yield '<section aria-labelledby="stages"><h2 id="stages">Stages</h2>'
    yield '<div class="scroll" tabindex="0" role="region" aria-labelledby="stages"><table>'
    yield head("Stage", "Ended", "Took", "Checks", "Why")
    longest = max((one.seconds for one in report.stages), default=0.0)
    for stage in report.stages:
        yield _stage_row(stage, [one for one in report.checks if one.stage == stage.name], longest)
    yield "</table></div></section>"


def _stage_row(stage: StageReport, checks: Sequence[CheckReport], longest: float) -> str:
    good = sum(one.verdict is Verdict.PASS for one in checks)
    ran = stage.ending is not Ending.NOT_RUN
    took = f"{duration(stage.seconds)} {_bar(stage.seconds, longest)}" if ran else ""
    cells = (
        f'<th scope="row">{text(stage.name)}</th>',
        f"<td>{badge(stage.ending)}</td>",
        f'<td class="took">{took}</td>',
        f"<td>{f'{good} of {len(checks)}' if checks else ''}</td>",
        f"<td>{' '.join((text(stage.reason), *map(link, stage.artefacts)))}</td>",
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
    for one in findings:
        yield from _finding(one)
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


def _score(report: Report) -> Iterator[str]:
    score = report.score
    yield '<section aria-labelledby="score"><h2 id="score">Readiness</h2>'
    asserted = f"Production's guide asserts {score.guide:g}."
    yield f"<p><strong>{score.score:g} of {score.best:g}</strong>: what this run has shown. {asserted}</p>"
    yield '<div class="scroll" tabindex="0" role="region" aria-labelledby="score"><table>'
    yield head("Aspect", "Score", "Promise", "Shown", "By")
    for aspect in score.aspects:
        for number, one in enumerate(aspect.criteria):
            span = f' rowspan="{len(aspect.criteria)}"'
            first = f'<th scope="rowgroup"{span}>{text(aspect.name)}</th><td{span}>{aspect.score:g}</td>'
            by = " ".join((*map(code, one.checks), text(one.why)))
            row = f"<td>{text(one.promise)}</td><td>{_shown(shown=one.shown)}</td><td>{by}</td>"
            yield f"<tr>{'' if number else first}{row}</tr>"
    yield "</table></div></section>"


def _shown(*, shown: bool) -> str:
    ending = Ending.PASS if shown else Ending.NOT_RUN
    return f'<span aria-hidden="true">{mark(ending)}</span> {"yes" if shown else "no"}'


def _not_looked_at(report: Report) -> Iterator[str]:
    yield '<section aria-labelledby="not-looked-at"><h2 id="not-looked-at">Not looked at</h2>'
    if report.not_looked_at:
        yield '<dl class="wide">'
        yield from (entry(one.what, text(one.why)) for one in report.not_looked_at)
        yield "</dl>"
    else:
        yield "<p>Nothing that a run can look at was left out.</p>"
    yield "</section>"


def _checks(report: Report) -> Iterator[str]:
    if not report.checks:
        return
    yield '<section aria-labelledby="checks"><h2 id="checks">All checks</h2>'
    for stage in report.stages:
        checks = [one for one in report.checks if one.stage == stage.name]
        if checks:
            yield from _checks_of(stage, checks)
    yield "</section>"


def _checks_of(stage: StageReport, checks: Sequence[CheckReport]) -> Iterator[str]:
    good = sum(one.verdict is Verdict.PASS for one in checks)
    yield f"<details><summary>{text(stage.name)}: {good} of {len(checks)} hold</summary>"
    yield '<div class="scroll"><table>'
    yield head("Check", "Of", "Verdict", "What was found", "Observed")
    for one in checks:
        what = (text(one.sentence), text(one.observed))
        cells = (code(one.id), text(one.subject), badge(one.verdict), *what)
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    yield "</table></div></details>"


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
    yield '<section aria-labelledby="notices"><h2 id="notices">Notices</h2><dl class="wide">'
    yield from (entry(one.level, text(one.message)) for one in report.notices)
    yield "</dl></section>"
