"""Nothing is made and nothing is lost: stock (I3) and money (I4)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from rehearsal.chaos.proving.findings import Invariant, Result, Violation, judge, unseen
from rehearsal.chaos.proving.operations import OK, PLACE, STOCK, Operation
from rehearsal.chaos.proving.snapshot import ENDED, Line, Money, OrderRow, PriceRow, Snapshot, StockRow

I3: Final = Invariant("I3", "Stock never runs below zero and always adds up")
I4: Final = Invariant("I4", "A confirmed order is paid once and in full, every other one not at all")

_PARTS: Final = ("initial", "on_hand", "reserved", "sold")
# A price begins with the transaction that writes it, and is read from its commit on: no transaction may last
# longer (the chassis' bound).
_COMMIT_NS: Final = 5_000_000_000
_FOR_EVER_NS: Final = 1 << 63


def stock_adds_up(operations: Sequence[Operation], snapshot: Snapshot) -> Result:
    """I3: in every look and at the end; then what is sold is what was confirmed, and nothing is held back."""
    if snapshot.stock is None or snapshot.orders is None:
        return unseen(I3, "stock or orders were not collected")
    violations: list[Violation] = []
    looked = len(snapshot.stock)
    for one in operations:
        if one.f == STOCK and one.kind is OK:
            looked += 1
            numbers = [int(one.answered[part]) for part in _PARTS]
            product_id = str(one.asked.get("product_id"))
            violations += _unsound(StockRow(product_id, *numbers), "in a look")
    confirmed: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for row in snapshot.orders:
        into = confirmed if row.state == "CONFIRMED" else held if row.state not in ENDED else None
        if into is not None:
            for line in row.lines:
                into[line.product_id] += line.quantity
    for stock in snapshot.stock:
        violations += _unsound(stock, "at the end")
        violations += _against_orders(stock, confirmed[stock.product_id], held[stock.product_id])
    known = {stock.product_id for stock in snapshot.stock}
    violations += [
        Violation("I3", "sold-unknown", product_id, "a product with stock", f"{count} sold of none")
        for product_id, count in confirmed.items()
        if product_id not in known
    ]
    return judge(I3, looked if snapshot.stock else 0, violations)


def _unsound(stock: StockRow, when: str) -> Iterator[Violation]:
    parts = f"{stock.on_hand} on hand, {stock.reserved} reserved, {stock.sold} sold of {stock.initial} {when}"
    if min(stock.on_hand, stock.reserved, stock.sold) < 0:
        yield Violation("I3", "negative", stock.product_id, "nothing below zero", parts)
    if stock.initial != stock.on_hand + stock.reserved + stock.sold:
        yield Violation("I3", "sum", stock.product_id, "initial = on hand + reserved + sold", parts)


def _against_orders(stock: StockRow, confirmed: int, held: int) -> Iterator[Violation]:
    if stock.sold != confirmed:
        yield Violation("I3", "sold", stock.product_id, f"{confirmed} sold", f"{stock.sold} sold")
    # An order that has not ended may or may not hold stock yet.
    if stock.reserved > held:
        yield Violation("I3", "reserved", stock.product_id, f"{held} reserved", f"{stock.reserved} reserved")


def money_adds_up(operations: Sequence[Operation], snapshot: Snapshot) -> Result:
    """I4: captures less refunds are the total of a confirmed order, else nothing; one capture at most.

    The total is made of prices that the products had when the order was placed.
    """
    if snapshot.orders is None or snapshot.money is None or snapshot.prices is None:
        return unseen(I4, "orders, prices or the provider's ledger were not collected")
    moved: defaultdict[str, list[Money]] = defaultdict(list)
    for one in snapshot.money:
        moved[one.order_id].append(one)
    violations = _mispriced(operations, snapshot.orders, snapshot.prices)
    paid = 0
    for row in snapshot.orders:
        movements = moved.pop(row.order_id, [])
        paid += bool(movements)
        if (movements or row.state == "CONFIRMED") and not _is_paid_once(row, movements):
            violations += _of_order(row, movements)
    for order_id, movements in moved.items():
        net = _net(movements)
        violations.append(Violation("I4", "no-order", order_id, "no movement", f"{net} taken for no order"))
    return judge(I4, len(snapshot.orders) if paid else 0, violations)


def _mispriced(
    operations: Sequence[Operation], orders: Sequence[OrderRow], prices: Sequence[PriceRow]
) -> list[Violation]:
    known: defaultdict[str, list[PriceRow]] = defaultdict(list)
    for price in sorted(prices, key=lambda one: one.since_ns):
        known[price.product_id].append(price)
    asked = _placements(operations)
    violations: list[Violation] = []
    for row in orders:
        total, window = 0, asked.get(row.key)
        for line in row.lines:
            total += line.quantity * line.unit_price_minor
            if window is not None and not _was_price(line, known.get(line.product_id, []), window):
                violations.append(_at_no_price(row.order_id, line, known.get(line.product_id, []), window))
        if row.total_minor != total:
            violations.append(Violation("I4", "total", row.order_id, str(total), str(row.total_minor)))
    return violations


def _placements(operations: Sequence[Operation]) -> dict[str, tuple[int, int]]:
    """From when to when each key's order can have been placed."""
    found: dict[str, tuple[int, int]] = {}
    for one in operations:
        if one.f == PLACE:
            placed = one.answered_ns if one.kind is OK and one.answered_ns else _FOR_EVER_NS
            known = found.get(one.key)
            if known is None:
                found[one.key] = (one.invoked_ns, placed)
            elif placed < known[1]:
                found[one.key] = (known[0], placed)
    return found


