"""A flow of orders as a series, one point a second; a second without orders is a gap, not a zero. Pure."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rehearsal.load.flow import Flow, Placed
from rehearsal.load.judging import percentile

FILE_NAME = "series.ndjson"


def points(flow: Flow) -> Iterator[Mapping[str, object]]:
    """Yield for each second: orders due, how many of them were acknowledged, their latency."""
    seconds: dict[int, list[Placed]] = defaultdict(list)
    for one in flow.orders:
        seconds[math.floor(one.due)].append(one)
    for second, orders in sorted(seconds.items()):
        latencies = [one.latency_seconds for one in orders if one.latency_seconds is not None]
        yield {
            "t": math.floor(flow.began_at) + second,
            "flow": flow.plan.name,
            "offered": len(orders),
            "acknowledged": sum(one.acknowledged for one in orders),
            "p95_ms": round(1000 * percentile(latencies, 0.95)) if latencies else None,
        }


def append(path: Path, flow: Flow) -> None:
    """Add a flow's points to a run's series."""
    append_points(path, points(flow))


def append_points(path: Path, points: Iterable[Mapping[str, object]]) -> None:
    """Add any points to a run's series; a key of theirs says of what they are."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(point) + "\n" for point in points)
