"""Events as the shop writes them, against the committed schemas; and a tap's way through them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from rehearsal.contract.tapping.examining import Examiner
from rehearsal.contract.tapping.explaining import Explanations, read_explanations
from rehearsal.contract.tapping.judging import Ground, judge
from rehearsal.contract.tapping.known import KnownEvents, read_known
from rehearsal.contract.tapping.records import Headers, Record
from rehearsal.contract.tapping.seen import Seen, TopicSeen
from rehearsal.contract.tapping.tap import Sight
from rehearsal.core.checks import Check
from rehearsal.core.verdicts import Verdict

ROOT = Path(__file__).resolve().parents[3]
KNOWN: KnownEvents = read_known(ROOT)
CONTENT_TYPE: Headers = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
TODAY = date(2026, 1, 2)
PRODUCT = "0d1f6a30-0000-4000-8000-000000000001"


def order_id(number: int) -> str:
    """Return an order's id."""
    return str(uuid.UUID(int=number, version=4))


def event(kind: str, subject: str, data: Mapping[str, Any], *, writer: str) -> dict[str, Any]:
    """Return an event as its writer sends it."""
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": f"/mambogo/{writer}",
        "type": f"com.mambogo.{kind}.v1",
        "subject": subject,
        "time": "2026-01-02T03:04:05.678Z",
        "datacontenttype": "application/json",
        "data": dict(data),
    }


def placed(order: str, sequence: int = 1) -> dict[str, Any]:
    """Return `order.placed`."""
    lines = [{"product_id": PRODUCT, "quantity": 1, "unit_price_minor": 500}]
    data = {"order_id": order, "sequence": sequence, "user_id": "u1", "currency": "EUR", "total_minor": 500}
    return event("order.placed", order, {**data, "lines": lines}, writer="order-service")


def reserved(order: str, sequence: int = 2) -> dict[str, Any]:
    """Return `order.reserved`."""
    data = {"order_id": order, "sequence": sequence, "user_id": "u1", "currency": "EUR", "total_minor": 500}
    return event("order.reserved", order, data, writer="order-service")


def captured(order: str) -> dict[str, Any]:
    """Return `payment.captured`."""
    data = {"order_id": order, "payment_id": order_id(99), "amount_minor": 500, "currency": "EUR"}
    return event("payment.captured", order, data, writer="payment-service")


def sold(order: str) -> dict[str, Any]:
    """Return `inventory.sold`."""
    return event(
        "inventory.sold",
        order,
        {"order_id": order, "reservation_id": order_id(98)},
        writer="inventory-service",
    )


def changed(version: int = 1) -> dict[str, Any]:
    """Return `product.changed`."""
    data = {
        "product_id": PRODUCT, "version": version, "sku": "SKU-1", "name": "A thing", "category": "things",
        "currency": "EUR", "price_minor": 500, "status": "ACTIVE",
    }  # fmt: skip
    return event("product.changed", PRODUCT, data, writer="product-service")


def record(
    topic: str,
    value: Mapping[str, Any] | bytes | None,
    *,
    key: str | None = None,
    offset: int = 0,
    headers: Headers = CONTENT_TYPE,
) -> Record:
    """Return a record; its key is the event's subject unless another is given."""
    subject = str(value.get("subject")) if isinstance(value, Mapping) else ""
    raw = json.dumps(value).encode() if isinstance(value, Mapping) else value
    return Record(
        topic, 0, offset, 1_700_000_000_000, (subject if key is None else key).encode(), raw, headers
    )


def clean() -> list[Record]:
    """Return a run's records with nothing wrong: three orders, one record sent again."""
    orders = [order_id(number) for number in range(3)]
    first = [placed(order) for order in orders]
    return [
        *(record("orders", one) for one in first),
        record("orders", first[0]),
        *(record("orders", reserved(order)) for order in orders),
        *(record("payments", captured(order)) for order in orders),
        *(record("inventory", sold(order)) for order in orders),
        record("products", changed(1)),
        record("products", changed(2)),
    ]


def dead(topic: str, value: Mapping[str, Any], reason: str = "handler-failed") -> Record:
    """Return a record that inventory-service gave up."""
    headers = {
        "dlt-consumer": "inventory-service",
        "dlt-reason": reason,
        "dlt-detail": "KeyError",
        "dlt-original-topic": topic,
    }
    said = tuple((name, text.encode()) for name, text in headers.items())
    return record(f"{topic}.dlt", value, headers=(*CONTENT_TYPE, *said))


def see(
    records: Iterable[Record], *, blind: Mapping[str, str] | None = None, before: Iterable[Record] = ()
) -> Seen:
    """Return what a tap saw of some records."""
    examiner = Examiner(KNOWN)
    for one in records:
        examiner.take(one)
    examiner.tell_before(before)
    names = {*examiner.tallies, *KNOWN.topics, *(f"{topic}.dlt" for topic in KNOWN.topics)}
    return Seen(
        whole=True,
        seconds=100.0,
        cpu_seconds=1.0,
        away_seconds=0.0,
        records=sum(one.records for one in examiner.tallies.values()),
        kept=0,
        topics=tuple(_topic(name, examiner, (blind or {}).get(name)) for name in sorted(names)),
        findings=examiner.findings,
        dead_letters=examiner.dead_letters,
        uncounted=examiner.uncounted,
    )


def verdict(seen: Seen | None, *, why: str = "", explained: Explanations | None = None) -> list[Check]:
    """Return every check of what was seen."""
    ground = Ground(KNOWN, explained or read_explanations(Path("/nowhere"), TODAY))
    return list(judge(Sight(seen, why), ground))


def bad(checks: Iterable[Check]) -> list[tuple[str, str, Verdict]]:
    """Return id, subject and verdict of what did not pass."""
    return [(one.id, one.subject, one.verdict) for one in checks if one.verdict is not Verdict.PASS]


def _topic(name: str, examiner: Examiner, blind: str | None) -> TopicSeen:
    tally = examiner.tallies.get(name)
    return TopicSeen(
        name=name,
        records=tally.records if tally else 0,
        copies=tally.copies if tally else 0,
        types=dict(tally.types) if tally else {},
        aggregates=sum(topic == name for topic, _ in examiner.sequences.last),
        undecided=0,
        blind=(blind,) if blind else (),
    )
