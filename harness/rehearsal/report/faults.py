"""The page's faults, a card each: proof of injection and traffic, recovery, what became of orders. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rehearsal.core.verdicts import Verdict
from rehearsal.report.marking import badge, entry, fitting, more, text
from rehearsal.report.model import CheckReport, FaultReport, Report
from rehearsal.report.phrasing import duration

# What a card says, in the order of an experiment; other checks of the fault come after them.
_PARTS = {
    "chaos.control": "before",
    "chaos.injected": "injected",
    "chaos.traffic": "traffic",
    "chaos.recovery": "recovery",
    "chaos.lost": "lost",
    "chaos.doubled": "doubled",
    "chaos.stuck": "stuck",
}
_CARDS_BYTES = 25_000
_BAD_FIRST = (Verdict.FAIL, Verdict.INVALID, Verdict.PASS)


def anchor(number: int) -> str:
    """Return the name of a card; faults are numbered from 1, as in the timeline."""
    return f"fault-{number}"


def render(report: Report) -> Iterator[str]:
    """Yield the section; nothing when nothing was broken."""
    if not report.faults:
        return
    yield '<section aria-labelledby="faults"><h2 id="faults">Faults</h2>'
    kept, left = cards(report)
    yield from ('<div class="cards">', *kept, "</div>", *more(left))
    yield "</section>"


def cards(report: Report) -> tuple[list[str], int]:
    """Return the cards that fit on the page, from the first on, and how many are left."""
    return fitting(_cards(report), _CARDS_BYTES)


def _cards(report: Report) -> Iterator[str]:
    for number, fault in enumerate(report.faults, 1):
        own = [one for one in report.checks if one.subject == fault.title]
        yield "\n".join(_card(number, fault, own, report.run.started.timestamp()))


def _card(number: int, fault: FaultReport, checks: Sequence[CheckReport], started: float) -> Iterator[str]:
    verdict = min((one.verdict for one in checks), key=_BAD_FIRST.index, default=Verdict.INVALID)
    yield f'<article class="finding {verdict.value.lower()}" id="{anchor(number)}">'
    yield f"<h3>{badge(verdict)} {number}. {text(fault.title)}</h3><dl>"
    when = f"{duration(fault.start - started)} into the run, for {duration(fault.end - fault.start)}"
    yield entry("at work", text(when))
    for one in sorted(checks, key=_place):
        name = _PARTS.get(one.id, one.id)
        mark = "" if one.verdict is Verdict.PASS else f"{badge(one.verdict)} "
        observed = f" ({one.observed})" if one.observed else ""
        yield entry(name, mark + text(one.sentence + observed))
    yield "</dl></article>"


def _place(check: CheckReport) -> int:
    ids = list(_PARTS)
    return ids.index(check.id) if check.id in ids else len(ids)
