"""The run's timeline as SVG: what was offered and accepted, how fast, and when what was broken.

One x axis for all lanes. A second without orders is a gap; nothing is drawn across it. Faults differ from all
else by hatching, not by colour alone. Two flows never overlap in time, so that they share the lanes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rehearsal.report.drawing import BELOW, GAP, LANE, TOP, WIDTH, Axis, Lane, frame, line, ticks
from rehearsal.report.model import FaultReport, Report

FILE_NAME = "series.ndjson"
_NUMBER_WIDTH = 16.0  # two digits and a space; numbers of faults that follow close on another move aside


@dataclass(frozen=True, slots=True)
class Point:
    """One second of a flow."""

    t: int  # Unix seconds
    flow: str
    offered: int
    acknowledged: int
    p95_ms: int | None


def read_points(run: Path) -> tuple[Point, ...]:
    """Return a run's series; none when nothing was offered."""
    path = run / FILE_NAME
    if not path.exists():
        return ()
    records = (json.loads(one) for one in path.read_text(encoding="utf-8").splitlines())
    return tuple(sorted((Point(**one) for one in records if "flow" in one), key=lambda point: point.t))


def render_timeline(report: Report, points: Sequence[Point]) -> Iterator[str]:
    """Yield the drawing; nothing when there are no points."""
    if not points:
        return
    axis = Axis(points[0].t, points[-1].t + 1)
    rates = Lane("orders a second", max(1, *(point.offered for point in points)), TOP)
    latencies = [point.p95_ms for point in points if point.p95_ms is not None]
    times = Lane("p95, ms", max(1, *latencies, 1), TOP + LANE + GAP)
    height = TOP + 2 * LANE + GAP + BELOW
    yield (
        f'<svg class="timeline" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(_said(report, points))}">'
    )
    yield (
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern></defs>'
    )
    label = 0.0
    for number, fault in enumerate(report.faults, 1):
        label = max(axis.x(fault.start), label + _NUMBER_WIDTH)
        yield from _band(fault, number, label, axis, height)
    for lane in (rates, times):
        yield from frame(lane)
    for stretch in _stretches(points):
        yield line("offered", [(axis.x(one.t), rates.y(one.offered)) for one in stretch])
        yield line("accepted", [(axis.x(one.t), rates.y(one.acknowledged)) for one in stretch])
        timed = [one for one in stretch if one.p95_ms is not None]
        yield line("latency", [(axis.x(one.t), times.y(one.p95_ms or 0)) for one in timed])
    yield from ticks(axis, times.top + LANE)
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


def _band(fault: FaultReport, number: int, label: float, axis: Axis, height: int) -> Iterator[str]:
    """Draw a fault; its number stands above it, because the titles of short ones would lie on each other."""
    start, end = axis.x(fault.start), axis.x(fault.end)
    title = f"{fault.title}, {fault.end - fault.start:.0f} s"
    yield f'<g class="fault"><title>{escape(title)}</title>'
    width, tall = round(max(2.0, end - start), 1), height - TOP - BELOW
    yield f'<rect x="{start}" y="{TOP}" width="{width}" height="{tall}"/>'
    yield f'<text x="{round(label, 1)}" y="{TOP - 7}">{number}</text></g>'
