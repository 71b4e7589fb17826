"""What the report's drawings share: an axis of time, lanes, lines with gaps. SVG, without a script.

Sizes are units of the view box.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LANE, LEFT, RIGHT, GAP, TOP = 1000, 90, 70, 26, 34, 22
BELOW = 38  # for the ticks
_MOST_TICKS = 8
_STEPS_SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)  # what is easily read
# A look that is missing once leaves no gap.
_GAP_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Axis:
    """Time on the x axis."""

    first: float
    last: float

    def x(self, at: float) -> float:
        """Return where a time lies."""
        span = max(1.0, self.last - self.first)
        return round(LEFT + (at - self.first) / span * (WIDTH - LEFT - RIGHT), 1)

    def within(self, at: float) -> float:
        """Return where a time lies, at an end of the axis if it is beyond."""
        return self.x(min(max(at, self.first), self.last))


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane, its largest value and where it lies."""

    title: str
    most: float
    top: float

    @property
    def marks(self) -> Sequence[float]:
        """The values with a grid line."""
        return (0.0, self.most)

    def y(self, value: float) -> float:
        """Return where a value lies."""
        return round(self.top + LANE - value / self.most * LANE, 1)


@dataclass(frozen=True, slots=True)
class LogLane(Lane):
    """A lane for what is usually small and sometimes a thousand times larger: from 1 on, by powers of ten."""

    @property
    def marks(self) -> Sequence[float]:
        """The powers of ten."""
        return [10.0**power for power in range(self._powers + 1)]

    def y(self, value: float) -> float:
        """Return where a value lies."""
        return round(self.top + LANE - math.log10(max(1.0, value)) / self._powers * LANE, 1)

    @property
    def _powers(self) -> int:
        return max(1, math.ceil(math.log10(max(1.0, self.most))))


def top_of(number: int, first: float = TOP) -> float:
    """Return where a lane lies below those before it; lanes are numbered from 0."""
    return first + number * (LANE + GAP)


def frame(lane: Lane) -> Iterator[str]:
    """Yield a lane's title and its grid lines."""
    yield f'<text class="lane" x="{LEFT}" y="{lane.top + LANE + 14}">{escape(lane.title)}</text>'
    for value in lane.marks:
        y = lane.y(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text class="value" x="{LEFT - 6}" y="{y + 4}">{value:g}</text>'


def line(kind: str, points: Iterable[tuple[float, float]]) -> str:
    """Return a line of a kind through points."""
    place = [f"{x:g},{y:g}" for x, y in points]
    # A single second has no length: without a cap it would not be seen.
    if len(place) == 1:
        x, y = place[0].split(",")
        return f'<circle class="{kind}" cx="{x}" cy="{y}" r="2"/>'
    return f'<polyline class="{kind}" points="{" ".join(place)}"/>' if place else ""


def steps(kind: str, axis: Axis, lane: Lane, values: Iterable[tuple[float, float | None]]) -> Iterator[str]:
    """Yield a line with steps for each stretch in which the value of a time is known."""
    stretch: list[tuple[float, float]] = []
    last = None
    for t, known in values:
        if last is not None and (known is None or t - last > _GAP_SECONDS):
            yield line(kind, stretch)
            stretch, last = [], None
        if known is None:
            continue
        _extend(stretch, axis.x(t), lane.y(known))
        last = t
    yield line(kind, stretch)


def _extend(stretch: list[tuple[float, float]], x: float, y: float) -> None:
    """Add a point to a line with steps; one between two at its own height is not kept."""
    if stretch and stretch[-1][1] != y:
        stretch.append((x, stretch[-1][1]))
    elif len(stretch) > 1 and stretch[-2][1] == y:
        stretch.pop()
    stretch.append((x, y))


def threshold(
    kind: str, text: str, value: float, lane: Lane, *, right: bool = True, below: bool = False
) -> Iterator[str]:
    """Yield a line at a value with its words, where those of another one close to it are not."""
    y, end = lane.y(value), WIDTH - RIGHT
    place = f'class="value" x="{end}"' if right else f'x="{LEFT + 4}"'
    yield f'<line class="{kind}" x1="{LEFT}" x2="{end}" y1="{y}" y2="{y}"/>'
    yield f'<text {place} y="{y + 12 if below else y - 4:g}">{escape(text)}</text>'


def ticks(axis: Axis, bottom: float) -> Iterator[str]:
    """Yield the seconds below the lowest lane."""
    span = axis.last - axis.first
    step = next((one for one in _STEPS_SECONDS if span / one <= _MOST_TICKS), math.ceil(span / _MOST_TICKS))
    for seconds in range(0, math.floor(span) + 1, step):
        x = axis.x(axis.first + seconds)
        yield f'<text class="tick" x="{x}" y="{bottom + 32}">{seconds} s</text>'
