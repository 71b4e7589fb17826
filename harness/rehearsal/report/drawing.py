"""What the report's drawings share: an axis of time, lanes, lines with gaps. SVG, without a script.

Sizes are units of the view box.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

WIDTH, LANE, LEFT, RIGHT, GAP, TOP = 1000, 90, 70, 26, 34, 22
BELOW = 38  # for the ticks
_TICKS = 6


@dataclass(frozen=True, slots=True)
class Axis:
    """Time on the x axis."""

    first: float
    last: float

    def x(self, at: float) -> float:
        """Return where a time lies."""
        span = max(1.0, self.last - self.first)
        return round(LEFT + (at - self.first) / span * (WIDTH - LEFT - RIGHT), 1)


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane, its largest value and where it lies."""

    title: str
    most: float
    top: float

    def y(self, value: float) -> float:
        """Return where a value lies."""
        return round(self.top + LANE - value / self.most * LANE, 1)


def frame(lane: Lane) -> Iterator[str]:
    """Yield a lane's title and its two grid lines."""
    yield f'<text class="lane" x="{LEFT}" y="{lane.top + LANE + 14}">{lane.title}</text>'
    for value in (0.0, lane.most):
        y = lane.y(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text class="value" x="{LEFT - 6}" y="{y + 4}">{value:g}</text>'


def line(kind: str, points: Iterable[tuple[float, float]]) -> str:
    """Return a line of a kind through points."""
    place = [f"{x},{y}" for x, y in points]
    # A single second has no length: without a cap it would not be seen.
    if len(place) == 1:
        x, y = place[0].split(",")
        return f'<circle class="{kind}" cx="{x}" cy="{y}" r="2"/>'
    return f'<polyline class="{kind}" points="{" ".join(place)}"/>' if place else ""


def ticks(axis: Axis, bottom: float) -> Iterator[str]:
    """Yield the seconds below the lowest lane."""
    for number in range(_TICKS + 1):
        at = axis.first + (axis.last - axis.first) * number / _TICKS
        yield f'<text class="tick" x="{axis.x(at)}" y="{bottom + 32}">{at - axis.first:.0f} s</text>'
