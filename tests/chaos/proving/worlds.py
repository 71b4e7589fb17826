"""Sound runs as they could have been, from a seed. What can be wrong with one is `plants`'."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rehearsal.chaos.proving.operations import CANCEL, LOOK, PLACE, STOCK, Operation
from rehearsal.chaos.proving.snapshot import (
    Effect,
    EventRef,
    Line,
    Money,
    OrderRow,
    PriceRow,
    Snapshot,
    StockRow,
    Transition,
)
from rehearsal.shop.answers import Kind

_CONSUMERS = {"orders": ("inventory", "payment"), "inventory": ("order",), "payments": ("order",)}
_PATHS = {
    "CONFIRMED": ["PENDING", "RESERVED", "CONFIRMED"],
    "REJECTED": ["PENDING", "REJECTED"],
    "CANCELLED": ["PENDING", "RESERVED", "CONFIRMED", "CANCELLED"],
}
_CERTAIN = {2: "CONFIRMED", 6: "CONFIRMED", 7: "CANCELLED", 8: "REJECTED"}
_INITIAL = 1_000_000_000
RACED = ("race-1", "race-2")
# Each product's first price, and the one that it has from a moment on that no order is placed near.
PRICE_MINOR = 995
_LATER_PRICE_MINOR = 1095


@dataclass
class World:
    """A run: what clients saw, and what is left."""

    random: random.Random
    operations: list[Operation] = field(default_factory=list)
    orders: list[OrderRow] = field(default_factory=list)
    prices: list[PriceRow] = field(default_factory=list)
    stock: list[StockRow] = field(default_factory=list)
    money: list[Money] = field(default_factory=list)
    outbox: list[EventRef] = field(default_factory=list)
    published: list[EventRef] = field(default_factory=list)
    deliveries: list[Effect] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    acknowledged: list[Effect] = field(default_factory=list)
    taken: list[Effect] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    raced: dict[str, int] = field(default_factory=dict)
    now: int = 1_000

    def snapshot(self) -> Snapshot:
        """As it would be collected."""
        return Snapshot(
            quiet_seconds=90.0,
            orders=tuple(self.orders),
            prices=tuple(self.prices),
            stock=tuple(self.stock),
            money=tuple(self.money),
            outbox=tuple(self.outbox),
            published=tuple(self.published),
            deliveries=tuple(self.deliveries),
            effects=tuple(self.effects),
            acknowledged=tuple(self.acknowledged),
            taken=tuple(self.taken),
            transitions=tuple(self.transitions),
            raced=self.raced,
        )

    def pick(self, choices: list[Any]) -> Any:
        """One of several, by the seed."""
        return self.random.choice(choices)

    def where(self, f: str, kind: Kind) -> int:
        """The place of an operation of that kind."""
        return int(self.pick([n for n, one in enumerate(self.operations) if (one.f, one.kind) == (f, kind)]))

    def row(self, state: str) -> int:
        """The place of an order in that state, not one of those that were raced for."""
        places = [
            n
            for n, row in enumerate(self.orders)
            if row.state == state and row.lines[0].product_id not in RACED
        ]
        return int(self.pick(places))


def make(seed: int, orders: int = 40) -> World:
    """A sound run with some purchases of scarce products among others."""
    world = World(random.Random(seed))  # noqa: S311 - a seed decides all of it
    left = {product_id: world.random.randint(2, 6) for product_id in RACED}
    world.raced = dict(left)
    for number in range(orders):
        world.now += world.random.randint(10, 400)
        if number % 4 == 1 and number < 60:
            _race(world, number, left)
        else:
            _buy(world, number)
    _finish(world)
    world.operations.sort(key=lambda one: one.invoked_ns)
    return world


def _operation(world: World, f: str, number: int, kind: Kind, **fields: Any) -> Operation:
    begin = world.now
    length = world.random.randint(5, 300)
    used: dict[str, Any] = {
        "f": f,
        "process": f"p{number % 8}",
        "op_id": f"op-{number}",
        "key": "",
        "request": "",
        "kind": kind,
        "status": {Kind.OK: 200, Kind.FAIL: 409, Kind.INFO: None}[kind],
        "invoked_ns": begin,
        "answered_ns": None if kind is Kind.INFO else begin + length,
        "asked": {},
        "answered": {},
        **fields,
    }
    made = Operation(**used)
    world.operations.append(made)
    return made


def _buy(world: World, number: int) -> None:
    lines: list[list[Any]] = [[f"product-{world.random.randint(1, 5)}", world.random.randint(1, 3)]]
    asked = {"lines": lines}
    said = {"key": f"key-{number}", "request": f"hash-{number}", "asked": asked}
    # The orders of a state that every world needs are placed and their clients told, whatever is drawn.
    draw = world.random.uniform(0.2, 1.0) if number in _CERTAIN else world.random.random()
    total = int(lines[0][1]) * PRICE_MINOR
    answered = {"order_id": f"order-{number}", "total_minor": total, "currency": "EUR", "state": "PENDING"}
    if draw < 0.06 or number == 4:
        _operation(world, PLACE, number, Kind.FAIL, **{**said, "status": 422})
        return
    if draw < 0.2 or number == 3:
        _operation(world, PLACE, number, Kind.INFO, **said)
        world.now += 320
        if draw < 0.09:
            return
    told = draw >= 0.12
    if told:
        placed = _operation(world, PLACE, number, Kind.OK, **{**said, "answered": answered, "status": 201})
        world.now = (placed.answered_ns or 0) + 1
    state = _CERTAIN.get(number) or world.pick(["CONFIRMED"] * 6 + ["REJECTED", "CANCELLED"])
    _order(world, number, state, lines, total)
    if told:
        _look_after(world, number, state, said, answered)


def _look_after(
    world: World, number: int, state: str, said: dict[str, Any], answered: dict[str, Any]
) -> None:
    if number % 3 == 0 or number == 2:
        again = {**said, "answered": answered, "status": 201}
        world.now = (_operation(world, PLACE, number, Kind.OK, **again).answered_ns or 0) + 1
    if number % 7 == 0 or number == 2:
        other = {**said, "request": "another", "status": 422}
        world.now = (_operation(world, PLACE, number, Kind.FAIL, **other).answered_ns or 0) + 1
    order_id = f"order-{number}"
    if state == "CANCELLED":
        _look(world, number, "CONFIRMED")
        answered = {"order_id": order_id, "state": "CANCELLED"}
        _operation(world, CANCEL, number, Kind.OK, asked={"order_id": order_id}, answered=answered)
        world.now += 310
    _look(world, number, state)
    _look(world, number, state)


def _look(world: World, number: int, state: str, reason: str = "payment-declined") -> Operation:
    answered = {"order_id": f"order-{number}", "state": state}
    if state == "REJECTED":
        answered["reason"] = reason
    made = _operation(world, LOOK, number, Kind.OK, asked={"order_id": f"order-{number}"}, answered=answered)
    world.now = (made.answered_ns or 0) + 1
    return made


def _race(world: World, number: int, left: dict[str, int]) -> None:
    """A crowd of three for a scarce product: all begin, all end, somewhere between each takes its unit."""
    product_id = world.pick(list(RACED))
    begin, outcomes = world.now, []
    for place in range(3):
        own = 1_000_000_000 + number * 10 + place
        sold = left[product_id] > 0
        left[product_id] -= sold
        outcomes.append((own, "CONFIRMED" if sold else "REJECTED"))
    lines = [[product_id, 1]]
    for own, _ in outcomes:
        world.now = begin + world.random.randint(0, 50)
        answered = {
            "order_id": f"order-{own}",
            "total_minor": PRICE_MINOR,
            "currency": "EUR",
            "state": "PENDING",
        }
        _operation(
            world,
            PLACE,
            own,
            Kind.OK,
            key=f"key-{own}",
            request=f"hash-{own}",
            asked={"lines": lines},
            answered=answered,
            status=201,
        )
    world.now = begin + 400
    for own, state in outcomes:
        _order(world, own, state, lines, PRICE_MINOR)
        _look(world, own, state, "out-of-stock")
    _stock_look(world, number, product_id, left[product_id])
    world.now += 400


def _stock_look(world: World, number: int, product_id: str, on_hand: int) -> None:
    initial = world.raced.get(product_id, _INITIAL)
    made = _operation(
        world,
        STOCK,
        number,
        Kind.OK,
        asked={"product_id": product_id},
        answered={"initial": initial, "on_hand": on_hand, "reserved": 0, "sold": initial - on_hand},
    )
    world.now = (made.answered_ns or 0) + 1


def _order(world: World, number: int, state: str, lines: list[list[Any]], total: int) -> None:
    order_id = f"order-{number}"
    kept = tuple(Line(str(product_id), int(quantity), PRICE_MINOR) for product_id, quantity in lines)
    world.orders.append(OrderRow(order_id, f"key-{number}", state, "EUR", total, kept))
    for sequence, step in enumerate(_PATHS[state], 1):
        world.transitions.append(Transition(order_id, sequence, step))
    if state != "REJECTED":
        world.money.append(Money(order_id, "capture", total, "EUR"))
    if state == "CANCELLED":
        world.money.append(Money(order_id, "refund", total, "EUR"))
    for topic, consumers in _CONSUMERS.items():
        event = EventRef(topic, f"{topic}-{number}")
        world.outbox.append(event)
        world.published += [event] * (2 if world.random.random() < 0.1 else 1)
        for consumer in consumers:
            world.deliveries.append(Effect(consumer, event.event_id))
            world.effects.append(Effect(consumer, event.event_id))
            world.acknowledged.append(Effect(consumer, event.event_id))
            world.taken.append(Effect(consumer, event.event_id))


def _finish(world: World) -> None:
    sold: Counter[str] = Counter()
    for row in world.orders:
        if row.state == "CONFIRMED":
            for line in row.lines:
                sold[line.product_id] += line.quantity
    for product_id in [*(f"product-{number}" for number in range(1, 6)), *RACED]:
        initial = world.raced.get(product_id, _INITIAL)
        count = sold[product_id]
        world.stock.append(StockRow(product_id, initial, initial - count, 0, count))
        world.prices.append(PriceRow(product_id, PRICE_MINOR, 0))
        world.prices.append(PriceRow(product_id, _LATER_PRICE_MINOR, world.now + 1))
        if product_id not in world.raced:
            _stock_look(world, 9, product_id, initial - count)
