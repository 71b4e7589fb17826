"""Every consumer against every provider: each planted misfit is found between the two that it concerns."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from rehearsal.contract.committed import judge_committed
from rehearsal.contract.releasing import release
from rehearsal.core.checks import Check
from rehearsal.core.verdicts import Verdict

ROOT = Path(__file__).resolve().parents[2]
TODAY = date(2026, 11, 26)
Document = dict[str, Any]

QUOTES, PLACE = "GET /api/quotes", "POST /api/orders"
CAPTURED = "com.mambogo.payment.captured.v1"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a checkout with a copy of the contracts."""
    shutil.copytree(ROOT / "contract-tests", tmp_path / "contract-tests")
    return tmp_path


def _edit(root: Path, name: str, change: Callable[[Document], object]) -> None:
    path = root / "contract-tests" / name
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def _misfits(root: Path) -> list[Check]:
    """Return what does not fit, after a release: what is left is between consumers and providers of now."""
    release(root)
    return [
        one
        for one in judge_committed(root, TODAY)
        if one.verdict is not Verdict.PASS and not one.subject.startswith("released ")
    ]


def _quote(document: Document) -> Document:
    found: Document = document["components"]["schemas"]["QuoteView"]
    return found


def _operation(document: Document, name: str) -> Document:
    method, path = name.split()
    found: Document = document["paths"][path][method.lower()]
    return found


def _drop(schema: Document, name: str) -> None:
    schema["properties"].pop(name)
    schema["required"].remove(name)


PRODUCTS, ORDERS = "openapi/product-service.json", "openapi/order-service.json"
MISFITS: dict[str, tuple[str, Callable[[Document], object], set[str], str]] = {
    "field that is read is gone": (
        PRODUCTS,
        lambda it: _drop(_quote(it), "status"),
        {f"cart-service of product-service {QUOTES}", f"order-service of product-service {QUOTES}"},
        "may come without items[].status",
    ),
    "field that one reads is gone": (
        PRODUCTS,
        lambda it: _drop(_quote(it), "name"),
        {f"cart-service of product-service {QUOTES}"},
        "may come without items[].name",
    ),
    "value beyond what is read": (
        PRODUCTS,
        lambda it: _quote(it)["properties"]["price_minor"].update(minimum=0),
        {f"order-service of product-service {QUOTES}"},
        "may have 0 in items[].price_minor",
    ),
    "null where there was none": (
        ORDERS,
        lambda it: it["components"]["schemas"]["OrderView"]["properties"].update(
            total_minor={"anyOf": [{"type": "integer"}, {"type": "null"}]}
        ),
        {f"cart-service of order-service {PLACE}"},
        "may have null in total_minor",
    ),
    "bound below what is sent": (
        ORDERS,
        lambda it: it["components"]["schemas"]["LineBody"]["properties"]["quantity"].update(maximum=999),
        {f"cart-service of order-service {PLACE}"},
        "lines[].quantity may not be 1000",
    ),
    "field that is sent is refused": (
        ORDERS,
        lambda it: it["components"]["schemas"]["LineBody"]["properties"].pop("expected_unit_price_minor"),
        {f"cart-service of order-service {PLACE}"},
        "lines[].expected_unit_price_minor is not taken",
    ),
    "field that nobody sends is required": (
        ORDERS,
        lambda it: it["components"]["schemas"]["OrderBody"]["required"].append("currency"),
        {f"cart-service of order-service {PLACE}"},
        "currency is required",
    ),
    "parameter renamed": (
        PRODUCTS,
        lambda it: _operation(it, QUOTES)["parameters"][0].update(name="id"),
        {f"cart-service of product-service {QUOTES}", f"order-service of product-service {QUOTES}"},
        "query id is required",
    ),
    "another success": (
        ORDERS,
        lambda it: _operation(it, PLACE)["responses"].update(
            {"202": _operation(it, PLACE)["responses"].pop("201")}
        ),
        {f"cart-service of order-service {PLACE}"},
        "it never answers 201",
    ),
    "operation gone": (
        PRODUCTS,
        lambda it: it["paths"].pop("/api/quotes"),
        {f"cart-service of product-service {QUOTES}", f"order-service of product-service {QUOTES}"},
        "product-service has no such operation",
    ),
    "answer without a body": (
        PRODUCTS,
        lambda it: _operation(it, QUOTES)["responses"]["200"].pop("content"),
        {f"cart-service of product-service {QUOTES}", f"order-service of product-service {QUOTES}"},
        "its 200 has no body",
    ),
    "body no longer JSON": (
        ORDERS,
        lambda it: _operation(it, PLACE)["requestBody"].update(content={"text/xml": {}}),
        {f"cart-service of order-service {PLACE}"},
        "no JSON is taken",
    ),
    "event's field gone": (
        f"events/{CAPTURED}.schema.json",
        lambda it: _drop(it["$defs"]["PaymentCaptured"], "amount_minor"),
        {f"order-service of payment-service {CAPTURED}"},
        "may come without data.amount_minor",
    ),
    "event's bound beyond what is read": (
        f"events/{CAPTURED}.schema.json",
        lambda it: it["$defs"]["PaymentCaptured"]["properties"]["amount_minor"].update(minimum=0),
        {f"order-service of payment-service {CAPTURED}"},
        "may have 0 in data.amount_minor",
    ),
    "reader narrower than the event": (
        "consumers/payment-service.json",
        lambda it: it["events"]["com.mambogo.order.reserved.v1"]["$defs"]["OrderReserved"]["properties"][
            "total_minor"
        ].update(maximum=1000),
        {"payment-service of order-service com.mambogo.order.reserved.v1"},
        "may have 1001 in data.total_minor",
    ),
}


