"""Names, versions and schemas of events; writers are closed and readers open."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # publishes no types
from pydantic import ValidationError

from mambogo_chassis.events import CloudEvent, EventData, EventRegistry, RefusedEventError
from mambogo_chassis.events.envelope import new_event_id, utc_now
from mambogo_chassis.events.errors import UnregisteredEventError
from support.data import OrderPlaced, event_registry

NAME = "com.mambogo.order.placed.v1"


def record(**changes: Any) -> bytes:
    """A well-formed record with changes; None removes an attribute."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": new_event_id(),
        "source": "/mambogo/tests",
        "type": NAME,
        "subject": "o-1",
        "time": utc_now().isoformat(),
        "datacontenttype": "application/json",
        "data": {"order_id": "o-1", "amount": 1},
    }
    changed = {name: value for name, value in (event | changes).items() if value is not None}
    return json.dumps(changed).encode()


def test_what_is_encoded_is_decoded() -> None:
    event = CloudEvent[OrderPlaced](
        id="1",
        source="/mambogo/tests",
        type=NAME,
        subject="o-1",
        time=utc_now(),
        data=OrderPlaced(order_id="o-1", amount=1),
    )
    assert event_registry("orders").decode(event.encode()) == event


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": None}, "undecodable"),
        ({"id": ""}, "undecodable"),
        ({"id": "x" * 256}, "undecodable"),
        ({"type": None}, "undecodable"),
        ({"specversion": "0.3"}, "undecodable"),
        ({"type": "com.mambogo.order.placed.v2"}, "unknown-version"),
        ({"type": "com.mambogo.order.placed.v0"}, "unknown-version"),
        ({"data": None}, "invalid-data"),
        ({"data": {"order_id": "o-1"}}, "invalid-data"),
        ({"data": {"order_id": "o-1", "amount": "1"}}, "invalid-data"),
        ({"data": {"order_id": "o-1", "amount": 1.5}}, "invalid-data"),
        ({"data": {"order_id": "o-1", "amount": float("nan")}}, "invalid-data"),
        ({"time": "yesterday"}, "invalid-data"),
        ({"time": "2026-01-01T00:00:00"}, "invalid-data"),
    ],
)
def test_what_cannot_be_read_says_why(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(RefusedEventError) as caught:
        event_registry("orders").decode(record(**changes))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "value", [None, b"", b"\x00", b"[]", b"null", b'"x"', b"{", b"[" * 10_000, b"\xff\xfe"]
)
def test_what_is_no_event_is_undecodable(value: bytes | None) -> None:
    with pytest.raises(RefusedEventError) as caught:
        event_registry("orders").decode(value)
    assert caught.value.reason == "undecodable"


def test_a_family_that_nobody_registered_is_none_of_ours() -> None:
    assert event_registry("orders").decode(record(type="com.mambogo.order.shipped.v1")) is None


def test_a_refusal_quotes_no_data() -> None:
    with pytest.raises(RefusedEventError) as caught:
        event_registry("orders").decode(record(data={"order_id": "o-1", "amount": "alice@example.org"}))
    assert "alice" not in str(caught.value)
    assert "data.amount" in str(caught.value)


def test_a_reader_passes_over_what_it_does_not_know() -> None:
    event = event_registry("orders").decode(
        record(extension="x", data={"order_id": "o-1", "amount": 1, "gift": {"note": "hi"}})
    )
    assert event is not None
    assert event.data == OrderPlaced(order_id="o-1", amount=1)


def test_a_writer_cannot_add_what_the_model_does_not_have() -> None:
    with pytest.raises(ValidationError):
        OrderPlaced(order_id="o-1", amount=1, gift=True)  # type: ignore[call-arg]  # that is the point


def test_the_writers_schema_is_closed_and_the_readers_is_open() -> None:
    registry = event_registry("orders")
    wider = json.loads(record(data={"order_id": "o-1", "amount": 1, "gift": True}))
    assert not Draft202012Validator(registry.schemas("writer")[NAME]).is_valid(wider)
    assert Draft202012Validator(registry.schemas("reader")[NAME]).is_valid(wider)


def test_the_schema_takes_what_is_written_and_nothing_of_another_type() -> None:
    schema = event_registry("orders").schemas("writer")[NAME]
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid(json.loads(record()))
    other = json.loads(record(type="com.mambogo.order.placed.v2"))
    assert not Draft202012Validator(schema).is_valid(other)


@pytest.mark.parametrize(
    "name",
    ["order.placed.v1", "com.mambogo.order.v1", "com.mambogo.order.placed", "com.mambogo.order.placed.v0"],
)
def test_a_name_outside_the_convention_is_refused(name: str) -> None:
    with pytest.raises(UnregisteredEventError):
        EventRegistry().event(name, topic="orders")


def test_a_name_cannot_be_registered_twice() -> None:
    with pytest.raises(UnregisteredEventError):
        event_registry("orders").event(NAME, topic="orders")


def test_a_model_that_nobody_registered_is_refused() -> None:
    class Unknown(EventData):
        pass

    with pytest.raises(UnregisteredEventError):
        event_registry("orders").type_of(Unknown)
