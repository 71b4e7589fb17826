"""The run's timeline as SVG: what was offered and accepted, how fast, and when what was broken.

One x axis for all lanes. A second without orders is a gap; nothing is drawn across it. Faults differ from all
else by hatching, not by colour alone. Two flows never overlap in time, so that they share the lanes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rehearsal.report.model import FaultReport, Report

FILE_NAME = "series.ndjson"
_WIDTH, _LANE, _LEFT, _RIGHT, _GAP, _TOP = 1000, 90, 70, 26, 34, 22  # units of the view box
_TICKS = 6


@dataclass(frozen=True, slots=True)
class Point:
    """One second of a flow."""

    t: int  # Unix seconds
    flow: str
    offered: int
    acknowledged: int
    p95_ms: int | None


@dataclass(frozen=True, slots=True)
class _Axis:
    """Time on the x axis."""

    first: float
    last: float

    def x(self, at: float) -> float:
        span = max(1.0, self.last - self.first)
        return round(_LEFT + (at - self.first) / span * (_WIDTH - _LEFT - _RIGHT), 1)


@dataclass(frozen=True, slots=True)
class _Lane:
    """A lane, its largest value and where it lies."""

    title: str
    most: float
    top: float

    def y(self, value: float) -> float:
        return round(self.top + _LANE - value / self.most * _LANE, 1)


def read_points(run: Path) -> tuple[Point, ...]:
    """Return a run's series; none when nothing was offered."""
    path = run / FILE_NAME
    if not path.exists():
        return ()
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(sorted((Point(**json.loads(line)) for line in lines), key=lambda point: point.t))


def render_timeline(report: Report, points: Sequence[Point]) -> Iterator[str]:
    """Yield the drawing; nothing when there are no points."""
    if not points:
        return
    axis = _Axis(points[0].t, points[-1].t + 1)
    rates = _Lane("orders a second", max(1, *(point.offered for point in points)), _TOP)
    latencies = [point.p95_ms for point in points if point.p95_ms is not None]
    times = _Lane("p95, ms", max(1, *latencies, 1), _TOP + _LANE + _GAP)
    height = _TOP + 2 * _LANE + _GAP + 38
    yield (
        f'<svg class="timeline" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(_said(report, points))}">'
    )
    yield (
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern></defs>'
    )
    for fault in report.faults:
        yield from _band(fault, axis, height)
    for lane in (rates, times):
        yield from _frame(lane)
    for stretch in _stretches(points):
        yield _line("offered", [(axis.x(one.t), rates.y(one.offered)) for one in stretch])
        yield _line("accepted", [(axis.x(one.t), rates.y(one.acknowledged)) for one in stretch])
        timed = [one for one in stretch if one.p95_ms is not None]
        yield _line("latency", [(axis.x(one.t), times.y(one.p95_ms or 0)) for one in timed])
    yield from _ticks(axis, times.top + _LANE)
    yield "</svg>"


def _said(report: Report, points: Sequence[Point]) -> str:
    offered = sum(point.offered for point in points)
    accepted = sum(point.acknowledged for point in points)
    return f"{offered} orders were offered, {accepted} accepted; faults made: {len(report.faults)}"


def _stretches(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Yield runs of seconds of one flow without a gap."""
    stretch: list[Point] = []
    for point in points:
        if stretch and (point.t != stretch[-1].t + 1 or point.flow != stretch[-1].flow):
            yield stretch
            stretch = []
        stretch.append(point)
    if stretch:
        yield stretch


def _band(fault: FaultReport, axis: _Axis, height: int) -> Iterator[str]:
    start, end = axis.x(fault.start), axis.x(fault.end)
    title = f"{fault.title}, {fault.end - fault.start:.0f} s"
    yield f'<g class="fault"><title>{escape(title)}</title>'
    width, tall = round(max(2.0, end - start), 1), height - _TOP - 38
    yield f'<rect x="{start}" y="{_TOP}" width="{width}" height="{tall}"/>'
    yield f'<text x="{start}" y="{_TOP - 7}">{escape(fault.title)}</text></g>'


def _frame(lane: _Lane) -> Iterator[str]:
    yield f'<text class="lane" x="{_LEFT}" y="{lane.top + _LANE + 14}">{lane.title}</text>'
    for value in (0.0, lane.most):
        y = lane.y(value)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text class="value" x="{_LEFT - 6}" y="{y + 4}">{value:g}</text>'


def _line(kind: str, points: Iterable[tuple[float, float]]) -> str:
    place = [f"{x},{y}" for x, y in points]
    # A single second has no length: without a cap it would not be seen.
    if len(place) == 1:
        x, y = place[0].split(",")
        return f'<circle class="{kind}" cx="{x}" cy="{y}" r="2"/>'
    return f'<polyline class="{kind}" points="{" ".join(place)}"/>' if place else ""


def _ticks(axis: _Axis, bottom: float) -> Iterator[str]:
    for number in range(_TICKS + 1):
        at = axis.first + (axis.last - axis.first) * number / _TICKS
        seconds = at - axis.first
        yield f'<text class="tick" x="{axis.x(at)}" y="{bottom + 32}">{seconds:.0f} s</text>'
