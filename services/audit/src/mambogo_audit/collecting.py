"""What is left: rows, topics and the provider's ledger, as the checkers want them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from rehearsal.chaos.proving.snapshot import (
    Effect,
    EventRef,
    Money,
    OrderRow,
    Snapshot,
    StockRow,
    Transition,
)

from mambogo_audit.shop import TOPICS, WITH_DATABASE, Parts

# services/README.md, "Events": who reads what.
_READERS: Final[dict[str, tuple[str, ...]]] = {
    "order.placed": ("inventory",),
    "order.reserved": ("payment",),
    "order.confirmed": ("inventory",),
    "order.rejected": ("inventory", "payment"),
    "order.cancelled": ("inventory", "payment"),
    "inventory.reserved": ("order",),
    "inventory.refused": ("order",),
    "inventory.expired": ("order",),
    "inventory.lost": ("order",),
    "payment.captured": ("order",),
    "payment.declined": ("order",),
    "payment.refunded": ("order",),
}
_MONEY: Final[dict[str, Literal["capture", "refund"]]] = {"captured": "capture", "refunded": "refund"}
_POLL_SECONDS: Final = 5.0
_ORDERS: Final = """
SELECT o.order_id::text, o.state, o.currency, o.total_minor,
       (SELECT array_agg(ARRAY[l.product_id::text, l.quantity::text]) FROM order_lines AS l
        WHERE l.order_id = o.order_id)
FROM orders AS o
"""
_KEYS: Final = "SELECT key, body FROM idempotency WHERE status = 201"
_STOCK: Final = "SELECT product_id::text, initial, on_hand, reserved, sold FROM stock"
_PAYMENTS: Final = "SELECT payment_id::text, order_id::text FROM payment"
_STEPS: Final = "SELECT order_id::text, sequence, state FROM order_history"


def collect(
    parts: Parts, ledger: list[dict[str, Any]], *, quiet_seconds: float, raced: Mapping[str, int]
) -> Snapshot:
    """Read everything; all services are quiet."""
    published = list(_published(parts))
    refs = tuple(EventRef(topic, str(event["id"])) for topic, event in published)
    return Snapshot(
        quiet_seconds=quiet_seconds,
        orders=tuple(_orders(parts)),
        stock=tuple(StockRow(*row) for row in _rows(parts, "inventory", _STOCK)),
        money=tuple(money_of(ledger, dict(_rows(parts, "payment", _PAYMENTS)))),
        outbox=tuple(EventRef(topic, id_) for topic, id_ in _outbox(parts)),
        published=refs,
        deliveries=tuple({delivery for _, event in published for delivery in due(event)}),
        effects=tuple(_effects(parts)),
        transitions=tuple(Transition(*row) for row in _rows(parts, "order", _STEPS)),
        raced=dict(raced),
    )


def _rows(parts: Parts, name: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(parts.databases[name].dsn) as connection:
        return connection.execute(query.encode()).fetchall()


def _orders(parts: Parts) -> Iterator[OrderRow]:
    keys: dict[str, list[str]] = {}
    for key, body in _rows(parts, "order", _KEYS):
        order_id = json.loads(bytes(body)).get("order_id")
        if order_id:
            keys.setdefault(order_id, []).append(key)
    for order_id, state, currency, total, lines in _rows(parts, "order", _ORDERS):
        kept = tuple((str(product_id), int(quantity)) for product_id, quantity in lines or ())
        key = keys.get(order_id, [""])[0]
        yield OrderRow(order_id, key, state, currency, total, kept)


def money_of(ledger: list[dict[str, Any]], orders: Mapping[str, str]) -> Iterator[Money]:
    """The ledger's movements by order; `orders` says whose a reference is, and who is unknown stays so."""
    # A refund's reference is its own; its payment at the provider says whose it is.
    reference_of: dict[str | None, str] = {}
    for entry in ledger:
        reference_of.setdefault(entry["payment_id"], entry["reference"])
    for entry in ledger:
        kind = _MONEY.get(entry["kind"])
        if kind is not None:
            reference = reference_of[entry["payment_id"]]
            yield Money(orders.get(reference, reference), kind, entry["amount_minor"], entry["currency"])


def _outbox(parts: Parts) -> Iterator[tuple[str, str]]:
    topics = ", ".join(f"'{parts.topics.name(topic)}'" for topic in TOPICS)
    for name in WITH_DATABASE:
        query = f"SELECT topic, event_id FROM outbox WHERE topic IN ({topics})"  # noqa: S608 - names of our own
        for topic, event_id in _rows(parts, name, query):
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


def due(event: dict[str, Any]) -> Iterator[Effect]:
    """Who has to take an event."""
    family = str(event["type"]).removeprefix("com.mambogo.").rpartition(".v")[0]
    for reader in _READERS.get(family, ()):
        yield Effect(reader, str(event["id"]))


def _effects(parts: Parts) -> Iterator[Effect]:
    for name in ("inventory", "payment", "order"):
        for (event_id,) in _rows(parts, name, "SELECT event_id FROM inbox WHERE outcome = 'applied'"):
            yield Effect(name, event_id)
