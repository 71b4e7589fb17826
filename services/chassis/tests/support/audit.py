"""The audit after a crash test: what was promised against what is there.

Written from the promises and not from the planted bugs: each answered operation has one order, each order one
event or more and one effect, and nothing exists that nobody asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

# A report is read by people.
_EXAMPLES = 3
# Broken once, these stay broken, whatever is still on its way.
FOR_GOOD = frozenset({"operation-unfinished", "order-doubled", "effect-doubled"})


@dataclass(frozen=True, slots=True)
class Evidence:
    """What clients were told, and what database and topic hold."""

    # Reference to the order's id that its client was told, or None where no answer came in time.
    answered: dict[str, str | None]
    # Order id and reference of each row.
    orders: list[tuple[str, str]]
    # Order ids, one per record in the topic and per row in the ledger.
    events: list[str]
    effects: list[str]


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that was broken, how often, and examples."""

    invariant: str
    count: int
    examples: tuple[str, ...] = field(default=())


def audit(evidence: Evidence) -> list[Finding]:
    """Every broken promise."""
    order_ids = {order_id for order_id, _ in evidence.orders}
    told = {order_id for order_id in evidence.answered.values() if order_id is not None}
    references = Counter(reference for _, reference in evidence.orders)
    effects = Counter(evidence.effects)
    events = set(evidence.events)
    broken: dict[str, Iterable[str]] = {
        "operation-unfinished": (ref for ref, order_id in evidence.answered.items() if order_id is None),
        "acknowledged-order-lost": told - order_ids,
        "order-doubled": (reference for reference, count in references.items() if count > 1),
        "order-phantom": references.keys() - evidence.answered.keys(),
        "event-lost": order_ids - events,
        "event-phantom": events - order_ids,
        "effect-lost": order_ids - effects.keys(),
        "effect-doubled": (order_id for order_id, count in effects.items() if count > 1),
        "effect-phantom": effects.keys() - order_ids,
    }
    found = ((invariant, sorted(examples)) for invariant, examples in broken.items())
    return [Finding(name, len(found), tuple(found[:_EXAMPLES])) for name, found in found if found]
