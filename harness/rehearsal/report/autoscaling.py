"""The card of an HPA: what its formula asked for, what it asked for, what was ready, and what the pods used.

One x axis for both lanes. A second in which nothing was known is a gap.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rehearsal.report.drawing import BELOW, GAP, LANE, LEFT, RIGHT, TOP, WIDTH, Axis, Lane, frame, line, ticks
from rehearsal.report.timeline import FILE_NAME

_GAP_SECONDS = 3.0  # a look that is missing once leaves no gap


@dataclass(frozen=True, slots=True)
class Replicas:
    """One look at an HPA; `used` and `targets` are percent of what is requested."""

    t: float
    hpa: str
    least: int
    most: int
    desired: int
    ready: int
    wanted: int | None
    used: Mapping[str, int | None]
    targets: Mapping[str, int]


def read_replicas(run: Path) -> tuple[Replicas, ...]:
    """Return what a run saw of HPAs; none when it looked at none."""
    path = run / FILE_NAME
    if not path.exists():
        return ()
    records = (json.loads(one) for one in path.read_text(encoding="utf-8").splitlines())
    return tuple(sorted((Replicas(**one) for one in records if "hpa" in one), key=lambda one: one.t))


def by_hpa(looks: Sequence[Replicas]) -> Mapping[str, list[Replicas]]:
    """Return the looks of each HPA."""
    found: dict[str, list[Replicas]] = {}
    for one in looks:
        found.setdefault(one.hpa, []).append(one)
    return found


def said(looks: Sequence[Replicas]) -> str:
    """Return an HPA in words."""
    first = looks[0]
    targets = ", ".join(f"{name} {percent} %" for name, percent in first.targets.items())
    return f"{first.hpa}, {first.least} to {first.most} replicas, targets {targets}"


def render_replicas(looks: Sequence[Replicas]) -> Iterator[str]:
    """Yield the drawing of one HPA's looks."""
    axis = Axis(looks[0].t, looks[-1].t)
    most = max(looks[0].most, *(max(one.desired, one.ready, one.wanted or 0) for one in looks))
    replicas = Lane("replicas", most, TOP)
    shares = [one.used.get(name) or 0 for one in looks for name in one.targets]
    used = Lane("% of request", max(100, *looks[0].targets.values(), *shares), TOP + LANE + GAP)
    peak = max(one.ready for one in looks)
    label = f"{said(looks)}: at most {peak} were ready"
    yield (
        f'<svg class="timeline" viewBox="0 0 {WIDTH} {TOP + 2 * LANE + GAP + BELOW}" role="img" '
        f'aria-label="{escape(label)}">'
    )
    for lane in (replicas, used):
        yield from frame(lane)
    yield from _lines("wanted", axis, replicas, looks, lambda one: one.wanted)
    yield from _lines("desired", axis, replicas, looks, lambda one: one.desired)
    yield from _lines("ready", axis, replicas, looks, lambda one: one.ready)
    for number, (name, target) in enumerate(looks[0].targets.items()):
        yield from _target(f"metric-{number}", f"{name} target {target}", target, used, right=number == 0)
        yield from _lines(f"metric-{number}", axis, used, looks, _usage(name))
    yield from ticks(axis, used.top + LANE)
    yield "</svg>"


def _usage(name: str) -> Callable[[Replicas], int | None]:
    return lambda one: one.used.get(name)


def _target(kind: str, text: str, percent: int, lane: Lane, *, right: bool) -> Iterator[str]:
    """Yield a target's line with its words at one end: two targets often lie close together."""
    y, end = lane.y(percent), WIDTH - RIGHT
    place = f'class="value" x="{end}"' if right else f'x="{LEFT + 4}"'
    yield f'<line class="target {kind}" x1="{LEFT}" x2="{end}" y1="{y}" y2="{y}"/>'
    yield f'<text {place} y="{y - 4}">{escape(text)}</text>'


def _lines(
    kind: str,
    axis: Axis,
    lane: Lane,
    looks: Sequence[Replicas],
    value: Callable[[Replicas], int | None],
) -> Iterator[str]:
    """Yield a line with steps for each stretch in which the value is known."""
    stretch: list[tuple[float, float]] = []
    last = None
    for one in looks:
        known = value(one)
        if last is not None and (known is None or one.t - last > _GAP_SECONDS):
            yield line(kind, stretch)
            stretch, last = [], None
        if known is None:
            continue
        _extend(stretch, axis.x(one.t), lane.y(known))
        last = one.t
    yield line(kind, stretch)


def _extend(stretch: list[tuple[float, float]], x: float, y: float) -> None:
    """Add a point to a line with steps; one between two at its own height is not kept."""
    if stretch and stretch[-1][1] != y:
        stretch.append((x, stretch[-1][1]))
    elif len(stretch) > 1 and stretch[-2][1] == y:
        stretch.pop()
    stretch.append((x, y))
