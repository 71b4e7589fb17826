"""A service's committed contracts: written on request, and every difference from its models is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mambogo_chassis.events import EventData, EventRegistry

from mambogo_testkit.contracts import WRITE, Call, Contract, differences, files_of

SERVICE = "order-service"
PLACED, CAPTURED = "com.mambogo.order.placed.v1", "com.mambogo.payment.captured.v1"
CALL = Call("product-service", "GET /api/quotes", answers={"200": {"type": "object"}})


class OrderPlaced(EventData):
    """Written."""

    total_minor: int


class PaymentCaptured(EventData):
    """Read."""

    amount_minor: int


class Wider(EventData):
    """Written, with more."""

    total_minor: int
    note: str | None = None


def _contract(registry: EventRegistry, *calls: Call) -> Contract:
    return Contract(SERVICE, {"openapi": "3.1.0"}, registry, calls)


def _registry(placed: type[EventData] | None = OrderPlaced) -> EventRegistry:
    registry = EventRegistry()
    if placed is not None:
        registry.event(PLACED, topic="orders")(placed)
    registry.event(CAPTURED, topic="payments")(PaymentCaptured)
    return registry


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the service's contracts."""
    with monkeypatch.context() as patched:
        patched.setenv(WRITE, "1")
        assert differences(_contract(_registry(), CALL), folder=tmp_path) == []
    return tmp_path


def test_what_was_written_is_what_the_models_say(written: Path) -> None:
    assert differences(_contract(_registry(), CALL), folder=written) == []


def test_a_service_writes_the_events_that_are_called_after_it_and_reads_the_others() -> None:
    files = files_of(_contract(_registry(), CALL))
    event = json.loads(files[f"events/{PLACED}.schema.json"])
    consumer = json.loads(files["consumers/order-service.json"])

    assert set(files) == {
        "openapi/order-service.json",
        f"events/{PLACED}.schema.json",
        "consumers/order-service.json",
    }
    assert (event["x-topic"], event["x-writer"]) == ("orders", SERVICE)
    assert list(consumer["events"]) == [CAPTURED]
    assert [call["operation"] for call in consumer["calls"]] == ["GET /api/quotes"]


@pytest.mark.parametrize(
    ("registry", "calls", "path"),
    [
        (_registry(Wider), [CALL], f"events/{PLACED}.schema.json is not what"),
        (_registry(), [], "consumers/order-service.json is not what"),
        (_registry(None), [CALL], f"events/{PLACED}.schema.json is no model's"),
        (EventRegistry(), [], "consumers/order-service.json is no model's"),
    ],
    ids=["model changed", "call gone", "event gone", "nothing is read"],
)
def test_each_difference_is_told_with_its_file(
    written: Path, registry: EventRegistry, calls: list[Call], path: str
) -> None:
    assert any(one.startswith(path) for one in differences(_contract(registry, *calls), folder=written))


def test_a_document_that_is_another_is_told(written: Path) -> None:
    (written / "openapi" / "order-service.json").write_text("{}", encoding="utf-8")

    (found,) = differences(_contract(_registry(), CALL), folder=written)
    assert found.startswith("openapi/order-service.json is not what")


def test_events_of_others_are_not_looked_at(written: Path) -> None:
    (written / "events" / "com.mambogo.product.changed.v1.schema.json").write_text("{}", encoding="utf-8")

    assert differences(_contract(_registry(), CALL), folder=written) == []


def test_nothing_is_written_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert differences(_contract(_registry(), CALL), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
