"""What clients were told and what is there: I1, I2, I9, I10. Linear in operations and orders."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rehearsal.chaos.proving.findings import Invariant, Result, Violation, judge, unseen
from rehearsal.chaos.proving.operations import CANCEL, FAIL, INFO, LOOK, OK, PLACE, Operation
from rehearsal.chaos.proving.snapshot import ENDED, OrderRow, Snapshot
from rehearsal.shop.answers import Kind

I1: Final = Invariant("I1", "Every acknowledged order exists exactly once")
I2: Final = Invariant("I2", "What was refused, or never asked for, does not exist")
I9: Final = Invariant("I9", "A key stands for one request and one order")
I10: Final = Invariant("I10", "What was acknowledged is read, and an ended order stays ended")

_KEY_REUSED_STATUS: Final = 422
_NOT_FOUND_STATUS: Final = 404


def acknowledged_once(operations: Sequence[Operation], snapshot: Snapshot) -> Result:
    """I1: one order for each key with a clear yes, and it is the one that the client was told of."""
    if snapshot.orders is None:
        return unseen(I1, "the orders were not collected")
    by_key: dict[str, str] = {}
    further: defaultdict[str, list[str]] = defaultdict(list)
    for row in snapshot.orders:
        if row.key in by_key:
            further[row.key].append(row.order_id)
        else:
            by_key[row.key] = row.order_id
    told: dict[str, str] = {}
    for one in operations:
        if one.f == PLACE and one.kind is OK:
            told.setdefault(one.key, one.order_id)
    violations = []
    for key, order_id in told.items():
        if by_key.get(key) == order_id and key not in further:
            continue
        there = [by_key[key], *further.get(key, ())] if key in by_key else []
        rule = "lost" if not there else "doubled" if len(there) > 1 else "another"
        violations.append(
            Violation("I1", rule, key, f"order {order_id}, once", ", ".join(sorted(there)) or "none")
        )
    violations += _doubled(snapshot.orders, "I1")
    return judge(I1, len(told), violations)


def _doubled(orders: Iterable[OrderRow], invariant: str) -> Iterator[Violation]:
    ids = [row.order_id for row in orders]
    if len(set(ids)) == len(ids):
        return
    for order_id, count in Counter(ids).items():
        if count > 1:
            yield Violation(invariant, "row-doubled", order_id, "one row", f"{count} rows")


def nothing_unasked(operations: Sequence[Operation], snapshot: Snapshot) -> Result:
    """I2: an order's key was sent, and not all of its answers were a clear no."""
    if snapshot.orders is None:
        return unseen(I2, "the orders were not collected")
    outcome: dict[str, Kind] = {}
    for one in operations:
        if one.f == PLACE:
            outcome[one.key] = _stronger(outcome.get(one.key), one.kind)
    if not outcome:
        return unseen(I2, "the history has no attempt to place an order")
    violations, recovered = [], 0
    for row in snapshot.orders:
        kind = outcome.get(row.key)
        if kind is None:
            violations.append(Violation("I2", "phantom", row.order_id, "no order", "an order nobody placed"))
        elif kind is FAIL:
            violations.append(Violation("I2", "refused-exists", row.order_id, "no order", f"key {row.key}"))
        elif kind is INFO:
            recovered += 1
    return judge(I2, len(outcome), violations, numbers={"recovered": float(recovered)})


def _stronger(known: Kind | None, kind: Kind) -> Kind:
    """One clear yes decides; an unknown outcome leaves a no open."""
    if known is None or kind is OK:
        return kind
    return INFO if INFO in (known, kind) and known is not OK else known


