"""A run's series as its page draws it: the orders of each second, and what was seen of HPAs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal.core import journal

FILE_NAME = "series.ndjson"


@dataclass(frozen=True, slots=True)
class Point:
    """One second of a flow, or the means of some; None is what a series from before does not say."""

    t: int  # Unix seconds
    flow: str
    offered: float
    acknowledged: float  # of those that were due in this second
    p95_ms: int | None
    served: float | None = None  # acknowledged in this second
    failed: float | None = None  # attempts without a good answer


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


def read_points(run: Path) -> tuple[Point, ...]:
    """Return a run's orders; none when nothing was offered."""
    return tuple(sorted((Point(**one) for one in _records(run) if "flow" in one), key=lambda one: one.t))


def read_replicas(run: Path) -> tuple[Replicas, ...]:
    """Return what a run saw of HPAs; none when it looked at none."""
    return tuple(sorted((Replicas(**one) for one in _records(run) if "hpa" in one), key=lambda one: one.t))


def by_hpa(looks: Sequence[Replicas]) -> Mapping[str, list[Replicas]]:
    """Return the looks of each HPA."""
    found: dict[str, list[Replicas]] = {}
    for one in looks:
        found.setdefault(one.hpa, []).append(one)
    return found


def _records(run: Path) -> Iterable[Mapping[str, Any]]:
    """Return the records; a last line that a killed run left unfinished is none, as in its journal."""
    path = run / FILE_NAME
    return journal.read(path) if path.exists() else ()
