"""The race for the last unit: is there any order of events that explains what everybody saw? (I13)

Wing and Gong's search with Lowe's memory of configurations, one product at a time. At a moment at which
nothing is under way the history falls apart: what lies before only matters by the numbers that may be left,
so each part is searched alone, from all of them. What never got an answer stays optional to the end. The
search is bounded in steps; a product that exceeds it is undecided, which is INVALID.

A refusal of an order with several products says nothing about one of them, and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from rehearsal.chaos.proving.findings import Invariant, Result, Violation, judge, unseen
from rehearsal.chaos.proving.operations import CANCEL, FAIL, LOOK, OK, PLACE, STOCK, Operation
from rehearsal.chaos.proving.snapshot import Snapshot
from rehearsal.shop.answers import Kind

I13: Final = Invariant("I13", "The last unit is sold once")

# About 5 s for a product; honest histories of 1,000 operations by 16 clients need a hundredth of it.
MAX_STEPS: Final = 1_000_000

What: TypeAlias = Literal["take", "refuse", "read", "give"]
# On hand, and which of the operations without an answer have happened (a return by its number's complement).
Config: TypeAlias = tuple[int, frozenset[int]]

# Of a rejection: nothing was reserved. Whatever else ends an order may have taken units, and given them back.
_OUT_OF_STOCK: Final = "out-of-stock"


@dataclass(frozen=True, slots=True)
class StockOp:
    """An operation on one product. Without an answer it may happen at any time after it began, or never.

    A purchase of which nobody knows that it stayed (`may_return`) may also give back what it took, later.
    """

    what: What
    number: int  # of units, or what was read
    invoked_ns: int
    answered_ns: int | None
    may_return: bool = False

    def __str__(self) -> str:
        end = "?" if self.answered_ns is None else str(self.answered_ns)
        return f"{self.what} {self.number} [{self.invoked_ns}, {end}]"


@dataclass(frozen=True, slots=True)
class Unexplained:
    """The part of a history that no order explains, and what may have been there before it."""

    operations: tuple[StockOp, ...]
    before: tuple[int, ...]


class UndecidedError(Exception):
    """The search took more steps than it may."""


def last_unit_once(
    operations: Sequence[Operation], snapshot: Snapshot, *, max_steps: int = MAX_STEPS
) -> Result:
    """I13 for each product that was raced for."""
    if not snapshot.raced:
        return unseen(I13, "no product was raced for")
    histories = stock_histories(operations, snapshot.raced)
    violations, looked, undecided = [], 0, []
    for product_id, initial in snapshot.raced.items():
        try:
            found = explain(histories[product_id], initial, max_steps=max_steps)
        except UndecidedError:
            undecided.append(product_id)
            continue
        looked += len(histories[product_id])
        if found is not None:
            shown = "; ".join(str(one) for one in found.operations[-20:])
            before = " or ".join(str(number) for number in found.before)
            violations.append(
                Violation("I13", "unexplained", product_id, f"an order of events from {before} on", shown)
            )
    if undecided and not violations:
        return unseen(I13, f"{len(undecided)} products were not decided within {max_steps} steps")
    return judge(I13, looked, violations)


def stock_histories(operations: Sequence[Operation], raced: dict[str, int]) -> dict[str, list[StockOp]]:
    """What happened to each raced product, from attempts to buy it and looks at it.

    A purchase lasts from its first attempt until somebody saw how it ended.
    """
    histories: dict[str, list[StockOp]] = {product_id: [] for product_id in raced}
    begun: dict[str, Operation] = {}
    order_of: dict[str, str] = {}
    kinds: dict[str, set[Kind]] = {}
    for one in operations:
        if one.f == PLACE:
            if one.key not in begun and not _is_raced(one, raced):
                continue
            begun.setdefault(one.key, one)
            kinds.setdefault(one.key, set()).add(one.kind)
            if one.kind is OK:
                order_of[one.key] = one.order_id
        elif one.f == STOCK and one.kind is OK and one.asked.get("product_id") in raced:
            product_id = str(one.asked["product_id"])
            seen = StockOp("read", int(one.answered["on_hand"]), one.invoked_ns, one.answered_ns)
            histories[product_id].append(seen)
    ends, cancelled = _ends(operations, frozenset(order_of.values()))
    for key, one in begun.items():
        if kinds[key] == {FAIL}:
            continue
        order_id = order_of.get(key, "")
        for product_id, made in _purchase(one, ends.get(order_id), cancelled.get(order_id)):
            if product_id in raced:
                histories[product_id].append(made)
    return histories


def _is_raced(one: Operation, raced: dict[str, int]) -> bool:
    for product_id, _ in one.asked.get("lines", ()):  # noqa: SIM110 - a generator costs more than the look
        if product_id in raced:
            return True
    return False


def _purchase(
    one: Operation, end: tuple[str, int | None] | None, cancelled_ns: int | None
) -> Iterator[tuple[str, StockOp]]:
    """What a purchase did to each of its products, as far as anybody can know."""
    lines = [(str(product_id), int(quantity)) for product_id, quantity in one.asked.get("lines", ())]
    what, at = end if end is not None else ("", None)
    for product_id, quantity in lines:
        if what == "refuse":
            if len(lines) == 1:
                yield product_id, StockOp("refuse", quantity, one.invoked_ns, at)
        elif what == "take":
            yield product_id, StockOp("take", quantity, one.invoked_ns, at)
            if cancelled_ns is not None:
                yield product_id, StockOp("give", quantity, cancelled_ns, None)
        else:
            yield product_id, StockOp("take", quantity, one.invoked_ns, None, may_return=True)


def _ends(
    operations: Sequence[Operation], order_ids: frozenset[str]
) -> tuple[dict[str, tuple[What, int | None]], dict[str, int]]:
    """What each order came to for the stock and when that was first seen; when it was to be cancelled."""
    ends: dict[str, tuple[What, int | None]] = {}
    cancelled: dict[str, int] = {}
    for one in operations:
        if one.f not in (PLACE, LOOK, CANCEL) or one.kind is FAIL or one.order_id not in order_ids:
            continue
        if one.f == CANCEL:
            cancelled.setdefault(one.order_id, one.invoked_ns)
            continue
        what = _outcome(one)
        if what is None or one.answered_ns is None:
            continue
        known = ends.get(one.order_id)
        if known is None or one.answered_ns < (known[1] or 0):
            ends[one.order_id] = (what, one.answered_ns)
    return ends, cancelled


def _outcome(one: Operation) -> What | None:
    state = one.answered.get("state")
    if state == "CONFIRMED":
        return "take"
    return "refuse" if state == "REJECTED" and one.answered.get("reason") == _OUT_OF_STOCK else None


def explain(history: Sequence[StockOp], initial: int, *, max_steps: int = MAX_STEPS) -> Unexplained | None:
    """None if some order explains the history, else the part that none does. Raises UndecidedError."""
    optional = [one for one in history if one.answered_ns is None and one.what in ("take", "give")]
    configs: set[Config] = {(initial, frozenset())}
    search = _Search(optional, max_steps)
    for part in _parts([one for one in history if one.answered_ns is not None]):
        after = search.run(part, configs)
        if not after:
            before = tuple(sorted({number for number, _ in configs}))
            return Unexplained(tuple(_shortest(part, configs, optional, max_steps)), before)
        configs = after
    return None


def _shortest(
    part: list[StockOp], configs: set[Config], optional: list[StockOp], max_steps: int
) -> list[StockOp]:
    """The beginning of an unexplained part up to the first answer that nothing explains.

    What had no answer by then may have happened. A beginning of a history that can be explained can be, too.
    """
    for end in sorted(one.answered_ns or 0 for one in part):
        complete = [one for one in part if (one.answered_ns or 0) <= end]
        open_ = [one for one in part if (one.answered_ns or 0) > end and one.invoked_ns <= end]
        waiting = [replace(one, answered_ns=None) for one in open_ if one.what == "take"]
        if not _Search([*optional, *waiting], max_steps).run(complete, configs):
            return complete + waiting
    return part


def _parts(operations: list[StockOp]) -> Iterator[list[StockOp]]:
    """Cut where nothing is under way."""
    part: list[StockOp] = []
    end = 0
    for one in sorted(operations, key=lambda op: op.invoked_ns):
        if part and one.invoked_ns > end:
            yield part
            part = []
        part.append(one)
        end = max(end, one.answered_ns or 0)
    if part:
        yield part


class _Search:
    """Searches parts of one history, within a common bound."""

    def __init__(self, optional: list[StockOp], max_steps: int) -> None:
        self._optional = optional
        self._left = max_steps

    def run(self, part: list[StockOp], configs: set[Config]) -> set[Config]:
        """All configurations in which the part can end."""
        full = (1 << len(part)) - 1
        stack = [(0, config) for config in configs]
        seen = set(stack)
        ends: set[Config] = set()
        while stack:
            self._left -= 1
            if self._left < 0:
                raise UndecidedError
            done, config = stack.pop()
            if done == full:
                ends.add(config)
                continue
            for follower in self._followers(part, done, config):
                if follower not in seen:
                    seen.add(follower)
                    stack.append(follower)
        return ends

    def _followers(self, part: list[StockOp], done: int, config: Config) -> Iterator[tuple[int, Config]]:
        on_hand, happened = config
        # Whatever began after another one's answer cannot come before it.
        open_ = [(number, one) for number, one in enumerate(part) if not done >> number & 1]
        horizon = min(one.answered_ns or 0 for _, one in open_)
        # Of purchases of the same size the one that is answered first goes first: in any order of events that
        # has it later, the two can change places.
        takes: dict[int, tuple[int, StockOp]] = {}
        for number, one in open_:
            if one.invoked_ns > horizon:
                break
            after = _apply(one, on_hand)
            if after is None:
                continue
            if one.what != "take":
                # What changes nothing and holds now is in nobody's way: no other order needs to be tried.
                yield done | 1 << number, config
                return
            known = takes.get(one.number)
            if known is None or (one.answered_ns or 0) < (known[1].answered_ns or 0):
                takes[one.number] = (number, one)
        for number, one in takes.values():
            yield done | 1 << number, (on_hand - one.number, happened)
        yield from ((done, follower) for follower in self._optionally(config, horizon))

    def _optionally(self, config: Config, horizon: int) -> Iterator[Config]:
        """What operations without an answer may have done by then; of equal ones the first stands for all."""
        on_hand, happened = config
        tried: set[tuple[str, int, bool]] = set()
        for number, one in enumerate(self._optional):
            if number not in happened:
                kind = (one.what, one.number, one.may_return)
                after = on_hand + (one.number if one.what == "give" else -one.number)
                if one.invoked_ns <= horizon and after >= 0 and kind not in tried:
                    tried.add(kind)
                    yield after, happened | {number}
            elif one.may_return and ~number not in happened and ("return", one.number, True) not in tried:
                tried.add(("return", one.number, True))
                yield on_hand + one.number, happened | {~number}


def _apply(one: StockOp, on_hand: int) -> int | None:
    """What is left, or None if it cannot have happened then."""
    if one.what == "take":
        return on_hand - one.number if one.number <= on_hand else None
    holds = one.number > on_hand if one.what == "refuse" else one.number == on_hand
    return on_hand if holds else None
