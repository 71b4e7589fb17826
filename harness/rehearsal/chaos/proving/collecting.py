"""From rows, topics and the provider's ledger to what the checkers want. Pure, but for its source.

Others may use the same shop: a scope says whose orders are judged. What belongs to other orders is left out;
what belongs to no order at all stays in, because it should not be there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol, TypeAlias

from rehearsal.chaos.proving.effects import Ledgers, account_for
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

Row: TypeAlias = Sequence[Any]

WITH_DATABASE: Final = ("product", "inventory", "payment", "order")
TOPICS: Final = ("orders", "inventory", "payments", "products")


@dataclass(frozen=True, slots=True)
class Consumer:
    """Who reads topics: which ones, which of their events it takes, and whose database has its inbox."""

    database: str
    topics: tuple[str, ...]
    types: frozenset[str]


def _types(*names: str) -> frozenset[str]:
    return frozenset(f"com.mambogo.{name}.v1" for name in names)


# services/README.md, "Events"; contract-tests/consumers has the same for programs.
CONSUMERS: Final = {
    "order-service": Consumer(
        "order",
        ("inventory", "payments"),
        _types(
            "inventory.expired",
            "inventory.lost",
            "inventory.refused",
            "inventory.reserved",
            "payment.captured",
            "payment.declined",
            "payment.refunded",
        ),
    ),
    "inventory-service": Consumer(
        "inventory",
        ("orders",),
        _types("order.cancelled", "order.confirmed", "order.placed", "order.rejected"),
    ),
    "payment-service": Consumer(
        "payment", ("orders",), _types("order.cancelled", "order.rejected", "order.reserved")
    ),
}

_MONEY: Final[dict[str, Literal["capture", "refund"]]] = {"captured": "capture", "refunded": "refund"}
_STATES: Final = {
    "com.mambogo.order.placed.v1": "PENDING",
    "com.mambogo.order.reserved.v1": "RESERVED",
    "com.mambogo.order.confirmed.v1": "CONFIRMED",
    "com.mambogo.order.rejected.v1": "REJECTED",
    "com.mambogo.order.cancelled.v1": "CANCELLED",
}
# One version of one cart is one order; a shopper knows the cart.
_CART_KEY: Final = re.compile(r"(?P<cart>cart-[0-9a-f-]{36})-\d+")
_ORDERS: Final = """
SELECT o.order_id::text AS id, o.user_id,
       (extract(epoch FROM o.placed_at) * 1000000)::bigint * 1000 AS placed,
       o.state, o.currency, o.total_minor,
       (SELECT array_agg(ARRAY[l.product_id::text, l.quantity::text, l.unit_price_minor::text])
        FROM order_lines AS l WHERE l.order_id = o.order_id) AS lines
