"""The 99th percentile at half of what the gateway can do, against the upstream's own at the same rate.

All by the same client in the same run, turn by turn, so that a neighbour on the machine meets all alike, and
all before everything else on their cores (`measuring.undisturbed`).
nginx and a process that copies bytes are asked, too: what a process on another core costs in the tail is the
machine's, not the gateway's. And so is what takes that core away once a second, for whatever runs on it: by
then 0.3 (nginx) to 0.7 % of all requests are late, which the 98th percentile leaves out.
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
    p98: float
    p99: float


def ask(port: int, token: str, *, per_second: float, seconds: float, core: int) -> Tail:
    """Offer a rate."""
    command = [sys.executable, str(_CLIENT), str(port), str(per_second), str(seconds), token]
    done = subprocess.run(undisturbed(core, command), capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    if result["errors"]:
        raise SystemExit(f"half load: {result['errors']} errors; not a measurement")
    return Tail(result["p50"], result["p98"], result["p99"])


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
        "| at half load | p50 ms | p98 ms | p99 ms | spread of p99 | p98 over the upstream's own | p99 |",
        "|---|---|---|---|---|---|---|",
    ]
    own = next(iter(found.values()))
    for name, tails in found.items():
        p99 = sorted(tail.p99 for tail in tails)
        median, p98 = (statistics.median(tail.p50 for tail in tails), [tail.p98 for tail in tails])
        lines.append(
            f"| {name} | {median:.2f} | {statistics.median(p98):.2f} | {statistics.median(p99):.2f} "
            f"| {p99[0]:.2f}-{p99[-1]:.2f} "
            f"| {_ratios(p98, [first.p98 for first in own])} "
            f"| {_ratios([tail.p99 for tail in tails], [first.p99 for first in own])} |"
        )
    return [
        *lines,
        "",
        f"{per_second:.0f} requests a second, {len(own)} turns at each. Goal: p99 at most 2 times its own.",
    ]


def _ratios(of: Sequence[float], over: Sequence[float]) -> str:
    """Return the median of the turns' own ratios, and their spread."""
    ratios = sorted(one / other for one, other in zip(of, over, strict=True))
    return f"{statistics.median(ratios):.1f} ({ratios[0]:.1f}-{ratios[-1]:.1f})"
