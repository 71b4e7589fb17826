"""The gate before a release: each planted break is found and named, what harms nobody is silent."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from rehearsal.contract.breaking import compare
from rehearsal.contract.findings import Finding
from rehearsal.contract.schemas import closed, opened

from tests.contract.generated import allows, changed, schemas, values

ROOT = Path(__file__).resolve().parents[2]
Document = dict[str, Any]
Change = Callable[[Document], object]

PLACE, PLACED = "/paths/~1api~1orders/post", "/api/orders"
BODY = f"{PLACE}/requestBody/content/application~1json/schema"
ANSWER = f"{PLACE}/responses/201/content/application~1json/schema"
LIST = "/paths/~1api~1orders/get"


@pytest.fixture
def document() -> Document:
    """Return what order-service has released."""
    path = ROOT / "contract-tests" / "released" / "openapi" / "order-service.json"
    read: Document = json.loads(path.read_text(encoding="utf-8"))
    return read


def _found(released: Document, change: Change) -> list[Finding]:
    current = copy.deepcopy(released)
    change(current)
    return compare(released, current)


def _schema(document: Document, name: str) -> Document:
    found: Document = document["components"]["schemas"][name]
    return found


def _property(document: Document, schema: str, name: str) -> Document:
    found: Document = _schema(document, schema)["properties"][name]
    return found


def _operation(document: Document, method: str = "post", path: str = PLACED) -> Document:
    found: Document = document["paths"][path][method]
    return found


def _parameter(document: Document, name: str) -> Document:
    operation = _operation(document, "get")
    return next(one for one in operation["parameters"] if one["name"] == name)


def _add_parameter(document: Document, *, required: bool) -> None:
    added = {"in": "query", "name": "since", "required": required, "schema": {"type": "string"}}
    _operation(document, "get")["parameters"].append(added)


def _rename_field(document: Document) -> None:
    schema = _schema(document, "LineBody")
    schema["properties"]["amount"] = schema["properties"].pop("quantity")
    schema["required"] = ["product_id", "amount"]


BREAKS: dict[str, tuple[Change, str, set[tuple[str, str]]]] = {
    "operation gone": (
        lambda it: it["paths"][PLACED].pop("get"),
        "GET /api/orders",
        {(LIST, "operation-removed")},
    ),
    "path renamed": (
        lambda it: it["paths"].update({"/api/purchases": it["paths"].pop(PLACED)}),
        "POST /api/orders",
        {(PLACE, "operation-removed")},
    ),
    "parameter gone": (
        lambda it: _operation(it, "get")["parameters"].remove(_parameter(it, "cursor")),
        "GET /api/orders",
        {(f"{LIST}/parameters/1", "parameter-removed")},
    ),
    "parameter newly required": (
        lambda it: _parameter(it, "limit").update(required=True),
        "GET /api/orders",
        {(f"{LIST}/parameters/0", "required")},
    ),
    "required parameter added": (
        lambda it: _add_parameter(it, required=True),
        "GET /api/orders",
        {(f"{LIST}/parameters/2", "required")},
    ),
    "parameter narrowed": (
        lambda it: _parameter(it, "limit")["schema"].update(maximum=50),
        "GET /api/orders",
        {(f"{LIST}/parameters/0/schema", "maximum")},
    ),
    "default changed": (
        lambda it: _parameter(it, "limit")["schema"].update(default=7),
        "GET /api/orders",
        {(f"{LIST}/parameters/0/schema", "default")},
    ),
    "field of the request newly required": (
        lambda it: _schema(it, "LineBody")["required"].append("expected_unit_price_minor"),
        "POST /api/orders",
        {(f"{BODY}/properties/lines/items/properties/expected_unit_price_minor", "required")},
    ),
    "field of the request renamed": (
        _rename_field,
        "POST /api/orders",
        {
            (f"{BODY}/properties/lines/items/properties/quantity", "additionalProperties"),
            (f"{BODY}/properties/lines/items/properties/amount", "required"),
        },
    ),
    "bound of the request narrowed": (
        lambda it: _property(it, "LineBody", "quantity").update(maximum=999),
        "POST /api/orders",
        {(f"{BODY}/properties/lines/items/properties/quantity", "maximum")},
    ),
    "list of the request shortened": (
        lambda it: _property(it, "OrderBody", "lines").update(maxItems=99),
        "POST /api/orders",
        {(f"{BODY}/properties/lines", "maxItems")},
    ),
    "enum of the request narrowed": (
        lambda it: _property(it, "OrderBody", "currency")["anyOf"][0]["enum"].remove("JPY"),
        "POST /api/orders",
        {(f"{BODY}/properties/currency/anyOf/0", "enum")},
    ),
    "pattern of a header narrowed": (
        lambda it: _operation(it)["parameters"][0]["schema"].update(pattern="^[0-9]+$"),
        "POST /api/orders",
        {(f"{PLACE}/parameters/0/schema", "pattern")},
    ),
    "body no longer JSON": (
        lambda it: _operation(it)["requestBody"]["content"].update(
            {"text/xml": _operation(it)["requestBody"]["content"].pop("application/json")}
        ),
        "POST /api/orders",
        {(f"{PLACE}/requestBody/content/application~1json", "media-type-removed")},
    ),
    "field of the answer gone": (
        lambda it: (
            _schema(it, "StepView")["properties"].pop("at"),
            _schema(it, "StepView")["required"].remove("at"),
        ),
        "POST /api/orders",
        {(f"{ANSWER}/properties/history/items/properties/at", "required")},
    ),
    "field of the answer optional": (
        lambda it: _schema(it, "StepView")["required"].remove("at"),
        "POST /api/orders",
        {(f"{ANSWER}/properties/history/items/properties/at", "required")},
    ),
    "type in the answer changed": (
        lambda it: _property(it, "LineView", "quantity").update(type="string"),
        "POST /api/orders",
        {(f"{ANSWER}/properties/lines/items/properties/quantity", "type")},
    ),
    "enum of the answer widened": (
        lambda it: _schema(it, "Reason")["enum"].append("by-fraud"),
        "POST /api/orders",
        {(f"{ANSWER}/properties/reason/anyOf/0", "enum")},
    ),
    "null in the answer": (
        lambda it: _schema(it, "LineView")["properties"].update(
            quantity={"anyOf": [{"type": "integer"}, {"type": "null"}]}
        ),
        "POST /api/orders",
        {(f"{ANSWER}/properties/lines/items/properties/quantity", "type")},
    ),
    "status gone": (
        lambda it: _operation(it)["responses"].pop("409"),
        "POST /api/orders",
        {(f"{PLACE}/responses/409", "status-removed")},
    ),
    "another status of success": (
        lambda it: _operation(it)["responses"].update({"202": {"description": "Accepted"}}),
        "POST /api/orders",
        {(f"{PLACE}/responses/202", "status-added")},
    ),
    "header of the answer gone": (
        lambda it: _operation(it)["responses"]["201"]["headers"].pop("Location"),
        "POST /api/orders",
        {(f"{PLACE}/responses/201/headers/Location", "header-removed")},
    ),
    "header of the answer optional": (
        lambda it: _operation(it)["responses"]["201"]["headers"]["Location"].update(required=False),
        "POST /api/orders",
        {(f"{PLACE}/responses/201/headers/Location", "required")},
    ),
    "errors no longer problem documents": (
        lambda it: _operation(it)["responses"]["409"].update(content={"application/json": {"schema": {}}}),
        "POST /api/orders",
        {(f"{PLACE}/responses/409/content/application~1problem+json", "media-type-removed")},
    ),
    "another scope wanted": (
        lambda it: _operation(it).update(security=[{"bearer": ["orders:write", "orders:read"]}]),
        "POST /api/orders",
        {(f"{PLACE}/security", "security")},
    ),
    "no token wanted": (
        lambda it: _operation(it, "get").pop("security"),
        "GET /api/orders",
        {(f"{LIST}/security", "access")},
    ),
    "another kind of credentials": (
        lambda it: it["components"]["securitySchemes"]["bearer"].update(scheme="basic"),
        "the document",
        {("/components/securitySchemes/bearer", "security-scheme")},
    ),
    "credentials no longer described": (
        lambda it: it["components"].pop("securitySchemes"),
        "the document",
        {("/components/securitySchemes/bearer", "security-scheme")},
    ),
}


def _rename_part_of_path(document: Document) -> None:
    item = document["paths"].pop("/api/orders/{order_id}")
    for parameter in item["get"]["parameters"]:
        if parameter["in"] == "path":
            parameter["name"] = "id"
    document["paths"]["/api/orders/{id}"] = item


def _inline(document: Document) -> None:
    schema = _operation(document)["requestBody"]["content"]["application/json"]
    schema["schema"] = copy.deepcopy(_schema(document, "OrderBody"))


HARMLESS: dict[str, Change] = {
    "nothing": lambda it: None,
    "descriptions": lambda it: (
        it["info"].update(title="Others", version="9"),
        _operation(it).update(summary="Other", description="Other", tags=["x"], operationId="other"),
        _property(it, "LineBody", "quantity").update(description="Other", title="Other", examples=[7]),
        _operation(it)["responses"]["409"].update(description="Other"),
    ),
    "operation added": lambda it: it["paths"].update({"/api/others": {"get": {"responses": {"200": {}}}}}),
    "optional parameter added": lambda it: _add_parameter(it, required=False),
    "parameter no longer required": lambda it: _operation(it)["parameters"][0].update(required=False),
    "optional field of the request added": lambda it: _schema(it, "OrderBody")["properties"].update(
        note={"type": "string"}
    ),
    "field of the request no longer required": lambda it: _schema(it, "LineBody")["required"].remove(
        "quantity"
    ),
    "bound of the request widened": lambda it: _property(it, "LineBody", "quantity").update(maximum=2000),
    "enum of the request widened": lambda it: _property(it, "OrderBody", "currency")["anyOf"][0][
        "enum"
    ].append("SEK"),
    "pattern of a header taken away": lambda it: _operation(it)["parameters"][0]["schema"].pop("pattern"),
    "field of the answer added": lambda it: (
        _schema(it, "LineView")["properties"].update(note={"type": "string"}),
        _schema(it, "LineView")["required"].append("note"),
    ),
    "enum of the answer narrowed": lambda it: _schema(it, "Reason")["enum"].pop(),
    "error status added": lambda it: _operation(it)["responses"].update({"451": {"description": "No"}}),
    "header of the answer added": lambda it: _operation(it)["responses"]["201"]["headers"].update(
        {"X-More": {"schema": {"type": "string"}}}
    ),
    "another media type taken": lambda it: _operation(it)["requestBody"]["content"].update(
        {"application/cbor": {"schema": {}}}
    ),
    "part of a path renamed": _rename_part_of_path,
    "reference written out": _inline,
    "keys in another order": lambda it: it.update(json.loads(json.dumps(it, sort_keys=True))),
    "schema that nobody uses": lambda it: it["components"]["schemas"].update(Unused={"type": "tree"}),
}


@pytest.mark.parametrize(("change", "operation", "places"), BREAKS.values(), ids=BREAKS)
def test_planted_break_is_found_and_named(
    document: Document, change: Change, operation: str, places: set[tuple[str, str]]
) -> None:
    found = _found(document, change)

    assert {(one.pointer, one.rule) for one in found if one.operation == operation} >= places
    assert operation in {one.operation for one in found}
    assert all(one.sentence and one.whom and not one.is_doubt for one in found)


@pytest.mark.parametrize(("change", "operation", "places"), BREAKS.values(), ids=BREAKS)
def test_planted_break_accuses_nothing_else(
    document: Document, change: Change, operation: str, places: set[tuple[str, str]]
) -> None:
    rules = {rule for _, rule in places}

    assert {one.rule for one in _found(document, change)} <= rules


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_harmless_change_is_silent(document: Document, change: Change) -> None:
    assert _found(document, change) == []


def test_default_of_what_is_refused_now_is_no_doubt_besides(document: Document) -> None:
    _property(document, "LineBody", "quantity").update(default=1)
    found = _found(document, lambda it: _schema(it, "OrderBody")["properties"].pop("lines"))

    # The body still says that it wants the field, which it refuses.
    assert found
    assert not [one for one in found if one.is_doubt]


def test_null_that_is_no_longer_written_as_a_default_is_silent(document: Document) -> None:
    _schema(document, "OrderBody")["properties"]["currency"]["default"] = None

    assert _found(document, lambda it: _property(it, "OrderBody", "currency").pop("default")) == []


def test_finding_tells_the_place_the_value_and_for_whom(document: Document) -> None:
    (found,) = _found(document, lambda it: _property(it, "LineBody", "quantity").update(maximum=999))

    assert found.sentence == "in its body, lines[].quantity may not be 1000"
    assert (found.whom, found.observed) == (
        "whoever calls it",
        "it is refused by maximum 999, and allowed by maximum 1000.0",
    )


def test_all_breaks_of_a_change_are_found(document: Document) -> None:
    def change(it: Document) -> None:
        for planted in ("bound of the request narrowed", "status gone", "enum of the answer widened"):
            BREAKS[planted][0](it)

    assert {one.rule for one in _found(document, change)} == {"maximum", "status-removed", "enum"}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (lambda it: it.update(openapi="3.0.3"), "/openapi"),
        (lambda it: it.update(servers=[{"url": "/v2"}]), "/servers"),
        (lambda it: it["paths"][PLACED].update(servers=[{"url": "/v2"}]), "/paths/~1api~1orders/servers"),
        (lambda it: _parameter(it, "limit").update(style="pipeDelimited"), f"{LIST}/parameters/0/style"),
        (lambda it: _property(it, "LineBody", "quantity").update(uniqueItems=True), f"{BODY}"),
        (lambda it: _property(it, "LineBody", "product_id").update(format="ulid"), f"{BODY}"),
        (lambda it: _operation(it).update(callbacks={"paid": {}}), f"{PLACE}/callbacks"),
        (lambda it: it["components"]["schemas"].pop("LineBody"), f"{BODY}"),
        (lambda it: _parameter(it, "limit")["schema"].pop("default"), f"{LIST}/parameters/0/schema"),
        (lambda it: it["paths"].update({"/api/others": 7}), ""),
    ],
    ids=[
        "version",
        "servers",
        "path's servers",
        "style",
        "keyword",
        "format",
        "callbacks",
        "dangling",
        "default gone",
        "form",
    ],
)
def test_what_cannot_be_compared_is_in_doubt(document: Document, change: Change, pointer: str) -> None:
    found = _found(document, change)

    assert [one.pointer for one in found if one.is_doubt] == [pointer]


def test_what_nobody_understands_and_nobody_changed_is_in_no_doubt(document: Document) -> None:
    _property(document, "LineBody", "quantity").update(uniqueItems=True)
    _schema(document, "StepView")["properties"]["below"] = {"$ref": "#/components/schemas/StepView"}

    assert _found(document, lambda it: None) == []


def _exchanging(schema: Document) -> Document:
    content = {"application/json": {"schema": schema}}
    operation = {"requestBody": {"content": content}, "responses": {"200": {"content": content}}}
    return {"openapi": "3.1.0", "paths": {"/api/things": {"post": operation}}}


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_request_that_was_taken_and_is_refused_is_never_overlooked(data: st.DataObject) -> None:
    released = data.draw(schemas)
    current = data.draw(changed(released))
    value = data.draw(values(released))
    assume(allows(released, value) and not allows(current, value))

    found = compare(_exchanging(released), _exchanging(current))

    assert any("/requestBody/" in one.pointer for one in found)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_answer_that_a_reader_of_the_release_refuses_is_never_overlooked(data: st.DataObject) -> None:
    released = data.draw(schemas)
    current = data.draw(changed(released))
    value = data.draw(values(current))
    assume(allows(closed(current), value) and not allows(opened(released), value))

    found = compare(_exchanging(released), _exchanging(current))

    assert any("/responses/200/" in one.pointer for one in found)