def one_order_per_key(operations: Sequence[Operation], snapshot: Snapshot) -> Result:
    """I9: the same request under a key is answered with the same order; another request is refused (422).

    It needs repetitions: a history without any says nothing about them.
    """
    # The first answered attempt decides what the key stands for; attempts without an answer cannot.
    first: dict[str, Operation] = {}
    seen: set[str] = set()
    repeated, violations = 0, []
    for one in operations:
        if one.f != PLACE:
            continue
        repeated += one.key in seen
        seen.add(one.key)
        if one.kind is not OK:
            continue
        before = first.setdefault(one.key, one)
        if before is one:
            continue
        if one.request != before.request:
            expected = f"{_KEY_REUSED_STATUS}, the key stands for another request"
            violations.append(Violation("I9", "key-reused", one.key, expected, f"order {one.order_id}"))
        elif _answer(one) != _answer(before):
            violations.append(Violation("I9", "answers-differ", one.key, _answer(before), _answer(one)))
    violations += _refused_wrongly(operations, first)
    return judge(I9, repeated, violations)


def _answer(one: Operation) -> str:
    """What must not differ between repetitions."""
    value = one.answered
    return f"order {value.get('order_id')} for {value.get('total_minor')} {value.get('currency')}"


def _refused_wrongly(operations: Sequence[Operation], first: dict[str, Operation]) -> Iterator[Violation]:
    for one in operations:
        if one.f != PLACE or one.kind is not FAIL:
            continue
        known = first.get(one.key)
        if known is not None and known.request == one.request and one.invoked_ns > (known.answered_ns or 0):
            yield Violation("I9", "repetition-refused", one.key, _answer(known), f"status {one.status}")
        elif known is not None and known.request != one.request and one.status != _KEY_REUSED_STATUS:
            yield Violation("I9", "wrong-refusal", one.key, str(_KEY_REUSED_STATUS), f"status {one.status}")


def reads_see_acknowledged(operations: Sequence[Operation], snapshot: Snapshot) -> Result:
    """I10: a look that began after the acknowledgement finds the order; one that was seen ended stays so.

    CONFIRMED may still become CANCELLED, nothing else that has ended changes. The answer to a cancellation is
    a look, too.
    """
    looks = [one for one in operations if one.f in (LOOK, CANCEL) and one.kind is not INFO]
    missed: list[Operation] = []
    states: dict[str, str] = {}
    changed: set[str] = set()
    for one in looks:
        if one.kind is OK:
            order_id = one.asked.get("order_id", "")
            state = one.answered.get("state", "")
            if states.setdefault(order_id, state) != state:
                changed.add(order_id)
        elif one.status == _NOT_FOUND_STATUS:
            missed.append(one)
    violations = list(_not_read(operations, missed))
    seen: defaultdict[str, list[Operation]] = defaultdict(list)
    for one in looks:
        if one.kind is OK and (order_id := one.asked.get("order_id", "")) in changed:
            seen[order_id].append(one)
    for order_id, of_order in seen.items():
        violations += _changed_after_end(order_id, of_order)
    return judge(I10, len(looks), violations)


def _not_read(operations: Sequence[Operation], missed: list[Operation]) -> Iterator[Violation]:
    """Looks that did not find an order which had been acknowledged before they began."""
    wanted = {one.asked.get("order_id", "") for one in missed}
    told: dict[str, int] = {}
    for one in operations if wanted else ():
        if one.f == PLACE and one.kind is OK and one.answered_ns is not None and one.order_id in wanted:
            told[one.order_id] = min(one.answered_ns, told.get(one.order_id, one.answered_ns))
    for one in missed:
        order_id = one.asked.get("order_id", "")
        if (since := told.get(order_id, one.invoked_ns)) < one.invoked_ns:
            observed = f"404, {(one.invoked_ns - since) / 1e6:.1f} ms after it was acknowledged"
            yield Violation("I10", "not-read", order_id, "the order", observed)


def _changed_after_end(order_id: str, looks: list[Operation]) -> Iterator[Violation]:
    """Of looks that do not overlap, a later one must not see less."""
    ended: Operation | None = None
    for one in sorted(looks, key=lambda look: look.answered_ns or 0):
        state = str(one.answered.get("state"))
        if ended is not None and one.invoked_ns > (ended.answered_ns or 0):
            before = str(ended.answered.get("state"))
            if state != before and (before, state) != ("CONFIRMED", "CANCELLED"):
                yield Violation("I10", "went-back", order_id, f"still {before}", state)
                return
        if state in ENDED:
            ended = one
