"""What is left: rows, topics and the provider's ledger, as the checkers want them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
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

from mambogo_audit.effects import Ledgers, account_for
from mambogo_audit.parts import TOPICS, WITH_DATABASE, Parts

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
_POLL_SECONDS: Final = 5.0
_ORDERS: Final = """
SELECT o.order_id::text, o.state, o.currency, o.total_minor,
       (SELECT array_agg(ARRAY[l.product_id::text, l.quantity::text, l.unit_price_minor::text])
        FROM order_lines AS l WHERE l.order_id = o.order_id)
FROM orders AS o
"""
_KEYS: Final = "SELECT user_id, key, body FROM idempotency WHERE status = 201"
_PRICES: Final = """
SELECT product_id::text, price_minor, (extract(epoch FROM valid_from) * 1000000)::bigint * 1000 FROM price
"""
_STOCK: Final = "SELECT product_id::text, initial, on_hand, reserved, sold FROM stock"
_MOVEMENTS: Final = "SELECT order_id::text, product_id::text, kind FROM movement WHERE order_id IS NOT NULL"
_PAYMENTS: Final = "SELECT payment_id::text, order_id::text FROM payment"
_REFUNDS: Final = "SELECT order_id::text, refund_id::text FROM order_refunds"
_OUTBOX: Final = "SELECT topic, event_id FROM outbox"


def collect(
    parts: Parts, ledger: list[dict[str, Any]], *, quiet_seconds: float, raced: Mapping[str, int]
) -> Snapshot:
    """Read everything; all services are quiet."""
    published = list(_published(parts))
    orders = tuple(_orders(parts))
    steps = steps_of(event for topic, event in published if topic == "orders")
    committed = list(_outbox(parts))
    money = movements_of(ledger, dict(_rows(parts, "payment", _PAYMENTS)))
    account = account_for(
        steps,
        {row.order_id: [line.product_id for line in row.lines] for row in orders},
        Ledgers(
            movements=_rows(parts, "inventory", _MOVEMENTS),
            payments=[(one.order_id, one.kind) for one, _ in money],
            refunds=[(one.order_id, name) for one, name in money if one.kind == "refund"],
            counted_refunds=_rows(parts, "order", _REFUNDS),
        ),
    )
    return Snapshot(
        quiet_seconds=quiet_seconds,
        orders=orders,
        prices=tuple(PriceRow(*row) for row in _rows(parts, "product", _PRICES)),
        stock=tuple(StockRow(*row) for row in _rows(parts, "inventory", _STOCK)),
        money=tuple(one for one, _ in money),
        outbox=tuple(EventRef(topic, id_) for topic, id_ in committed if topic in TOPICS),
        published=tuple(EventRef(topic, str(event["id"])) for topic, event in published),
        deliveries=(*account.due, *_buried(committed)),
        effects=account.done,
        transitions=steps,
        raced=dict(raced),
    )


def _rows(parts: Parts, name: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(parts.databases[name].dsn) as connection:
        return connection.execute(query.encode()).fetchall()


def _orders(parts: Parts) -> Iterator[OrderRow]:
    keys: dict[str, str] = {}
    for user, key, body in _rows(parts, "order", _KEYS):
        if order_id := json.loads(bytes(body)).get("order_id"):
            keys[order_id] = key_of(user, key)
    for order_id, state, currency, total, lines in _rows(parts, "order", _ORDERS):
        kept = tuple(Line(product_id, int(many), int(price)) for product_id, many, price in lines or ())
        yield OrderRow(order_id, keys.get(order_id, ""), state, currency, total, kept)


def key_of(user: str, key: str) -> str:
    """An order's key as the history has it: it is its user's alone, and a cart's is the cart."""
    cart = _CART_KEY.fullmatch(key)
    return f"{user}/{cart['cart'] if cart else key}"


def movements_of(ledger: Sequence[dict[str, Any]], orders: Mapping[str, str]) -> list[tuple[Money, str]]:
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


def steps_of(events: Iterator[dict[str, Any]]) -> tuple[Transition, ...]:
    """The orders' steps as everybody was told of them; copies of an event are one step."""
    steps = {
        (
            event["id"],
            Transition(event["data"]["order_id"], event["data"]["sequence"], _STATES[event["type"]]),
        )
        for event in events
    }
    return tuple(step for _, step in steps)


def _buried(committed: Sequence[tuple[str, str]]) -> Iterator[Effect]:
    """A dead letter is an event that came to nothing: due, and never done."""
    for topic, event_id in committed:
        if topic.endswith(".dlt"):
            yield Effect(topic, event_id)


def _outbox(parts: Parts) -> Iterator[tuple[str, str]]:
    for name in WITH_DATABASE:
        for topic, event_id in _rows(parts, name, _OUTBOX):
            yield topic.removeprefix(parts.topics.prefix), event_id


def _published(parts: Parts) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every record of every topic, copies included."""
    consumer = Consumer(
        {
            "bootstrap.servers": parts.topics.bootstrap_servers,
            "group.id": parts.topics.name("audit"),
            "enable.auto.commit": False,
        }
    )
    try:
        for topic in TOPICS:
            yield from ((topic, event) for event in _of_topic(consumer, parts.topics.name(topic)))
    finally:
        consumer.close()


def _of_topic(consumer: Consumer, name: str) -> Iterator[dict[str, Any]]:
    partitions = consumer.list_topics(name, timeout=30).topics[name].partitions
    left = {}
    for partition in partitions:
        _, end = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=30)
        if end:
            left[partition] = end
    consumer.assign([TopicPartition(name, partition, OFFSET_BEGINNING) for partition in left])
    while left:
        message = consumer.poll(_POLL_SECONDS)
        if message is None:
            raise TimeoutError(f"{name} was not read to its end: {left}")
        if message.error():
            raise RuntimeError(str(message.error()))
        yield json.loads(message.value() or b"{}")
        partition = message.partition()
        if partition in left and (message.offset() or 0) + 1 >= left[partition]:
            del left[partition]
