"""Run the shop, hurt it, audit it: `python -m mambogo_audit [--orders 5000] [--clients 32] [--seed 1]`.

Ends with 0 if every invariant holds, 1 if one does not, 4 if something could not be looked at: an invariant,
or what happens at a failpoint at which nothing died. `--planted all` looks for planted bugs instead.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from rehearsal.chaos.proving.audit import Audit
from rehearsal.core.verdicts import Verdict, combine, exit_code_of
from rehearsal.shop.history import read

from mambogo_audit.parts import Ground, ground, parts_on
from mambogo_audit.planting import BUGS, NONE, search
from mambogo_audit.running import Options, Rehearsal
from mambogo_audit.tree import Tree

_SHOWN: Final = 10


def main() -> int:
    """Print what was found; the exit code."""
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="shop-audit-"))
    print(f"history and logs: {folder}", flush=True)
    with ground() as servers:
        if options.planted:
            return _planted(servers, options, folder)
        return _whole(servers, options, folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mambogo_audit", description=__doc__)
    parser.add_argument("--orders", type=int, default=5000, help="at least so many")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calm", action="store_true", help="kill nothing: a control run")
    names = ["all", NONE.name, *(bug.name for bug in BUGS)]
    parser.add_argument("--planted", choices=names, help="run on copies with planted bugs")
    return parser.parse_args()


def _whole(servers: Ground, options: argparse.Namespace, folder: Path) -> int:
    started = time.monotonic()
    wanted = Options(options.orders, options.clients, options.seed)
    if options.calm:
        wanted = Options(options.orders, options.clients, options.seed, places={})
    with parts_on(servers, Tree.own(), folder) as parts:
        rehearsal = Rehearsal(parts, Tree.own(), wanted)
        found = asyncio.run(_run(rehearsal))
    minutes = (time.monotonic() - started) / 60
    by = f"by {options.clients} shoppers in {minutes:.1f} min, seed {options.seed}"
    print(f"{rehearsal.orders} purchases {by}")
    _print_operations(folder / "history.jsonl")
    _print_deaths(rehearsal)
    _print_results(found)
    verdict = combine((found.verdict, Verdict.INVALID if _is_untried(rehearsal) else Verdict.PASS))
    print(verdict)
    return int(exit_code_of(verdict))


async def _run(rehearsal: Rehearsal) -> Audit:
    async with rehearsal.opened():
        await rehearsal.round()
        return await rehearsal.judge(whole_quiet=True)


def _print_operations(history: Path) -> None:
    """What clients know of what they asked for."""
    counts = Counter((entry.f, entry.type) for entry in read(history))
    for f in sorted({f for f, _ in counts}):
        kinds = ", ".join(f"{counts[f, kind]} {name}" for kind, name in _KINDS.items() if counts[f, kind])
        print(f"  {f}: {counts[f, 'invoke']} attempts: {kinds}")


_KINDS: Final = {"ok": "ok", "fail": "refused", "info": "unknown"}


def _print_deaths(rehearsal: Rehearsal) -> None:
    deaths = rehearsal.deaths
    print(f"{deaths.counts.total()} processes were killed at their failpoints, and started again")
    for line in deaths.lines():
        print(f"  {line}")
    for accident in deaths.accidents:
        print(f"  not by us: {accident}")
    if deaths.missing:
        print(f"INVALID: nothing died at {', '.join(deaths.missing)}: more orders, or another seed")


def _is_untried(rehearsal: Rehearsal) -> bool:
    """Whether what holds was not put to the test, or something died that was not meant to."""
    return bool(rehearsal.deaths.missing or rehearsal.deaths.accidents)


def _print_results(found: Audit) -> None:
    for result in found.results:
        counted = f"{result.looked_at} compared, {result.violation_count} violations"
        numbers = ", ".join(f"{name} {number:.0f}" for name, number in result.numbers.items())
        title = f"{result.verdict:8} {result.invariant.id:4} {result.invariant.title}"
        print(f"{title}: {counted} {numbers} {result.reason}".rstrip())
        for violation in result.violations[:_SHOWN]:
            print(f"         {violation}")


def _planted(servers: Ground, options: argparse.Namespace, folder: Path) -> int:
    wanted = [bug for bug in (NONE, *BUGS) if options.planted in ("all", bug.name)]
    wrong = 0
    for bug in wanted:
        started = time.monotonic()
        found = search(servers, bug, folder / bug.name, options.seed)
        print(f"{found}, {time.monotonic() - started:.0f} s", flush=True)
        for line in found.shown:
            print(f"    {line}", flush=True)
        wrong += not found.is_right
    print(f"{len(wanted) - wrong} of {len(wanted)} as it should")
    return int(exit_code_of(Verdict.FAIL if wrong else Verdict.PASS))


if __name__ == "__main__":
    sys.exit(main())
