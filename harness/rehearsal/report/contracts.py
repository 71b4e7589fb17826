"""The page's contracts: who fits whom, what each service keeps, which events fit. Pure.

A cell is the worst of what was found; one that nothing looked at says so by its sign.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from rehearsal.core.verdicts import Ending, Verdict
from rehearsal.report.marking import badge, code, fitting, more, table, text
from rehearsal.report.model import CheckReport
from rehearsal.report.phrasing import mark

_OF_PAIRS = ("contract.consumers", "contract.expectations")
_EVENTS = "contract.events"
_PREFIX = "contract."
_RELEASED = "released "
_SERVICE = "-service"
_TABLE_BYTES = 12_000  # of each of the three tables
_BAD_FIRST = (Verdict.FAIL, Verdict.INVALID, Verdict.PASS)

_Cells = Mapping[tuple[str, str], Sequence[CheckReport]]


def render(checks: Sequence[CheckReport]) -> Iterator[str]:
    """Yield the section; nothing when no contract was looked at."""
    own = [one for one in checks if one.id.startswith(_PREFIX)]
    if not own:
        return
    yield '<section aria-labelledby="contracts"><h2 id="contracts">Contracts</h2>'
    yield from _matrix(
        "Consumers and providers", "Consumer", _pairs(own), "A row reads and asks, a column answers."
    )
    yield from _matrix("Services", "Service", _by_service(own), "A cell is the worst of what was found.")
    yield from _events([one for one in own if one.id == _EVENTS])
    yield "</section>"


def _pairs(checks: Sequence[CheckReport]) -> _Cells:
    """Return what was found of each consumer (row) and provider (column), their releases included."""
    found: dict[tuple[str, str], list[CheckReport]] = defaultdict(list)
    for one in checks:
        consumer, _, rest = one.subject.removeprefix(_RELEASED).partition(" of ")
        if one.id in _OF_PAIRS and rest:
            found[consumer, rest.split(" ")[0]].append(one)
    return found


def _by_service(checks: Sequence[CheckReport]) -> _Cells:
    """Return what was found of each service (row) by the kind of check (column)."""
    found: dict[tuple[str, str], list[CheckReport]] = defaultdict(list)
    for one in checks:
        service = one.subject.split(" ")[0]
        if service.endswith(_SERVICE) and one.id not in _OF_PAIRS:
            found[service, one.id.removeprefix(_PREFIX)].append(one)
    return found


def _matrix(title: str, corner: str, cells: _Cells, legend: str) -> Iterator[str]:
    if not cells:
        return
    rows, columns = (sorted({key[place] for key in cells}) for place in (0, 1))
    yield f"<h3>{title}</h3>"
    kept, left = fitting((_row(row, columns, cells) for row in rows), _TABLE_BYTES)
    yield from table(title.lower(), (corner, *map(text, columns)), kept, "matrix")
    yield from more(left)
    yield f'<p class="legend">{legend}</p>'


def _row(row: str, columns: Sequence[str], cells: _Cells) -> str:
    found = "".join(f"<td>{_cell(cells.get((row, column), ()))}</td>" for column in columns)
    return f'<tr><th scope="row">{text(row)}</th>{found}</tr>'


def _cell(checks: Sequence[CheckReport]) -> str:
    if not checks:
        sign = f'<span aria-hidden="true">{mark(Ending.NOT_RUN)}</span>'
        return f'{sign}<span class="unseen">nothing was looked at</span>'
    worst = min((one.verdict for one in checks), key=_BAD_FIRST.index)
    bad = [one for one in checks if one.verdict is not Verdict.PASS]
    said = "; ".join(f"{one.subject}: {one.sentence}" for one in bad[:3])
    return badge(worst) + (f" {text(said)}" if said else "")


def _events(checks: Sequence[CheckReport]) -> Iterator[str]:
    if not checks:
        return
    good = sum(one.verdict is Verdict.PASS for one in checks)
    yield f"<details><summary>Events: {good} of {len(checks)} types fit</summary>"
    kept, left = fitting(map(_event, checks), _TABLE_BYTES)
    yield from table("types of events", ("Type", "Verdict", "What was found"), kept)
    yield from more(left)
    yield "</details>"


def _event(one: CheckReport) -> str:
    cells = f"<td>{badge(one.verdict)}</td><td>{text(one.sentence)}</td>"
    return f'<tr><th scope="row">{code(one.subject)}</th>{cells}</tr>'
