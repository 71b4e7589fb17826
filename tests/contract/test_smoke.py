"""The questions to the live shop: each planted hole is found and named, a good shop gives no finding."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from rehearsal.contract.smoke import smoke
from rehearsal.core.checks import Check
from rehearsal.core.verdicts import Verdict
from rehearsal.shop.answers import Answer, Kind
from rehearsal.shop.history import History

from tests.load.flows import IMPATIENT, PLAN
from tests.shop.fakes import SILENT, FakeShop, refusing

EDGE = "http://127.0.0.1:18080"
NOT_FOUND = {"status": 404, "detail": "There is no such order."}


@dataclass
class GuardedShop(FakeShop):
    """A shop with a door; what it says to strangers can be planted."""

    unguarded: tuple[str, ...] = ()
    hidden: bool = False  # orders, also from their owner
    away: bool = False  # the service behind the gateway
    to_stranger: Answer | None = None  # for an order that exists
    requests: int = field(default=0)

    async def anonymous(self, method: str, path: str) -> Answer:
        """Ask without a token."""
        if self.away:
            return Answer(Kind.INFO, 503)
        return Answer(Kind.OK, 200) if path in self.unguarded else refusing(401)

    async def order(self, user: str, order_id: str) -> Answer:
        """Get an order; each answer names its own request."""
        self.requests += 1
        answer = await super().order(user, order_id)
        if self.hidden or self.away:
            return Answer(Kind.INFO, 503) if self.away else Answer(Kind.FAIL, 404, dict(NOT_FOUND))
        if answer.kind is Kind.OK:
            return answer
        if order_id in self.stored and self.to_stranger is not None:
            return self.to_stranger
        return Answer(Kind.FAIL, 404, {**NOT_FOUND, "request_id": str(self.requests)})


def _ask(shop: GuardedShop, folder: Path, *, impatient: bool = False) -> Mapping[tuple[str, str], Check]:
    plan = replace(IMPATIENT if impatient else PLAN, rate_per_second=1.0, seconds=1.0)

    async def ask() -> list[Check]:
        with History(folder / "contract" / "history.jsonl") as history:
            return [check async for check in smoke(shop, plan, history, EDGE)]

    return {(one.id, one.subject): one for one in asyncio.run(ask())}


def _failed(checks: Mapping[tuple[str, str], Check]) -> list[tuple[str, str]]:
    return [key for key, check in checks.items() if check.verdict is Verdict.FAIL]


def test_good_shop_gives_no_finding(tmp_path: Path) -> None:
    assert {one.verdict for one in _ask(GuardedShop(), tmp_path).values()} == {Verdict.PASS}


def test_order_that_is_not_confirmed_is_found_with_its_state(tmp_path: Path) -> None:
    checks = _ask(GuardedShop(moves=lambda state: "RESERVED"), tmp_path, impatient=True)

    assert _failed(checks) == [("contract.order", "POST /api/orders")]
    assert checks["contract.order", "POST /api/orders"].observed == "RESERVED"


def test_shop_that_takes_no_order_is_found_and_strangers_could_not_be_tried(tmp_path: Path) -> None:
    checks = _ask(GuardedShop(trouble=lambda number: refusing(503)), tmp_path, impatient=True)

    assert _failed(checks) == [("contract.order", "POST /api/orders")]
    assert checks["contract.owner", "GET /api/orders/{order_id}"].verdict is Verdict.INVALID


@pytest.mark.parametrize("path", ["/api/orders", "/api/carts/current", "/api/payments"])
def test_operation_that_needs_no_token_is_found(tmp_path: Path, path: str) -> None:
    checks = _ask(GuardedShop(unguarded=(path,)), tmp_path)

    assert _failed(checks) == [("contract.token", f"GET {path}")]
    assert checks["contract.token", f"GET {path}"].reproduce == f"curl -i -X GET {EDGE}{path}"


@pytest.mark.parametrize(
    "planted",
    [
        Answer(Kind.OK, 200, {"order_id": "x", "state": "PENDING"}),
        Answer(Kind.FAIL, 403, {"detail": "Not yours."}),
        Answer(Kind.FAIL, 404, {"status": 404, "detail": "It is not yours."}),
    ],
    ids=["readable", "forbidden", "another 404"],
)
def test_stranger_who_learns_of_an_order_is_found(tmp_path: Path, planted: Answer) -> None:
    checks = _ask(GuardedShop(to_stranger=planted), tmp_path)

    assert _failed(checks) == [("contract.owner", "GET /api/orders/{order_id}")]


def test_order_that_its_owner_cannot_read_either_shows_nothing(tmp_path: Path) -> None:
    checks = _ask(GuardedShop(hidden=True), tmp_path, impatient=True)

    assert checks["contract.owner", "GET /api/orders/{order_id}"].verdict is Verdict.INVALID


@pytest.mark.parametrize("check", ["contract.token", "contract.owner"])
def test_gateway_whose_service_is_away_gives_nothing_away(tmp_path: Path, check: str) -> None:
    checks = _ask(GuardedShop(away=True), tmp_path, impatient=True)

    assert {one.verdict for (id_, _), one in checks.items() if id_ == check} == {Verdict.INVALID}


def test_shop_that_does_not_answer_a_stranger_shows_nothing(tmp_path: Path) -> None:
    checks = _ask(GuardedShop(to_stranger=SILENT), tmp_path)

    assert checks["contract.owner", "GET /api/orders/{order_id}"].verdict is Verdict.INVALID


def test_evidence_is_the_history_in_the_runs_folder(tmp_path: Path) -> None:
    checks = _ask(GuardedShop(moves=lambda state: state), tmp_path, impatient=True)
    evidence = checks["contract.order", "POST /api/orders"].evidence

    assert (tmp_path / evidence[0]).exists()
