"""Orders as a series, a point a second; a second without orders or answers is a gap, not a zero."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rehearsal.load.flow import Flow
from rehearsal.load.objectives import percentile

FILE_NAME = "series.ndjson"


@dataclass(frozen=True, slots=True)
class Offered:
    """An order as the series counts it: when it was due, whether it was acknowledged, how long that took."""

    due: float  # seconds since its flow began
    acknowledged: bool
    latency_seconds: float | None
    failed: int = 0  # attempts without a good answer


def of_flow(flow: Flow) -> Iterator[Mapping[str, object]]:
    """Yield the points of a flow."""
    offered = [
        Offered(one.due, one.acknowledged, one.latency_seconds, max(0, one.attempts - one.acknowledged))
        for one in flow.orders
    ]
    return points(flow.plan.name, flow.began_at, offered)


def points(name: str, began_at: float, offered: Iterable[Offered]) -> Iterator[Mapping[str, object]]:
    """Yield for each second: orders due, how many of them were acknowledged, their latency and failures.

    `served` are those that were acknowledged in this second, whenever they were due.
    """
    seconds: dict[int, list[Offered]] = defaultdict(list)
    served: Counter[int] = Counter()
    for one in offered:
        seconds[math.floor(one.due)].append(one)
        if one.acknowledged and one.latency_seconds is not None:
            served[math.floor(one.due + one.latency_seconds)] += 1
    for second in sorted({*seconds, *served}):
        orders = seconds.get(second, [])
        latencies = [one.latency_seconds for one in orders if one.latency_seconds is not None]
        yield {
            "t": math.floor(began_at) + second,
            "flow": name,
            "offered": len(orders),
            "acknowledged": sum(one.acknowledged for one in orders),
            "served": served[second],
            "failed": sum(one.failed for one in orders),
            "p95_ms": round(1000 * percentile(latencies, 0.95)) if latencies else None,
        }


def append(path: Path, points: Iterable[Mapping[str, object]]) -> None:
    """Add points to a run's series; a key of theirs says of what they are."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(point) + "\n" for point in points)