@pytest.mark.parametrize(("name", "change", "pairs", "words"), MISFITS.values(), ids=MISFITS)
def test_planted_misfit_is_found_between_the_two(
    copy: Path, name: str, change: Callable[[Document], object], pairs: set[str], words: str
) -> None:
    _edit(copy, name, change)

    found = [one for one in _misfits(copy) if one.id == "contract.consumers"]
    assert {one.subject for one in found} == pairs
    assert {one.verdict for one in found} == {Verdict.FAIL}
    assert all(words in one.observed for one in found)


def test_event_that_is_read_and_not_written_is_found(copy: Path) -> None:
    (copy / "contract-tests" / "events" / f"{CAPTURED}.schema.json").unlink()

    found = {(one.id, one.subject) for one in _misfits(copy)}
    assert ("contract.consumers", f"order-service of nobody {CAPTURED}") in found
    assert ("contract.events", f"{CAPTURED} for readers of release 1") in found


def test_reader_meets_what_an_older_release_has_left_on_the_topic(copy: Path) -> None:
    def require_more(document: Document) -> None:
        data = document["events"][CAPTURED]["$defs"]["PaymentCaptured"]
        data["properties"]["method"] = {"type": "string"}
        data["required"].append("method")

    def write_more(document: Document) -> None:
        data = document["$defs"]["PaymentCaptured"]
        data["properties"]["method"] = {"type": "string"}
        data["required"].append("method")

    _edit(copy, "consumers/order-service.json", require_more)
    _edit(copy, f"events/{CAPTURED}.schema.json", write_more)

    (found,) = (one for one in _misfits(copy) if one.id == "contract.consumers")
    assert found.observed == (
        "as it is written by release 1 it may come without data.method (required):"
        " by release 1: it may be missing"
    )


def test_released_consumer_meets_todays_provider(copy: Path) -> None:
    _edit(copy, PRODUCTS, lambda it: _drop(_quote(it), "name"))
    for name in ("consumers/cart-service.json", "released/openapi/product-service.json"):
        _edit(copy, name, lambda it: it.update(calls=[]) if "calls" in it else _drop(_quote(it), "name"))

    failed = [one for one in judge_committed(copy, TODAY) if one.verdict is Verdict.FAIL]
    found = [one for one in failed if one.id == "contract.consumers"]
    assert [one.subject for one in found] == [f"released cart-service of product-service {QUOTES}"]


@pytest.mark.parametrize("text", ["", "[]", '{"events": {}}', '{"events": {}, "calls": []}'])
def test_expectations_that_cannot_be_read_are_no_pass(copy: Path, text: str) -> None:
    (copy / "contract-tests" / "consumers" / "cart-service.json").write_text(text, encoding="utf-8")

    found = {(one.subject, one.verdict) for one in judge_committed(copy, TODAY)}
    assert ("cart-service", Verdict.INVALID) in found


def test_provider_without_a_document_is_no_pass(copy: Path) -> None:
    (copy / "contract-tests" / PRODUCTS).unlink()

    found = {(one.subject, one.verdict) for one in judge_committed(copy, TODAY)}
    assert (f"order-service of product-service {QUOTES}", Verdict.INVALID) in found


@pytest.mark.parametrize("name", ["events", "released/events"])
def test_event_that_cannot_be_read_is_no_pass(copy: Path, name: str) -> None:
    paths = sorted((copy / "contract-tests" / name).rglob("*captured*.json"))
    paths += sorted((copy / "contract-tests" / name / CAPTURED).glob("*.json"))
    paths[0].write_text("{", encoding="utf-8")

    found = {(one.subject, one.verdict) for one in judge_committed(copy, TODAY)}
    assert (CAPTURED, Verdict.INVALID) in found
