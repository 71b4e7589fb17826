"""Expectations of consumers: good providers keep them all, and each that is broken is named."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from rehearsal.contract.expecting import ALL, judge_expectations
from rehearsal.core.checks import Check
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.verdicts import Verdict

Answer = tuple[int, dict[str, Any]]


@dataclass
class Shop:
    """Product, order and inventory service in memory, with faults to plant."""

    faults: frozenset[str] = frozenset()
    products: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, tuple[Any, dict[str, Any]]] = field(default_factory=dict)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if "down" in self.faults:
            return httpx.Response(503, json={"title": "Service Unavailable"})
        body = json.loads(request.content) if request.content else {}
        status, content = self._answer(request, body)
        return httpx.Response(status, json=content)

    def _answer(self, request: httpx.Request, body: dict[str, Any]) -> Answer:
        if request.url.path == "/api/products":
            made = body | {"id": str(uuid.uuid4())}
            self.products[made["id"]] = made
            return 201, {} if "product without id" in self.faults else made
        if request.url.path == "/api/quotes":
            return self._quotes(request.url.params.get_list("product_id"))
        if request.url.path == "/api/orders":
            return self._order(request.headers["Idempotency-Key"], body["lines"])
        return 200, {}

    def _quotes(self, wanted: list[str]) -> Answer:
        if "few at once" in self.faults and len(wanted) > 50:
            return 422, {"title": "Unprocessable"}
        known = [self.products[one] for one in wanted if one in self.products]
        unknown = [one for one in wanted if one not in self.products]
        if "unknown is an error" in self.faults and unknown:
            return 404, {"title": "Not Found"}
        if "no quotes" in self.faults:
            return 404, {"title": "Not Found"}
        extra = 1 if "other prices" in self.faults else 0
        sold = "sells what was withdrawn" in self.faults
        items = [
            {
                "id" if "field renamed" in self.faults else "product_id": one["id"],
                "currency": one["currency"],
                "price_minor": one["price_minor"] + extra,
                "status": "ACTIVE" if sold else one["status"],
            }
            for one in known
        ]
        return 200, {"items": items, "unknown": unknown}

    def _order(self, key: str, lines: list[dict[str, Any]]) -> Answer:
        if key in self.keys and "forgets keys" not in self.faults:
            before, answer = self.keys[key]
            return (201, answer) if before == lines or "any request" in self.faults else (422, {})
        refused = self._refused(lines)
        if refused and refused not in self.faults:
            return 409, {"type": f"urn:mambogo:problem:{refused}"}
        total = sum(one["quantity"] * one["expected_unit_price_minor"] for one in lines)
        named = {} if "order without id" in self.faults else {"order_id": str(uuid.uuid4())}
        answer = {**named, "total_minor": total + ("fee" in self.faults)}
        self.keys[key] = lines, answer
        return 201, answer

    def _refused(self, lines: list[dict[str, Any]]) -> str:
        found = [self.products[one["product_id"]] for one in lines]
        if any(one["status"] != "ACTIVE" for one in found):
            return "product-unavailable"
        if len({one["currency"] for one in found}) > 1:
            return "currency-mismatch"
        prices = zip(lines, found, strict=True)
        changed = any(one["expected_unit_price_minor"] != product["price_minor"] for one, product in prices)
        return "price-changed" if changed else ""


@contextmanager
def _open(service: str, log: Path) -> Iterator[str]:
    yield f"http://{service}"


async def _tokens(users: Sequence[str]) -> Mapping[str, str]:
    return {user: user for user in users}


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Return the shop that every client reaches."""
    made, make = Shop(), httpx.AsyncClient
    monkeypatch.setattr(httpx, "AsyncClient", lambda **_: make(transport=httpx.MockTransport(made)))
    return made


def _judge(folder: Path, open_: Any = _open) -> list[Check]:
    return asyncio.run(judge_expectations(open_, _tokens, folder))


def test_good_providers_keep_every_expectation(shop: Shop, tmp_path: Path) -> None:
    found = _judge(tmp_path)

    assert {one.verdict for one in found} == {Verdict.PASS}
    assert len(found) == len(ALL)


def _failed(shop: Shop, tmp_path: Path, fault: str) -> list[str]:
    """Return what a shop with this fault does not keep."""
    shop.faults = frozenset({fault})
    return [one.subject for one in _judge(tmp_path) if one.verdict is Verdict.FAIL]


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("other prices", "a quote is the product's price"),
        ("unknown is an error", "what nobody knows is no error"),
        ("few at once", "a hundred products are answered at once"),
        ("sells what was withdrawn", "what was withdrawn is not quoted as on sale"),
        ("forgets keys", "one key is one order, however often it is sent"),
        ("any request", "another request under a key is refused"),
        ("fee", "an order costs what its lines cost"),
        ("price-changed", "another price than the cart showed is refused by name"),
        ("product-unavailable", "what is not on sale is refused by name"),
        ("currency-mismatch", "goods in two currencies are refused by name"),
    ],
)
def test_broken_expectation_is_named_with_consumer_and_provider(
    shop: Shop, tmp_path: Path, fault: str, named: str
) -> None:
    failed = _failed(shop, tmp_path, fault)
    assert any(one.endswith(f"({named})") for one in failed)
    assert all("-service of " in one for one in failed)
    # A hundred products hold 99 that nobody knows; and what takes any key takes any request.
    assert len(failed) <= 3


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("no quotes", "what was withdrawn is not quoted as on sale"),
        ("field renamed", "a quote is the product's price"),
        ("field renamed", "what nobody knows is no error"),
        ("order without id", "one key is one order, however often it is sent"),
    ],
)
def test_answer_in_which_there_is_nothing_to_look_at_keeps_no_expectation(
    shop: Shop, tmp_path: Path, fault: str, named: str
) -> None:
    failed = _failed(shop, tmp_path, fault)
    assert any(one.endswith(f"({named})") for one in failed)


def test_products_without_ids_are_nothing_to_try(shop: Shop, tmp_path: Path) -> None:
    shop.faults = frozenset({"product without id"})

    assert {one.verdict for one in _judge(tmp_path)} == {Verdict.INVALID}


def test_provider_that_is_down_shows_nothing(shop: Shop, tmp_path: Path) -> None:
    shop.faults = frozenset({"down"})

    assert {one.verdict for one in _judge(tmp_path)} == {Verdict.INVALID}


def test_provider_that_cannot_be_reached_shows_nothing(shop: Shop, tmp_path: Path) -> None:
    def nowhere(service: str, log: Path) -> AbstractContextManager[str]:
        raise EnvironmentNotReadyError("SERVICE_NOT_REACHED", f"there is no way to {service}", hint="look")

    found = _judge(tmp_path, nowhere)
    assert {one.verdict for one in found} == {Verdict.INVALID}
    assert len(found) == len(ALL)