FROM orders AS o
"""
_KEYS: Final = "SELECT user_id, key, convert_from(body, 'UTF8') AS body FROM idempotency WHERE status = 201"
_PRICES: Final = """
SELECT product_id::text, price_minor, (extract(epoch FROM valid_from) * 1000000)::bigint * 1000 AS since
FROM price
"""
_STOCK: Final = "SELECT product_id::text, initial, on_hand, reserved, sold FROM stock"
_MOVEMENTS: Final = "SELECT order_id::text, product_id::text, kind FROM movement WHERE order_id IS NOT NULL"
_PAYMENTS: Final = "SELECT payment_id::text, order_id::text FROM payment"
_REFUNDS: Final = "SELECT order_id::text, refund_id::text FROM order_refunds"
_OUTBOX: Final = "SELECT topic, event_id FROM outbox"
_INBOX: Final = "SELECT event_id FROM inbox"


class Source(Protocol):
    """Where everything is. All services are quiet when it is asked."""

    def rows(self, service: str, query: str) -> Sequence[Row]:
        """Return the rows of a query on a service's database; every column has a name."""

    def outbox_topic(self, topic: str) -> str:
        """Return the name that the shop has for a topic of an outbox."""

    def published(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Yield every record of every topic with the topic's name in the shop, copies included."""

    def ledger(self) -> Sequence[Mapping[str, Any]]:
        """Return everything in the provider's books."""

    def lag(self, service: str, topics: Sequence[str]) -> int:
        """Return how many records of some topics a service has not acknowledged yet."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose orders are judged: of those who sent any of these keys, since a moment; without keys, of all."""

    keys: frozenset[str] | None = None
    since_ns: int = 0


EVERYBODY: Final = Scope()


@dataclass(frozen=True, slots=True)
class _Orders:
    own: tuple[OrderRow, ...]
    foreign: frozenset[str]
    foreign_products: frozenset[str]


def collect(
    source: Source,
    *,
    quiet_seconds: float,
    raced: Mapping[str, int],
    scope: Scope = EVERYBODY,
    keys_by_user: bool = True,
) -> Snapshot:
    """Read everything.

    `raced` are the products of which every sale is in the history, with their units at its beginning. A key
    is its user's alone; the history has it as `user/key` if `keys_by_user`.
    """
    orders = _orders(source, scope, keys_by_user=keys_by_user)
    published = [(topic, event) for topic, event in source.published()]
    # After the topics and before the inboxes: what is there was acknowledged, and taken before that.
    is_behind = any(source.lag(name, one.topics) for name, one in CONSUMERS.items())
    steps = tuple(
        step for step in steps_of(event for topic, event in published if topic == "orders")
        if step.order_id not in orders.foreign
    )  # fmt: skip
    committed = [(source.outbox_topic(topic), str(id_)) for topic, id_ in _outbox(source)]
    before = {str(event["id"]) for _, event in published if _time_ns(event) < scope.since_ns}
    ledger = movements_of(source.ledger(), {str(a): str(b) for a, b in source.rows("payment", _PAYMENTS)})
    money = [(one, name) for one, name in ledger if one.order_id not in orders.foreign]
    account = account_for(
        steps,
        {row.order_id: [line.product_id for line in row.lines] for row in orders.own},
        Ledgers(
            movements=[
                (order, product, kind)
                for order, product, kind in source.rows("inventory", _MOVEMENTS)
                if order not in orders.foreign
            ],
            payments=[(one.order_id, one.kind) for one, _ in money],
            refunds=[(one.order_id, name) for one, name in money if one.kind == "refund"],
            counted_refunds=[
                (order, refund)
                for order, refund in source.rows("order", _REFUNDS)
                if order not in orders.foreign
            ],
        ),
    )
    return Snapshot(
        quiet_seconds=quiet_seconds,
        orders=orders.own,
        prices=tuple(PriceRow(*row) for row in source.rows("product", _PRICES)),
        stock=tuple(
            StockRow(*row)
            for row in source.rows("inventory", _STOCK)
            if row[0] not in orders.foreign_products
        ),
        money=tuple(one for one, _ in money),
        outbox=tuple(
            EventRef(topic, id_) for topic, id_ in committed if topic in TOPICS and id_ not in before
        ),
        published=tuple(
            EventRef(topic, str(event["id"])) for topic, event in published if str(event["id"]) not in before
        ),
        deliveries=(*account.due, *_buried(committed, before)),
        effects=account.done,
        acknowledged=None if is_behind else tuple(_acknowledged(published, before, orders.foreign)),
        taken=tuple(
            Effect(name, row[0])
            for name, one in CONSUMERS.items()
            for row in source.rows(one.database, _INBOX)
        ),
        transitions=steps,
        raced=dict(raced),
    )


def _orders(source: Source, scope: Scope, *, keys_by_user: bool) -> _Orders:
    keys: dict[str, str] = {}
    users: set[str] = set()
    for user, sent, body in source.rows("order", _KEYS):
        key = key_of(user, sent) if keys_by_user else _own(sent)
        if scope.keys is not None and key in scope.keys:
            users.add(user)
        if order_id := json.loads(body).get("order_id"):
            keys[order_id] = key
    own: list[OrderRow] = []
    foreign: set[str] = set()
    products: set[str] = set()
    for order_id, user, placed_ns, state, currency, total, lines in source.rows("order", _ORDERS):
        kept = tuple(Line(product_id, int(many), int(price)) for product_id, many, price in lines or ())
        if (scope.keys is None or user in users) and int(placed_ns) >= scope.since_ns:
            own.append(OrderRow(order_id, keys.get(order_id, ""), state, currency, total, kept))
        else:
            foreign.add(order_id)
            products.update(line.product_id for line in kept)
    return _Orders(tuple(own), frozenset(foreign), frozenset(products))


def key_of(user: str, key: str) -> str:
    """An order's key as the history has it: it is its user's alone, and a cart's is the cart."""
    return f"{user}/{_own(key)}"


def _own(key: str) -> str:
    cart = _CART_KEY.fullmatch(key)
    return cart["cart"] if cart else key


def movements_of(ledger: Sequence[Mapping[str, Any]], orders: Mapping[str, str]) -> list[tuple[Money, str]]:
    """The ledger's movements by order, each with the key that it was asked for under: a refund's own name.

    `orders` says whose a payment is; one that nobody knows keeps the provider's name.
    """
    found = []
    for entry in ledger:
        kind = _MONEY.get(entry["kind"])
        if kind is not None:
            order_id = orders.get(entry["reference"], entry["reference"])
            money = Money(order_id, kind, entry["amount_minor"], entry["currency"])
            found.append((money, entry["idempotency_key"]))
    return found


def steps_of(events: Iterable[Mapping[str, Any]]) -> tuple[Transition, ...]:
    """The orders' steps as everybody was told of them; copies of an event are one step."""
    steps = {
        (
            event["id"],
            Transition(event["data"]["order_id"], event["data"]["sequence"], _STATES[event["type"]]),
        )
        for event in events
    }
    return tuple(step for _, step in steps)


def _outbox(source: Source) -> Iterator[Row]:
    for service in WITH_DATABASE:
        yield from source.rows(service, _OUTBOX)


def _acknowledged(
    published: Sequence[tuple[str, Mapping[str, Any]]], before: set[str], foreign: frozenset[str]
) -> Iterator[Effect]:
    """What each consumer takes of the published events; it is behind none of them."""
    for topic, event in published:
        if event["id"] in before or event["data"].get("order_id") in foreign:
            continue
        for name, consumer in CONSUMERS.items():
            if topic in consumer.topics and event["type"] in consumer.types:
                yield Effect(name, str(event["id"]))


def _buried(committed: Sequence[tuple[str, str]], before: set[str]) -> Iterator[Effect]:
    """A dead letter is an event that came to nothing: due, and never done."""
    for topic, event_id in committed:
        if topic.endswith(".dlt") and event_id not in before:
            yield Effect(topic, event_id)


def _time_ns(event: Mapping[str, Any]) -> int:
    """When an event says that it happened (CloudEvents `time`)."""
    return int(datetime.fromisoformat(event["time"]).timestamp() * 1_000_000) * 1000
