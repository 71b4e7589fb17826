"""How fast the checkers of chaos are, and whether they find everything and nothing.

    nox -s bench -- checkers [--operations 1000000] [--histories 2000]

Times each checker over one run of about that many operations, then audits as many sound runs and as many with
exactly one thing wrong, which also have to be shown in at most 20 lines.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rehearsal.chaos.proving.audit import CHECKERS, audit
from rehearsal.chaos.proving.linearizing import explain, stock_histories
from rehearsal.chaos.proving.shrinking import READABLE, shrink
from rehearsal.core.verdicts import Verdict

from tests.chaos.proving.plants import PLANTS
from tests.chaos.proving.worlds import World, make

OPERATIONS_PER_ORDER = 3.45


def speed(operations: int) -> None:
    """Print how long an audit takes, and the share of each checker."""
    world = make(1, int(operations / OPERATIONS_PER_ORDER))
    snapshot = world.snapshot()
    gc.collect()
    gc.freeze()
    print(f"{len(world.operations):,} operations, {len(world.orders):,} orders\n")
    print("| invariant | seconds of CPU |\n|---|---|")
    for name, check in CHECKERS.items():
        started = time.process_time()
        verdict = check(world.operations, snapshot).verdict
        print(f"| {name} | {time.process_time() - started:.2f} |")
        assert verdict is Verdict.PASS, name
    wall, cpu = time.perf_counter(), time.process_time()
    audit(world.operations, snapshot)
    print(f"| all | {time.process_time() - cpu:.2f} ({time.perf_counter() - wall:.2f} s of wall clock) |\n")


def detection(histories: int) -> bool:
    """Print what was found; whether it is everything and nothing."""
    false = sum(_audited(make(seed)) != frozenset() for seed in range(histories))
    missed, long = 0, 0
    for seed, (invariant, spoil) in zip(range(histories), cycle(PLANTS.values()), strict=False):
        world = make(seed)
        spoil(world)
        missed += invariant not in _audited(world)
        long += not _is_readable(world, invariant)
    print(f"{histories} sound runs: {false} with a finding")
    print(f"{histories} spoilt runs of {len(PLANTS)} kinds: {missed} missed, {long} not readable")
    return not (false or missed or long)


def _audited(world: World) -> frozenset[str]:
    return audit(world.operations, world.snapshot()).broken


def _is_readable(world: World, invariant: str) -> bool:
    if invariant == "I13":
        histories = stock_histories(world.operations, world.raced)
        parts = [explain(histories[name], initial) for name, initial in world.raced.items()]
        return all(len(part.operations) <= READABLE for part in parts if part is not None)
    result = CHECKERS[invariant](world.operations, world.snapshot())
    snapshot = world.snapshot()
    shown = [shrink(found, world.operations, snapshot) for found in result.violations[:3]]
    return all(len(items) <= READABLE for items in shown)


def main() -> int:
    """Measure, print; 1 if something was missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--histories", type=int, default=2000)
    options = parser.parse_args()
    speed(options.operations)
    return 0 if detection(options.histories) else 1


if __name__ == "__main__":
    sys.exit(main())
