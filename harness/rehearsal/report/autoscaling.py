"""The card of an HPA: what its formula asked for, what it asked for, what was ready, and what the pods used.

It has an axis of its own, of the time in which the HPA was watched: beside the formula seconds matter, and
the timeline of the whole run is too coarse for them. A second in which nothing was known is a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape

from rehearsal.report.drawing import (
    BELOW,
    GAP,
    LANE,
    TOP,
    WIDTH,
    Axis,
    Lane,
    frame,
    steps,
    threshold,
    ticks,
    top_of,
)
from rehearsal.report.series import Replicas


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
    used = Lane("% of request", max(100, *looks[0].targets.values(), *shares), top_of(1))
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
        kind, text = f"metric-{number}", f"{name} target {target}"
        lowest = target == min(looks[0].targets.values())
        yield from threshold(f"target {kind}", text, target, used, right=number == 0, below=lowest)
        yield from _lines(kind, axis, used, looks, _usage(name))
    yield from ticks(axis, used.top + LANE)
    yield "</svg>"


def _usage(name: str) -> Callable[[Replicas], int | None]:
    return lambda one: one.used.get(name)


def _lines(
    kind: str,
    axis: Axis,
    lane: Lane,
    looks: Sequence[Replicas],
    value: Callable[[Replicas], int | None],
) -> Iterator[str]:
    yield from steps(kind, axis, lane, ((one.t, value(one)) for one in looks))
