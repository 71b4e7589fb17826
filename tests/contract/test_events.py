"""Events across releases: each planted break is found for the readers it breaks, additions are silent."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rehearsal.contract.events import compare_event
from rehearsal.contract.findings import Finding

ROOT = Path(__file__).resolve().parents[2]
Schema = dict[str, Any]
Change = Callable[[Schema], object]

READERS, WRITTEN = "for readers of release 1", "as release 1 wrote it"
DATA = "/properties/data/properties"


@pytest.fixture
def schema() -> Schema:
    """Return order.placed, with one optional field, one of few values, and a key that an annotation says."""
    path = ROOT / "contract-tests" / "events" / "com.mambogo.order.placed.v1.schema.json"
    read: Schema = json.loads(path.read_text(encoding="utf-8"))
    read["$defs"]["OrderPlaced"]["properties"].update(
        channel={"enum": ["web", "shop"]}, note={"anyOf": [{"type": "string"}, {"type": "null"}]}
    )
    read["x-key"] = "order_id"
    return read


def _found(released: Schema, change: Change) -> list[Finding]:
    current = copy.deepcopy(released)
    change(current)
    return compare_event({"1": released}, current)


def _data(schema: Schema) -> Schema:
    found: Schema = schema["$defs"]["OrderPlaced"]
    return found


def _line(schema: Schema) -> Schema:
    found: Schema = schema["$defs"]["PlacedLine"]["properties"]
    return found


def _remove(schema: Schema, name: str) -> None:
    _data(schema)["properties"].pop(name)
    _data(schema)["required"].remove(name)


def _rename(schema: Schema) -> None:
    data = _data(schema)
    data["properties"]["total"] = data["properties"].pop("total_minor")
    data["required"][data["required"].index("total_minor")] = "total"


BREAKS: dict[str, tuple[Change, set[tuple[str, str, str]]]] = {
    "required field gone": (
        lambda it: _remove(it, "user_id"),
        {(READERS, f"{DATA}/user_id", "required")},
    ),
    "required field added": (
        lambda it: (
            _data(it)["properties"].update(tax={"type": "integer"}),
            _data(it)["required"].append("tax"),
        ),
        {(WRITTEN, f"{DATA}/tax", "required")},
    ),
    "field renamed": (
        _rename,
        {(READERS, f"{DATA}/total_minor", "required"), (WRITTEN, f"{DATA}/total", "required")},
    ),
    "type changed": (
        lambda it: _line(it).update(quantity={"type": "string"}),
        {
            (READERS, f"{DATA}/lines/items/properties/quantity", "type"),
            (WRITTEN, f"{DATA}/lines/items/properties/quantity", "type"),
        },
    ),
    "enum widened": (
        lambda it: _data(it)["properties"]["channel"]["enum"].append("phone"),
        {(READERS, f"{DATA}/channel", "enum")},
    ),
    "enum narrowed": (
        lambda it: _data(it)["properties"]["channel"]["enum"].pop(),
        {(WRITTEN, f"{DATA}/channel", "enum")},
    ),
    "bound widened": (
        lambda it: _line(it)["quantity"].update(maximum=2000),
        {(READERS, f"{DATA}/lines/items/properties/quantity", "maximum")},
    ),
    "bound narrowed": (
        lambda it: _line(it)["quantity"].update(maximum=999),
        {(WRITTEN, f"{DATA}/lines/items/properties/quantity", "maximum")},
    ),
    "required field optional": (
        lambda it: _data(it)["required"].remove("currency"),
        {(READERS, f"{DATA}/currency", "required")},
    ),
    "id no longer a UUID": (
        lambda it: _data(it)["properties"]["order_id"].pop("format"),
        {(READERS, f"{DATA}/order_id", "format")},
    ),
    "envelope without a time": (
        lambda it: it["required"].remove("time"),
        {(READERS, "/properties/time", "required")},
    ),
    "another topic": (lambda it: it.update({"x-topic": "placed"}), {(READERS, "/x-topic", "topic")}),
    "no topic": (lambda it: it.pop("x-topic"), {(READERS, "/x-topic", "topic")}),
    "another writer": (
        lambda it: it.update({"x-writer": "cart-service"}),
        {(READERS, "/x-writer", "writer")},
    ),
    "another key": (lambda it: it.update({"x-key": "user_id"}), {(READERS, "/x-key", "undecided")}),
    "no key": (lambda it: it.pop("x-key"), {(READERS, "/x-key", "undecided")}),
}
HARMLESS: dict[str, Change] = {
    "nothing": lambda it: None,
    "optional field added": lambda it: _data(it)["properties"].update(
        gift={"anyOf": [{"type": "boolean"}, {"type": "null"}]}
    ),
    "optional field gone": lambda it: _data(it)["properties"].pop("note"),
    "model renamed": lambda it: it["$defs"].update(
        Line=it["$defs"].pop("PlacedLine"),
        OrderPlaced=json.loads(json.dumps(it["$defs"]["OrderPlaced"]).replace("/PlacedLine", "/Line")),
    ),
    "annotation added": lambda it: it.update({"x-owner": "orders"}),
    "descriptions": lambda it: _data(it).update(description="Other.", title="Other"),
}


@pytest.mark.parametrize(("change", "places"), BREAKS.values(), ids=BREAKS)
def test_planted_break_is_found_for_whom_it_breaks(
    schema: Schema, change: Change, places: set[tuple[str, str, str]]
) -> None:
    found = _found(schema, change)

    assert {(one.operation, one.pointer, one.rule) for one in found} == places
    assert all(one.sentence and (one.whom or one.is_doubt) for one in found)


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_harmless_change_is_silent(schema: Schema, change: Change) -> None:
    assert _found(schema, change) == []


def test_event_that_nobody_writes_any_more_is_found(schema: Schema) -> None:
    (found,) = compare_event({"1": schema}, None)
    assert (found.operation, found.rule) == (READERS, "type-removed")


@pytest.mark.parametrize(
    "change",
    [lambda it: it.update(properties=5), lambda it: it["properties"].update(data=[])],
    ids=["fields", "data"],
)
def test_what_has_not_the_form_of_a_schema_is_in_doubt(schema: Schema, change: Change) -> None:
    found = _found(schema, change)

    assert {one.operation for one in found if one.is_doubt} == {READERS, WRITTEN}


def test_break_of_an_older_release_is_found_although_the_last_one_has_it(schema: Schema) -> None:
    second = copy.deepcopy(schema)
    _data(second)["required"].append("note")

    assert {one.operation for one in compare_event({"1": schema, "2": second}, second)} == {WRITTEN}


def test_finding_tells_the_value_and_whom_it_breaks(schema: Schema) -> None:
    (found,) = _found(schema, BREAKS["enum widened"][0])

    assert found.sentence == 'what is written now may have "phone" in data.channel'
    assert found.whom == "consumers of release 1"


@pytest.mark.parametrize(
    ("one", "more"),
    [
        (
            lambda it: _line(it)["quantity"].update(maximum=2000),
            lambda it: _line(it)["quantity"].update(maximum=3000),
        ),
        (
            lambda it: _data(it)["properties"]["channel"]["enum"].append("phone"),
            lambda it: _data(it)["properties"]["channel"]["enum"].extend(["phone", "fax"]),
        ),
        (
            lambda it: _data(it)["properties"].update(note={"type": ["string", "null", "integer"]}),
            lambda it: _data(it)["properties"].update(note={"type": ["string", "null", "integer", "array"]}),
        ),
        (
            lambda it: _data(it)["properties"]["channel"].update(enum=[f"channel {n}" for n in range(90)]),
            lambda it: _data(it)["properties"]["channel"].update(enum=[f"channel {n}" for n in range(91)]),
        ),
    ],
    ids=["bound", "enum", "type", "long"],
)
def test_what_breaks_more_at_the_same_place_is_observed_as_something_else(
    schema: Schema, one: Change, more: Change
) -> None:
    found, further = (
        {(it.operation, it.pointer, it.rule): it.observed for it in _found(schema, change)}
        for change in (one, more)
    )

    for key in found.keys() & further.keys():
        assert found[key] != further[key]
    assert found.keys() & further.keys()


def test_pattern_that_became_another_is_in_doubt_only_for_those_who_could_meet_it(schema: Schema) -> None:
    found = _found(schema, lambda it: _data(it)["properties"]["currency"].update(pattern="^(EUR|USD)$"))

    assert [(one.operation, one.is_doubt) for one in found if one.is_doubt] == [(READERS, True)]
