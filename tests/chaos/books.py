"""The shop's books in memory: what its databases, topics and the provider would say of some orders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rehearsal.chaos.proving.collecting import CONSUMERS, Row

PRODUCT = "product-1"
PRICE_MINOR = 1299
_UNITS = 1_000_000
_STEPS = {"PENDING": "placed", "RESERVED": "reserved", "CONFIRMED": "confirmed", "REJECTED": "rejected"}
TIME_NS = 1_767_225_600_000_000_000


@dataclass
class Books:
    """`Source`, filled by a test."""

    orders: list[list[Any]] = field(default_factory=list)
    keys: list[list[Any]] = field(default_factory=list)
    movements: list[list[Any]] = field(default_factory=list)
    payments: list[list[Any]] = field(default_factory=list)
    outbox: list[list[Any]] = field(default_factory=list)
    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    entries: list[Mapping[str, Any]] = field(default_factory=list)
    stock: dict[str, dict[str, int]] = field(default_factory=dict)
    inboxes: dict[str, list[list[str]]] = field(default_factory=dict)  # by database
    waiting: int = 0  # records that nobody has taken yet

    def enter(
        self,
        order_id: str,
        user: str,
        key: str,
        *,
        product: str = PRODUCT,
        quantity: int = 1,
        since: int = TIME_NS,
    ) -> None:
        """Enter an order that went its way to CONFIRMED."""
        total = quantity * PRICE_MINOR
        line = [product, str(quantity), str(PRICE_MINOR)]
        self.orders.append([order_id, user, since, "CONFIRMED", "EUR", total, [line]])
        self.keys.append([user, key, json.dumps({"order_id": order_id})])
        self.movements += [[order_id, product, "reserve"], [order_id, product, "sell"]]
        self.payments.append([f"pay-{order_id}", order_id])
        self.entries.append(captured(order_id, total))
        row = self.stock.setdefault(product, {"initial": _UNITS, "on_hand": _UNITS, "reserved": 0, "sold": 0})
        row["on_hand"] -= quantity
        row["sold"] += quantity
        for number, state in enumerate(("PENDING", "RESERVED", "CONFIRMED"), 1):
            self.tell(order_id, number, state, since)

    def tell(self, order_id: str, sequence: int, state: str, at_ns: int = TIME_NS) -> None:
        """Enter an event of an order, in the outbox and in the topic."""
        id_ = f"{order_id}-{sequence}"
        data = {"order_id": order_id, "sequence": sequence}
        time = datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat()
        event = {"id": id_, "type": f"com.mambogo.order.{_STEPS[state]}.v1", "time": time, "data": data}
        self.outbox.append(["orders", id_])
        self.events.append(("orders", event))
        for consumer in CONSUMERS.values():
            if event["type"] in consumer.types:
                self.inboxes.setdefault(consumer.database, []).append([id_])

    def rows(self, service: str, query: str) -> Sequence[Row]:
        """Answer by the table that a query reads."""
        if "count(*)" in query:
            return [[0]]
        table = query.split("FROM ")[-1].split()[0]
        stock = [[id_, *row.values()] for id_, row in self.stock.items()]
        prices = [[product, PRICE_MINOR, 0] for product in self.stock]
        tables: dict[str, Sequence[Row]] = {
            "orders": self.orders, "idempotency": self.keys, "price": prices, "stock": stock,
            "movement": self.movements, "payment": self.payments, "order_refunds": [],
            "outbox": self.outbox if service == "order" else [],
            "inbox": self.inboxes.get(service, []),
        }  # fmt: skip
        return tables[table]

    def outbox_topic(self, topic: str) -> str:
        """Return a topic's name."""
        return topic

    def published(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Return all events."""
        return list(self.events)

    def ledger(self) -> Sequence[Mapping[str, Any]]:
        """Return the provider's books."""
        return list(self.entries)

    def lag(self, service: str, topics: Sequence[str]) -> int:
        """Return what the test says."""
        return self.waiting


def captured(order_id: str, amount_minor: int) -> Mapping[str, Any]:
    """Return the provider's entry of a capture."""
    return {
        "kind": "captured",
        "reference": f"pay-{order_id}",
        "amount_minor": amount_minor,
        "currency": "EUR",
        "idempotency_key": f"capture-{order_id}",
    }
