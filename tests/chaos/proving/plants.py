"""What can be wrong with a run: each plant spoils a sound one in exactly one way, and names the invariant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rehearsal.chaos.proving.operations import CANCEL, LOOK, PLACE, STOCK
from rehearsal.chaos.proving.snapshot import Effect, Money, OrderRow, Transition
from rehearsal.shop.answers import Kind

from tests.chaos.proving.worlds import PRICE_MINOR, RACED, World

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


def _misprice(world: World) -> None:
    """All agree on a price that the product never had."""
    row = world.orders[world.row("CONFIRMED")]
    line = row.lines[0]._replace(unit_price_minor=1)
    cheap = replace(row, total_minor=line.quantity, lines=(line,))
    world.orders[world.orders.index(row)] = cheap
    paid = Money(row.order_id, "capture", cheap.total_minor, "EUR")
    world.money = [paid if one.order_id == row.order_id else one for one in world.money]


def _wrong_total(world: World) -> None:
    """The order's total is not that of its lines, and is paid."""
    row = world.orders[world.row("CONFIRMED")]
    world.orders[world.orders.index(row)] = replace(row, total_minor=row.total_minor + 1)
    paid = Money(row.order_id, "capture", row.total_minor + 1, "EUR")
    world.money = [paid if one.order_id == row.order_id else one for one in world.money]


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


def _acknowledge_only(world: World) -> None:
    world.taken.remove(world.pick(world.taken))


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


def _lose_cancel(world: World) -> None:
    """An order that a client was told is cancelled lives on."""
    place = world.where(CANCEL, Kind.OK)
    order_id = world.operations[place].order_id
    for number in range(place + 1, len(world.operations)):
        one = world.operations[number]
        if one.f == LOOK and one.order_id == order_id:
            _change(world, number, answered={**one.answered, "state": "CONFIRMED"})


def _raced_looks(world: World, state: str) -> list[int]:
    raced = {row.order_id for row in world.orders if row.lines[0].product_id in RACED}
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
        n for n, one in enumerate(world.operations) if one.f == STOCK and one.asked["product_id"] in RACED
    ]
    place = int(world.pick(looks))
    answered = world.operations[place].answered
    stale = {**answered, "on_hand": answered["on_hand"] + 1, "sold": answered["sold"] - 1}
    _change(world, place, answered=stale)


_CAPTURE = Money("", "capture", PRICE_MINOR, "EUR")
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
    "price from nowhere": ("I4", _misprice),
    "total from nowhere": ("I4", _wrong_total),
    "event lost": ("I5", _lose_event),
    "event unfounded": ("I5", _lose_row),
    "effect lost": ("I6", _lose_effect),
    "effect doubled": ("I6", _double_effect),
    "effect unfounded": ("I6", _unfounded_effect),
    "acknowledged and not taken": ("I14", _acknowledge_only),
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
    "cancel lost": ("I10", _lose_cancel),
    "oversold": ("I13", _oversell),
    "refused with stock": ("I13", _refuse_with_stock),
    "stale stock": ("I13", _stale_stock),
}
