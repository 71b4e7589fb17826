"""All invariants over one run. What each one compares is its own module's."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from rehearsal.chaos.proving.acknowledging import (
    acknowledged_once,
    nothing_unasked,
    one_order_per_key,
    reads_see_acknowledged,
)
from rehearsal.chaos.proving.conserving import money_adds_up, stock_adds_up
from rehearsal.chaos.proving.delivering import (
    effect_once,
    published_if_committed,
    taken_if_acknowledged,
)
from rehearsal.chaos.proving.ending import all_ended, allowed_steps
from rehearsal.chaos.proving.findings import Result
from rehearsal.chaos.proving.linearizing import last_unit_once
from rehearsal.chaos.proving.operations import Operation
from rehearsal.chaos.proving.snapshot import Snapshot
from rehearsal.core.verdicts import Verdict, combine

Checker: TypeAlias = Callable[[Sequence[Operation], Snapshot], Result]

CHECKERS: Final[dict[str, Checker]] = {
    "I1": acknowledged_once,
    "I2": nothing_unasked,
    "I3": stock_adds_up,
    "I4": money_adds_up,
    "I5": published_if_committed,
    "I6": effect_once,
    "I7": all_ended,
    "I8": allowed_steps,
    "I9": one_order_per_key,
    "I10": reads_see_acknowledged,
    "I13": last_unit_once,
    "I14": taken_if_acknowledged,
}


@dataclass(frozen=True, slots=True)
class Audit:
    """The results, in the order of the invariants."""

    results: tuple[Result, ...]

    @property
    def verdict(self) -> Verdict:
        """PASS only if every invariant was looked at and holds."""
        return combine(result.verdict for result in self.results)

    @property
    def broken(self) -> frozenset[str]:
        """The invariants that do not hold."""
        return frozenset(one.invariant.id for one in self.results if one.verdict is Verdict.FAIL)


def audit(operations: Sequence[Operation], snapshot: Snapshot) -> Audit:
    """Run every checker."""
    with _uncollected():
        return Audit(tuple(check(operations, snapshot) for check in CHECKERS.values()))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector, which would walk a million operations again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
