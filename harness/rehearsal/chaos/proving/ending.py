"""Orders come to an end (I7), by steps that are allowed (I8)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

from rehearsal.chaos.proving.findings import Invariant, Result, Violation, judge, unseen
from rehearsal.chaos.proving.operations import Operation
from rehearsal.chaos.proving.snapshot import ENDED, MOVES, Snapshot, Transition

I7: Final = Invariant("I7", "Every order has ended once the shop has had time")
I8: Final = Invariant("I8", "An order moves by allowed steps, numbered without a gap")

# Of quiet after the last fault, in which every order has to end; chaos research, 3.2.
END_SECONDS: Final = 60.0


def all_ended(operations: Sequence[Operation], snapshot: Snapshot) -> Result:
    """I7: no order is PENDING or RESERVED after 60 s of quiet; before that an open one says nothing."""
    if snapshot.orders is None:
        return unseen(I7, "the orders were not collected")
    stuck = [row for row in snapshot.orders if row.state not in ENDED]
    if stuck and snapshot.quiet_seconds < END_SECONDS:
        return unseen(
            I7,
            f"{len(stuck)} orders open after {snapshot.quiet_seconds:.0f} s; they have {END_SECONDS:.0f} s",
        )
    violations = [
        Violation("I7", "stuck", row.order_id, "ended", f"{row.state} after {snapshot.quiet_seconds:.0f} s")
        for row in stuck
    ]
    numbers = {state: float(count) for state, count in Counter(row.state for row in snapshot.orders).items()}
    return judge(I7, len(snapshot.orders), violations, numbers=numbers)


def allowed_steps(operations: Sequence[Operation], snapshot: Snapshot) -> Result:
    """I8: 1, 2, 3, ... per order, each step from where the last one ended, the last to the order's state."""
    if snapshot.orders is None or snapshot.transitions is None:
        return unseen(I8, "orders or their history were not collected")
    steps: defaultdict[str, list[Transition]] = defaultdict(list)
    for step in snapshot.transitions:
        steps[step.order_id].append(step)
    violations = []
    for row in snapshot.orders:
        found = _first_wrong(row.order_id, row.state, steps.pop(row.order_id, []))
        if found is not None:
            violations.append(found)
    violations += [
        Violation("I8", "no-order", order_id, "an order", "a history of none") for order_id in steps
    ]
    return judge(I8, len(snapshot.transitions), violations)


def _first_wrong(order_id: str, state: str, steps: list[Transition]) -> Violation | None:
    steps.sort(key=lambda step: step.sequence)
    before = ""
    for number, step in enumerate(steps, 1):
        if step.sequence != number:
            return Violation("I8", "gap", order_id, f"step {number}", f"step {step.sequence}")
        # A step that repeats the state is the sweeper's: the same content under the next number.
        if step.state != before or step.state in ENDED:
            if step.state not in MOVES.get(before, frozenset()):
                return Violation(
                    "I8", "illegal", order_id, f"a step from {before or 'nothing'}", f"to {step.state}"
                )
            before = step.state
    if before != state:
        return Violation("I8", "end", order_id, f"{state}, as the order says", before or "no history")
    return None
