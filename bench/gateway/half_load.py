"""The 99th percentile at half of what the gateway can do, against the upstream's own at the same rate.

All by the same client in the same run, turn by turn, so that a neighbour on the machine meets all alike, and
all before everything else on their cores (`measuring.undisturbed`).
nginx is asked, too: what a process on another core costs in the tail is the machine's, not the gateway's.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from measuring import undisturbed

_CLIENT = Path(__file__).with_name("open_loop.py")


@dataclass(frozen=True, slots=True)
class Tail:
    """Of one turn, in milliseconds."""

    p50: float
    p99: float


def ask(port: int, token: str, *, per_second: float, seconds: float, core: int) -> Tail:
    """Offer a rate."""
    command = [sys.executable, str(_CLIENT), str(port), str(per_second), str(seconds), token]
    done = subprocess.run(undisturbed(core, command), capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    if result["errors"]:
        raise SystemExit(f"half load: {result['errors']} errors; not a measurement")
    return Tail(result["p50"], result["p99"])


def take_turns(
    ports: Mapping[str, int], token: str, *, per_second: float, seconds: float, turns: int, core: int
) -> dict[str, list[Tail]]:
    """So many turns at each, one after the other."""
    found: dict[str, list[Tail]] = {name: [] for name in ports}
    for _ in range(turns):
        for name, port in ports.items():
            found[name].append(ask(port, token, per_second=per_second, seconds=seconds, core=core))
    return found


def table(found: Mapping[str, Sequence[Tail]], per_second: float) -> list[str]:
    """Markdown; the first is what the others are compared with."""
    lines = [
        "| at half load | p50 ms | p99 ms | spread of p99 | p99 over the upstream's own |",
        "|---|---|---|---|---|",
    ]
    own = next(iter(found.values()))
    for name, tails in found.items():
        p99 = sorted(tail.p99 for tail in tails)
        ratios = sorted(tail.p99 / first.p99 for tail, first in zip(tails, own, strict=True))
        lines.append(
            f"| {name} | {statistics.median(tail.p50 for tail in tails):.2f} | {statistics.median(p99):.2f} "
            f"| {p99[0]:.2f}-{p99[-1]:.2f} "
            f"| {statistics.median(ratios):.1f} ({ratios[0]:.1f}-{ratios[-1]:.1f}) |"
        )
    return [*lines, "", f"{per_second:.0f} requests a second, {len(own)} turns at each. Goal: at most 2."]
