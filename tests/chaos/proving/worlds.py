"""Runs as they could have been, from a seed: sound ones, and ones with exactly one thing wrong."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from rehearsal.chaos.proving.operations import CANCEL, LOOK, PLACE, STOCK, Operation
from rehearsal.chaos.proving.snapshot import (
    Effect,
    EventRef,
    Money,
    OrderRow,
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
_INITIAL = 1_000_000_000
_RACED = ("race-1", "race-2")


@dataclass
class World:
    """A run: what clients saw, and what is left."""

    random: random.Random
    operations: list[Operation] = field(default_factory=list)
    orders: list[OrderRow] = field(default_factory=list)
    stock: list[StockRow] = field(default_factory=list)
    money: list[Money] = field(default_factory=list)
    outbox: list[EventRef] = field(default_factory=list)
    published: list[EventRef] = field(default_factory=list)
    deliveries: list[Effect] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    raced: dict[str, int] = field(default_factory=dict)
    now: int = 1_000

    def snapshot(self) -> Snapshot:
        """As it would be collected."""
        return Snapshot(
            quiet_seconds=90.0,
            orders=tuple(self.orders),
            stock=tuple(self.stock),
            money=tuple(self.money),
            outbox=tuple(self.outbox),
            published=tuple(self.published),
            deliveries=tuple(self.deliveries),
            effects=tuple(self.effects),
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
            n for n, row in enumerate(self.orders) if row.state == state and row.lines[0][0] not in _RACED
        ]
        return int(self.pick(places))


def make(seed: int, orders: int = 40) -> World:
    """A sound run with some purchases of scarce products among others."""
    world = World(random.Random(seed))  # noqa: S311 - a seed decides all of it
    left = {product_id: world.random.randint(2, 6) for product_id in _RACED}
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
    draw = world.random.random()
    total = int(lines[0][1]) * 995
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
    state = "CONFIRMED" if number in (2, 6) else world.pick(["CONFIRMED"] * 6 + ["REJECTED", "CANCELLED"])
    if number == 7:
        state = "CANCELLED"
    if number == 8:
        state = "REJECTED"
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
        _operation(world, CANCEL, number, Kind.OK, asked={"order_id": order_id})
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
    product_id = world.pick(list(_RACED))
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
            "total_minor": 995,
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
        _order(world, own, state, lines, 995)
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
    kept = tuple((str(product_id), int(quantity)) for product_id, quantity in lines)
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


def _finish(world: World) -> None:
    sold: Counter[str] = Counter()
    for row in world.orders:
        if row.state == "CONFIRMED":
            for product_id, quantity in row.lines:
                sold[product_id] += quantity
    for product_id in [*(f"product-{number}" for number in range(1, 6)), *_RACED]:
        initial = world.raced.get(product_id, _INITIAL)
        count = sold[product_id]
        world.stock.append(StockRow(product_id, initial, initial - count, 0, count))
        if product_id not in world.raced:
            _stock_look(world, 9, product_id, initial - count)


Plant = Callable[[World], None]


def _change(world: World, place: int, **changes: Any) -> None:
    world.operations[place] = world.operations[place]._replace(**changes)


def _told(world: World) -> OrderRow:
    """An order that a client was told of."""
    keys = {one.key for one in world.operations if one.f == PLACE and one.kind is Kind.OK}
    row: OrderRow = world.pick([row for row in world.orders if row.key in keys])
    return row


def _lose_order(world: World) -> None:
    world.orders.remove(_told(world))


def _double_order(world: World) -> None:
    world.orders.append(replace(_told(world), order_id="order-again"))


def _double_row(world: World) -> None:
    world.orders.append(world.pick(world.orders))


def _tell_another(world: World) -> None:
    place = world.where(PLACE, Kind.OK)
    key = world.operations[place].key
    for number, one in enumerate(world.operations):
        if one.key == key and one.kind is Kind.OK:
            _change(world, number, answered={**one.answered, "order_id": "order-elsewhere"})


def _phantom(world: World) -> None:
    world.orders.append(replace(world.pick(world.orders), order_id="order-x", key="key-nobody"))


def _keep_refused(world: World) -> None:
    keys = {one.key for one in world.operations if one.f == PLACE and one.kind is not Kind.FAIL}
    refused = [one for one in world.operations if one.kind is Kind.FAIL and one.key and one.key not in keys]
    world.orders.append(replace(world.orders[0], order_id="order-r", key=world.pick(refused).key))


def _negative_look(world: World) -> None:
    place = world.where(STOCK, Kind.OK)
    before = world.operations[place].answered
    world.operations[place] = world.operations[place]._replace(
        answered={**before, "on_hand": -1, "sold": before["initial"] + 1}
    )


def _stock(world: World, **changes: int) -> None:
    place = world.random.randrange(len(world.stock))
    row = world.stock[place]
    world.stock[place] = replace(row, **{part: getattr(row, part) + by for part, by in changes.items()})


def _money(world: World, state: str, *movements: Money) -> None:
    row = world.orders[world.row(state)]
    world.money += [replace(one, order_id=row.order_id) for one in movements]


def _drop_money(world: World, state: str, kind: str) -> None:
    order_id = world.orders[world.row(state)].order_id
    world.money = [one for one in world.money if (one.order_id, one.kind) != (order_id, kind)]


def _wrong_money(world: World, **changes: Any) -> None:
    place = world.random.randrange(len(world.money))
    world.money[place] = replace(world.money[place], **changes)


def _lose_event(world: World) -> None:
    lost = world.pick(world.outbox)
    world.published = [event for event in world.published if event != lost]


def _lose_row(world: World) -> None:
    world.outbox.remove(world.pick(world.outbox))


def _lose_effect(world: World) -> None:
    world.effects.remove(world.pick(world.effects))


def _double_effect(world: World) -> None:
    world.effects.append(world.pick(world.effects))


def _unfounded_effect(world: World) -> None:
    world.effects.append(Effect("inventory", "nobodys-event"))


def _stick(world: World) -> None:
    place = world.random.randrange(len(world.orders))
    world.orders[place] = replace(world.orders[place], state=world.pick(["PENDING", "RESERVED"]))


def _gap(world: World) -> None:
    steps = [n for n, step in enumerate(world.transitions) if step.sequence == 1]
    del world.transitions[int(world.pick(steps))]


def _illegal(world: World) -> None:
    order_id = world.orders[world.row("REJECTED")].order_id
    world.transitions.append(Transition(order_id, 3, "CONFIRMED"))


def _backwards(world: World) -> None:
    order_id = world.orders[world.row("CONFIRMED")].order_id
    world.transitions.append(Transition(order_id, 4, "RESERVED"))


def _other_end(world: World) -> None:
    place = world.row("CONFIRMED")
    world.orders[place] = replace(world.orders[place], state="CANCELLED")


def _reuse_key(world: World) -> None:
    reused = [n for n, one in enumerate(world.operations) if one.request == "another"]
    place = int(world.pick(reused))
    key = world.operations[place].key
    told = next(one for one in world.operations if one.key == key and one.kind is Kind.OK)
    _change(world, place, kind=Kind.OK, status=201, answered=told.answered)


def _repeated(world: World) -> int:
    """The place of an answer that was not the first one of its key."""
    seen: set[str] = set()
    places = []
    for number, one in enumerate(world.operations):
        if one.f == PLACE and one.kind is Kind.OK:
            if one.key in seen:
                places.append(number)
            seen.add(one.key)
    return int(world.pick(places))


def _answer_otherwise(world: World) -> None:
    place = _repeated(world)
    answered = {**world.operations[place].answered, "order_id": "order-second"}
    _change(world, place, answered=answered)


def _refuse_repetition(world: World) -> None:
    _change(world, _repeated(world), kind=Kind.FAIL, status=422, answered={})


def _wrong_refusal(world: World) -> None:
    reused = [n for n, one in enumerate(world.operations) if one.request == "another"]
    _change(world, int(world.pick(reused)), status=400)


def _not_read(world: World) -> None:
    _change(world, world.where(LOOK, Kind.OK), kind=Kind.FAIL, status=404, answered={})


def _go_back(world: World) -> None:
    looks: dict[str, list[int]] = {}
    for number, one in enumerate(world.operations):
        if one.f == LOOK:
            looks.setdefault(one.order_id, []).append(number)
    place = world.pick([places[-1] for places in looks.values() if len(places) > 1])
    one = world.operations[place]
    _change(world, place, answered={**one.answered, "state": "PENDING"})


def _raced_looks(world: World, state: str) -> list[int]:
    raced = {row.order_id for row in world.orders if row.lines[0][0] in _RACED}
    return [
        n
        for n, one in enumerate(world.operations)
        if one.f == LOOK and one.order_id in raced and one.answered["state"] == state
    ]


def _oversell(world: World) -> None:
    for place in _raced_looks(world, "REJECTED")[:1]:
        one = world.operations[place]
        _change(world, place, answered={"order_id": one.order_id, "state": "CONFIRMED"})


def _refuse_with_stock(world: World) -> None:
    place = _raced_looks(world, "CONFIRMED")[0]
    one = world.operations[place]
    refused = {"order_id": one.order_id, "state": "REJECTED", "reason": "out-of-stock"}
    _change(world, place, answered=refused)


def _stale_stock(world: World) -> None:
    looks = [
        n for n, one in enumerate(world.operations) if one.f == STOCK and one.asked["product_id"] in _RACED
    ]
    place = int(world.pick(looks))
    answered = world.operations[place].answered
    stale = {**answered, "on_hand": answered["on_hand"] + 1, "sold": answered["sold"] - 1}
    _change(world, place, answered=stale)


_CAPTURE = Money("", "capture", 995, "EUR")
PLANTS: dict[str, tuple[str, Plant]] = {
    "lost order": ("I1", _lose_order),
    "doubled order": ("I1", _double_order),
    "doubled row": ("I1", _double_row),
    "another order": ("I1", _tell_another),
    "phantom": ("I2", _phantom),
    "refused exists": ("I2", _keep_refused),
    "negative look": ("I3", _negative_look),
    "stock made": ("I3", lambda world: _stock(world, on_hand=1)),
    "stock lost": ("I3", lambda world: _stock(world, on_hand=-1)),
    "sold without order": ("I3", lambda world: _stock(world, sold=1, on_hand=-1)),
    "held back": ("I3", lambda world: _stock(world, reserved=1, on_hand=-1)),
    "charged twice": ("I4", lambda world: _money(world, "CONFIRMED", _CAPTURE)),
    "charged and refunded twice": (
        "I4",
        lambda world: _money(world, "CONFIRMED", _CAPTURE, replace(_CAPTURE, kind="refund")),
    ),
    "charged though rejected": ("I4", lambda world: _money(world, "REJECTED", _CAPTURE)),
    "not charged": ("I4", lambda world: _drop_money(world, "CONFIRMED", "capture")),
    "not refunded": ("I4", lambda world: _drop_money(world, "CANCELLED", "refund")),
    "wrong amount": ("I4", lambda world: _wrong_money(world, amount_minor=1)),
    "wrong currency": ("I4", lambda world: _wrong_money(world, currency="USD")),
    "charged for nothing": ("I4", lambda world: _wrong_money(world, order_id="order-nobody")),
    "event lost": ("I5", _lose_event),
    "event unfounded": ("I5", _lose_row),
    "effect lost": ("I6", _lose_effect),
    "effect doubled": ("I6", _double_effect),
    "effect unfounded": ("I6", _unfounded_effect),
    "stuck": ("I7", _stick),
    "gap": ("I8", _gap),
    "illegal step": ("I8", _illegal),
    "step back": ("I8", _backwards),
    "other end": ("I8", _other_end),
    "key reused": ("I9", _reuse_key),
    "answered otherwise": ("I9", _answer_otherwise),
    "repetition refused": ("I9", _refuse_repetition),
    "wrong refusal": ("I9", _wrong_refusal),
    "not read": ("I10", _not_read),
    "went back": ("I10", _go_back),
    "oversold": ("I13", _oversell),
    "refused with stock": ("I13", _refuse_with_stock),
    "stale stock": ("I13", _stale_stock),
}