def _was_price(line: Line, prices: Sequence[PriceRow], window: tuple[int, int]) -> bool:
    """Whether the product cost that at some moment at which the order can have been placed."""
    begun, placed = window
    end = _FOR_EVER_NS
    for price in reversed(prices):
        if price.price_minor == line.unit_price_minor and price.since_ns <= placed and begun <= end:
            return True
        end = price.since_ns + _COMMIT_NS
    return False


def _at_no_price(order_id: str, line: Line, prices: Sequence[PriceRow], window: tuple[int, int]) -> Violation:
    there = {price.price_minor for price in prices}
    allowed = [
        price for price in sorted(there) if _was_price(line._replace(unit_price_minor=price), prices, window)
    ]
    expected = " or ".join(map(str, allowed)) or "no sale"
    return Violation("I4", "price", order_id, expected, f"{line.unit_price_minor} for {line.product_id}")


def _is_paid_once(row: OrderRow, movements: list[Money]) -> bool:
    """The usual case, which needs no closer look."""
    if len(movements) != 1 or row.state != "CONFIRMED":
        return False
    only = movements[0]
    return (
        only.kind == "capture"
        and only.amount_minor == row.total_minor
        and only.amount_minor > 0
        and only.currency == row.currency
    )


def _of_order(row: OrderRow, movements: list[Money]) -> Iterator[Violation]:
    captures = sum(one.kind == "capture" for one in movements)
    if captures > 1:
        yield Violation("I4", "charged-twice", row.order_id, "one capture", f"{captures} captures")
    for one in movements:
        if one.amount_minor <= 0 or one.currency != row.currency:
            what = f"{one.kind} of {one.amount_minor} {one.currency}"
            yield Violation("I4", "amount", row.order_id, f"an amount in {row.currency}", what)
    due = row.total_minor if row.state == "CONFIRMED" else 0
    # An order that has not ended may be paid already, or not yet.
    allowed = {due} if row.state in ENDED else {0, row.total_minor}
    if (net := _net(movements)) not in allowed:
        expected = f"{' or '.join(str(amount) for amount in sorted(allowed))} for {row.state}"
        yield Violation("I4", "net", row.order_id, expected, str(net))


def _net(movements: list[Money]) -> int:
    return sum(one.amount_minor if one.kind == "capture" else -one.amount_minor for one in movements)
