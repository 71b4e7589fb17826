"""The run's timeline as SVG: load, errors, latency, replicas and faults in lanes above one axis of time.

What was not measured has no lane, and a second in which nothing was known is a gap; nothing is drawn across
it. Faults differ from all else by hatching, not by colour alone. Two flows never overlap in time, so that
they share the lanes. A long run is drawn by means of some seconds each, which keeps the page small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby
from statistics import fmean

from rehearsal.report.drawing import (
    BELOW,
    LANE,
    WIDTH,
    Axis,
    Lane,
    LogLane,
    frame,
    line,
    steps,
    threshold,
    ticks,
    top_of,
)
from rehearsal.report.marking import fitting, short
from rehearsal.report.model import FaultReport, Report, StageReport
from rehearsal.report.series import Point, Replicas, by_hpa

_TOP = 44  # the names of stages, and below them the numbers of faults
_STAGE_Y, _FAULT_Y = 13, 37
_NUMBER_WIDTH = 20.0  # two digits and a space; numbers of faults that follow close on another move aside
_LETTER_WIDTH = 7.0  # of a stage's name, on average
_SLOTS = 600  # more would lie closer together than a screen has pixels
_MOST_FAULTS = 60  # bands; more would only cover each other
_HPAS_BYTES = 25_000  # of all lanes of replicas; one takes one or two thousand
_LONGEST_TITLE = 80

_Value = Callable[[Point], float | None]


@dataclass(frozen=True, slots=True)
class Timeline:
    """What is drawn, on one axis."""

    report: Report
    points: Sequence[Point]
    slots: Sequence[Point]  # what is drawn of the points: the means of some seconds each
    looks: Sequence[Replicas]
    axis: Axis
    slot_seconds: int

    @property
    def stages(self) -> list[tuple[float, StageReport]]:
        """The stages that were at work within the axis, in order of time, each with its begin."""
        first, last = self.axis.first, self.axis.last
        begun = [(one.started, one) for one in self.report.stages if one.started is not None]
        return sorted(
            ((started, one) for started, one in begun if started < last and started + one.seconds > first),
            key=lambda found: found[0],
        )

    @property
    def bound_ms(self) -> float | None:
        """What is promised of the latency of orders."""
        promised = self.report.run.order_p95_seconds
        return None if promised is None else 1000 * promised


def timeline_of(report: Report, points: Sequence[Point], looks: Sequence[Replicas] = ()) -> Timeline | None:
    """Return what there is to draw; None when nothing was offered."""
    if not points:
        return None
    times = [points[0].t, points[-1].t + 1, *(one.t for one in looks)]
    axis = Axis(min(times), max(times))
    slot = max(1, math.ceil((axis.last - axis.first) / _SLOTS))
    return Timeline(report, points, list(_slots(points, slot)), looks, axis, slot)


def _slots(points: Sequence[Point], seconds: int) -> Iterator[Point]:
    """Yield the means of each slot, and the worst latency; a slot of one second is that second."""
    if seconds == 1:
        yield from points
        return
    first = points[0].t
    for (slot, _), some in groupby(points, key=lambda one: ((one.t - first) // seconds, one.flow)):
        group = list(some)
        yield replace(
            group[0],
            t=first + slot * seconds,
            offered=fmean(one.offered for one in group),
            acknowledged=fmean(one.acknowledged for one in group),
            p95_ms=max((one.p95_ms for one in group if one.p95_ms is not None), default=None),
            served=_mean(one.served for one in group),
            failed=_mean(one.failed for one in group),
        )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return fmean(known) if known else None


def render_timeline(timeline: Timeline) -> Iterator[str]:
    """Yield the drawing."""
    lanes, _ = lanes_of(timeline)
    bottom = top_of(len(lanes) - 1, _TOP) + LANE
    yield (
        f'<svg class="timeline" viewBox="0 0 {WIDTH} {bottom + BELOW}" role="img" '
        f'aria-label="{escape(said(timeline))}">'
    )
    yield (
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern></defs>'
    )
    yield from _stages(timeline, bottom)
    label = 0.0
    for number, fault in enumerate(timeline.report.faults[:_MOST_FAULTS], 1):
        label = max(timeline.axis.within(fault.start), label + _NUMBER_WIDTH)
        yield from _band(fault, number, label, timeline.axis, bottom)
    yield from lanes
    yield from ticks(timeline.axis, bottom)
    yield "</svg>"


def lanes_of(timeline: Timeline) -> tuple[list[str], int]:
    """Return the content of each lane, from the top, and of how many HPAs there was no room for one."""
    lanes: list[str] = []
    for draw in (_rates, _errors, _latency):
        if content := "\n".join(draw(timeline, top_of(len(lanes), _TOP))):
            lanes.append(content)
    of_hpas = (
        "\n".join(_replicas(timeline, name, looks, top_of(number, _TOP)))
        for number, (name, looks) in enumerate(by_hpa(timeline.looks).items(), len(lanes))
    )
    kept, left = fitting(of_hpas, _HPAS_BYTES)
    return lanes + kept, left


def _rates(timeline: Timeline, top: float) -> Iterator[str]:
    most = max(max(one.offered, _served(one)) for one in timeline.slots)
    lane = Lane("orders a second, offered (dashed) and served", max(1, math.ceil(most)), top)
    yield from frame(lane)
    yield from _lines(timeline, "offered", lane, lambda one: one.offered)
    yield from _lines(timeline, "served", lane, _served)


def _errors(timeline: Timeline, top: float) -> Iterator[str]:
    known = [one.failed for one in timeline.slots if one.failed is not None]
    if not known:
        return
    lane = Lane("failed attempts a second", max(1, math.ceil(max(known))), top)
    yield from frame(lane)
    yield from _lines(timeline, "errors", lane, lambda one: one.failed)


def _latency(timeline: Timeline, top: float) -> Iterator[str]:
    known = [one.p95_ms for one in timeline.points if one.p95_ms is not None]
    bound = timeline.bound_ms
    lane = LogLane("p95 of orders, ms, in powers of ten", max(10, *known, math.ceil(bound or 1), 1), top)
    yield from frame(lane)
    if bound is not None:
        yield from threshold("bound", f"promised: {bound:g} ms", bound, lane)
    yield from _lines(timeline, "latency", lane, lambda one: one.p95_ms)


def _replicas(timeline: Timeline, name: str, looks: Sequence[Replicas], top: float) -> Iterator[str]:
    most = max(max(one.most, one.desired, one.ready) for one in looks)
    lane = Lane(f"replicas of {name}, desired (dashed) and ready", most, top)
    yield from frame(lane)
    yield from steps("desired", timeline.axis, lane, ((one.t, one.desired) for one in looks))
    yield from steps("ready", timeline.axis, lane, ((one.t, one.ready) for one in looks))


def _served(point: Point) -> float:
    """Return what was served; a series from before says it of the second in which an order was due."""
    return point.acknowledged if point.served is None else point.served


def said(timeline: Timeline) -> str:
    """Return in words what is drawn."""
    points = timeline.points
    offered, accepted = sum(one.offered for one in points), sum(one.acknowledged for one in points)
    parts = [f"{offered:g} orders were offered, {accepted:g} accepted"]
    if failed := [one.failed for one in points if one.failed is not None]:
        parts.append(f"at most {max(failed):g} attempts a second failed")
    if known := [one.p95_ms for one in points if one.p95_ms is not None]:
        promised = "" if timeline.bound_ms is None else f", promised are {timeline.bound_ms:g} ms"
        parts.append(f"the slowest second's p95 was {max(known)} ms{promised}")
    for name, looks in by_hpa(timeline.looks).items():
        ready = [one.ready for one in looks]
        parts.append(f"{name} had {min(ready)} to {max(ready)} replicas ready")
    if timeline.stages:
        parts.append(f"stages: {', '.join(one.name for _, one in timeline.stages)}")
    parts.append(f"faults made: {len(timeline.report.faults)}")
    return "; ".join(parts)


def _lines(timeline: Timeline, kind: str, lane: Lane, value: _Value) -> Iterator[str]:
    """Yield a line for each run of slots of one flow in which the value is known."""
    stretch: list[tuple[float, float]] = []
    before: Point | None = None
    for point in timeline.slots:
        known = value(point)
        if stretch and (known is None or not _follows(point, before, timeline.slot_seconds)):
            yield line(kind, stretch)
            stretch = []
        if known is not None:
            _add(stretch, (timeline.axis.x(point.t), lane.y(known)))
        before = point
    yield line(kind, stretch)


def _follows(point: Point, before: Point | None, seconds: int) -> bool:
    return before is not None and point.flow == before.flow and point.t - before.t == seconds


def _add(stretch: list[tuple[float, float]], place: tuple[float, float]) -> None:
    """Add a point to a line; one between two at its own height is not kept."""
    if len(stretch) > 1 and stretch[-1][1] == stretch[-2][1] == place[1]:
        stretch.pop()
    stretch.append(place)


def _stages(timeline: Timeline, bottom: float) -> Iterator[str]:
    """Draw where stages begin, with their names; one without room has its name where it is pointed at."""
    free = 0.0
    for started, one in timeline.stages:
        x = timeline.axis.within(started)
        yield f'<g class="stage"><title>stage {escape(one.name)}</title>'
        yield f'<line x1="{x}" x2="{x}" y1="2" y2="{bottom}"/>'
        label, width = max(x + 4, free), _LETTER_WIDTH * len(one.name)
        if label + width <= WIDTH:
            yield f'<text x="{label:g}" y="{_STAGE_Y}">{escape(one.name)}</text>'
            free = label + width + _LETTER_WIDTH
        yield "</g>"


def _band(fault: FaultReport, number: int, label: float, axis: Axis, bottom: float) -> Iterator[str]:
    """Draw a fault; its number stands above it, because the titles of short ones would lie on each other."""
    start, end = axis.within(fault.start), axis.within(fault.end)
    title = f"{short(fault.title, _LONGEST_TITLE)}, {fault.end - fault.start:.0f} s"
    yield f'<g class="fault"><title>{escape(title)}</title>'
    width = round(max(2.0, end - start), 1)
    yield f'<rect x="{start}" y="{_TOP}" width="{width}" height="{bottom - _TOP}"/>'
    yield f'<text x="{round(label, 1)}" y="{_FAULT_Y}">{number}</text></g>'
