"""The 99th percentile at half of what the gateway can do, against the upstream's own at the same rate.

Both by the same client in the same run, turn by turn, so that a neighbour on the machine meets both alike.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from measuring import pinned

_CLIENT = Path(__file__).with_name("open_loop.py")


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn at the upstream and one through the gateway, in milliseconds."""

    direct_p50: float
    direct_p99: float
    through_p50: float
    through_p99: float

    @property
    def ratio(self) -> float:
        """How many times the upstream's own 99th percentile a client waits."""
        return self.through_p99 / self.direct_p99


def ask(port: int, token: str, *, per_second: float, seconds: float, core: int) -> tuple[float, float]:
    """Offer a rate; the median and the 99th percentile."""
    command = [sys.executable, str(_CLIENT), str(port), str(per_second), str(seconds), token]
    done = subprocess.run(pinned(core, command), capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    if result["errors"]:
        raise SystemExit(f"half load: {result['errors']} errors; not a measurement")
    return result["p50"], result["p99"]


def take_turns(
    gateway: int, upstream: int, token: str, *, per_second: float, seconds: float, turns: int, core: int
) -> list[Turn]:
    """So many turns, direct and through the gateway."""
    found = []
    for _ in range(turns):
        direct = ask(upstream, token, per_second=per_second, seconds=seconds, core=core)
        through = ask(gateway, token, per_second=per_second, seconds=seconds, core=core)
        found.append(Turn(*direct, *through))
    return found


def table(turns: list[Turn], per_second: float) -> list[str]:
    """Markdown."""
    ratios = sorted(turn.ratio for turn in turns)
    lines = ["| at half load | p50 ms | p99 ms | p99 spread |", "|---|---|---|---|"]
    for name, medians, tails in (
        ("the upstream alone", [t.direct_p50 for t in turns], [t.direct_p99 for t in turns]),
        ("through the gateway", [t.through_p50 for t in turns], [t.through_p99 for t in turns]),
    ):
        lines.append(
            f"| {name} | {statistics.median(medians):.2f} | {statistics.median(tails):.2f} "
            f"| {min(tails):.2f}-{max(tails):.2f} |"
        )
    lines += [
        "",
        f"{per_second:.0f} requests a second, {len(turns)} turns of each. p99 through the gateway over the "
        f"upstream's own: median {statistics.median(ratios):.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f} "
        "(goal: at most 2).",
    ]
    return lines
