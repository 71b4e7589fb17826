"""Makes a violation readable: the fewest operations and rows that still show it.

First everything that has nothing to do with its subject is left out, then halves, quarters, ... of the rest
are, as long as the same violation of the same subject remains (Zeller's ddmin). A race (I13) is not shrunk
here: leaving operations out makes other histories unexplainable, so `linearizing` reports the shortest
beginning itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from rehearsal.chaos.proving.audit import CHECKERS
from rehearsal.chaos.proving.findings import Violation
from rehearsal.chaos.proving.operations import Operation
from rehearsal.chaos.proving.snapshot import (
    Effect,
    EventRef,
    Money,
    OrderRow,
    Snapshot,
    StockRow,
    Transition,
)

# What a reader takes in at a glance.
READABLE: Final = 20
# Trials of the last phase; each runs one checker over what is left.
_MAX_TRIALS: Final = 2000

Row: TypeAlias = OrderRow | StockRow | Money | EventRef | Effect | Transition
# All but the prices: they belong to no order, and a violation names those that were possible.
_PARTS: Final = (
    "orders",
    "stock",
    "money",
    "outbox",
    "published",
    "deliveries",
    "effects",
    "acknowledged",
    "taken",
    "transitions",
)


@dataclass(frozen=True, slots=True)
class Item:
    """One operation, or one row of a part of the snapshot."""

    part: str
    content: Operation | Row


def shrink(violation: Violation, operations: Sequence[Operation], snapshot: Snapshot) -> tuple[Item, ...]:
    """The items that show the violation; not all that is wrong with its subject, but enough to believe it."""
    names = _names(violation.subject, operations, snapshot)
    items = [
        *(Item("operations", one) for one in operations if _has(one, names)),
        *(Item(part, row) for part in _PARTS for row in getattr(snapshot, part) or () if _has(row, names)),
    ]

    def shows(candidate: Sequence[Item]) -> bool:
        result = CHECKERS[violation.invariant](*_rebuild(candidate, snapshot))
        return any(
            (found.rule, found.subject) == (violation.rule, violation.subject) for found in result.violations
        )

    return tuple(_ddmin(items, shows)) if shows(items) else tuple(items)


def _names(subject: str, operations: Sequence[Operation], snapshot: Snapshot) -> frozenset[str]:
    """The subject, and key and order that belong to it."""
    names = {subject, subject.rpartition("/")[2]}
    for row in snapshot.orders or ():
        if row.key in names or row.order_id in names:
            names |= {row.key, row.order_id}
    for one in operations:
        if one.key and (one.key in names or one.order_id in names):
            names |= {one.key, one.order_id}
    return frozenset(names - {""})


def _has(content: Operation | Row, names: frozenset[str]) -> bool:
    if isinstance(content, Operation):
        mentioned: Iterable[Any] = (content.key, content.order_id, content.asked.get("product_id"))
    elif isinstance(content, OrderRow):
        mentioned = (content.order_id, content.key, *(line.product_id for line in content.lines))
    elif isinstance(content, StockRow):
        mentioned = (content.product_id,)
    elif isinstance(content, EventRef | Effect):
        mentioned = (content.event_id,)
    else:
        mentioned = (content.order_id,)
    return not names.isdisjoint(mentioned)


def _rebuild(items: Sequence[Item], snapshot: Snapshot) -> tuple[list[Operation], Snapshot]:
    parts: dict[str, list[Any]] = {part: [] for part in ("operations", *_PARTS)}
    for item in items:
        parts[item.part].append(item.content)
    operations = parts.pop("operations")
    collected: dict[str, Any] = {
        part: tuple(rows) for part, rows in parts.items() if getattr(snapshot, part) is not None
    }
    return operations, replace(snapshot, **collected)


def _ddmin(items: list[Item], shows: Callable[[Sequence[Item]], bool]) -> list[Item]:
    pieces, trials = 2, 0
    while len(items) > 1 and trials < _MAX_TRIALS:
        size = -(-len(items) // pieces)
        for start in range(0, len(items), size):
            trials += 1
            rest = items[:start] + items[start + size :]
            if shows(rest):
                items, pieces = rest, max(pieces - 1, 2)
                break
        else:
            if size == 1:
                break
            pieces = min(pieces * 2, len(items))
    return items
