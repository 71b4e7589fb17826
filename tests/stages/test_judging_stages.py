"""The contract, load and chaos stages on a shop in memory: checks, artefacts, series, and their shoppers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from rehearsal.chaos.experiment import Experiment
from rehearsal.chaos.injecting import Extent, Injector
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.ledger import Ledger
from rehearsal.core.verdicts import Verdict
from rehearsal.load.autoscaling.facts import Controller
from rehearsal.load.autoscaling.sampling import Lookout
from rehearsal.load.autoscaling.stepping import Step
from rehearsal.load.checks import OF_A_STEP
from rehearsal.load.judging import Objectives
from rehearsal.shop import accounts
from rehearsal.stages.chaos import ChaosStage
from rehearsal.stages.contract import SERVICES, ContractStage
from rehearsal.stages.load import LoadStage
from rehearsal.stages.room import Room

from tests.chaos.fakes import ORDERS, FakeCluster
from tests.contract.test_smoke import GuardedShop
from tests.load.autoscaling.objects import Breathing

DOCUMENT: dict[str, Any] = {"openapi": "3.1.0", "paths": {"/api/things": {"get": {"responses": {"200": {}}}}}}

EVENT = "com.mambogo.order.placed.v1"
SCHEMA = {"type": "object", "x-topic": "orders", "x-writer": "order-service"}


@pytest.fixture
def shop() -> GuardedShop:
    """Return a shop that is well."""
    return GuardedShop()


def _opened(shop: GuardedShop) -> AbstractAsyncContextManager[GuardedShop]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[GuardedShop]:
        yield shop

    return opened()


def _commit(root: Path, document: Mapping[str, Any] = DOCUMENT) -> None:
    for place in ("openapi", "released/openapi"):
        folder = root / "contract-tests" / place
        folder.mkdir(parents=True)
        for service in SERVICES:
            (folder / f"{service}.json").write_text(json.dumps(document), encoding="utf-8")
    expected = {"events": {EVENT: SCHEMA}, "calls": []}
    for name, content in ((f"events/{EVENT}.schema.json", SCHEMA), ("consumers/cart-service.json", expected)):
        path = root / "contract-tests" / name
        path.parent.mkdir()
        path.write_text(json.dumps(content), encoding="utf-8")


def _verdicts(room: Room) -> set[Verdict]:
    return {check.verdict for check in room.checks}


def _users(shop: GuardedShop) -> set[str]:
    return {order["user"] for order in shop.stored.values()}


def test_contract_stage_of_a_good_shop_passes(room: Room, shop: GuardedShop, tmp_path: Path) -> None:
    _commit(tmp_path)
    ContractStage(tmp_path, lambda service: DOCUMENT, lambda: _opened(shop))(room)

    assert _verdicts(room) == {Verdict.PASS}
    assert {check.subject for check in room.checks} >= set(SERVICES)


def test_contract_stage_keeps_the_live_documents(room: Room, shop: GuardedShop, tmp_path: Path) -> None:
    ContractStage(tmp_path, lambda service: DOCUMENT, lambda: _opened(shop))(room)

    kept = json.loads((room.folder / "order-service.openapi.json").read_text(encoding="utf-8"))
    assert kept == DOCUMENT


def test_promise_of_the_release_that_is_broken_is_found_before_the_shop_is_asked(
    room: Room, shop: GuardedShop, tmp_path: Path
) -> None:
    _commit(tmp_path)
    released = tmp_path / "contract-tests" / "released" / "openapi" / "cart-service.json"
    more = {**DOCUMENT["paths"], "/api/others": {"get": {"responses": {"200": {}}}}}
    released.write_text(json.dumps({**DOCUMENT, "paths": more}), encoding="utf-8")
    ContractStage(tmp_path, lambda service: DOCUMENT, lambda: _opened(shop))(room)

    (found,) = room.failed()
    assert (found.id, found.subject) == ("contract.breaking", "cart-service GET /api/others")
    assert room.checks.index(found) < [check.id for check in room.checks].index("contract.drift")


def test_document_that_cannot_be_fetched_is_no_pass(room: Room, shop: GuardedShop, tmp_path: Path) -> None:
    def live(service: str) -> Mapping[str, Any]:
        raise EnvironmentNotReadyError("GONE", "no endpoints", hint="look")

    _commit(tmp_path)
    ContractStage(tmp_path, live, lambda: _opened(shop))(room)

    drift = [check for check in room.checks if check.id == "contract.drift"]
    assert {check.verdict for check in drift} == {Verdict.INVALID}


def test_load_stage_of_a_good_shop_passes_and_leaves_its_series(room: Room, shop: GuardedShop) -> None:
    LoadStage(lambda: _opened(shop), Objectives(0.9, 60.0), 20.0, 0.5, 60.0)(room)

    # Whether a busy machine kept the pace is no part of this test.
    assert _verdicts(room) in ({Verdict.PASS}, {Verdict.INVALID})
    points = (room.run / "series.ndjson").read_text(encoding="utf-8").splitlines()
    assert sum(json.loads(point)["offered"] for point in points) == 10


def test_load_and_chaos_have_shoppers_of_their_own(room: Room, shop: GuardedShop) -> None:
    LoadStage(lambda: _opened(shop), Objectives(0.9, 60.0), 20.0, 0.5, 60.0)(room)

    assert _users(shop) <= set(accounts.OF_LOAD)


def test_load_stage_watches_the_hpa_of_a_step_and_leaves_what_it_saw(room: Room, shop: GuardedShop) -> None:
    reader = Breathing()

    def grow(number: int) -> None:
        if number == 3:
            reader.grow()

    shop.trouble = grow
    lookout = Lookout(reader, "shop", "order-service-hpa", "order-service")
    one = Step(lookout, Controller(), 10.0, 10.0, 60.0, hold_seconds=0.0)
    LoadStage(lambda: _opened(shop), Objectives(0.9, 60.0), 20.0, 0.1, 60.0, steps=[one])(room)

    points = [json.loads(line) for line in (room.run / "series.ndjson").read_text("utf-8").splitlines()]
    assert {check.id for check in room.checks} >= {"load.generator", *(kind.id for kind in OF_A_STEP)}
    assert {4, 2} == {point["desired"] for point in points if "hpa" in point}
    assert {path.name for path in room.folder.iterdir()} == {
        "history.jsonl",
        "step-order-service.jsonl",
        "step-order-service.samples.ndjson",
    }


def test_chaos_stage_audits_each_experiment(room: Room, shop: GuardedShop) -> None:
    injector = Injector(FakeCluster(), Ledger(room.run / "ledger"))
    experiments = [Experiment(f"kill-{one}", ORDERS, one, 0.2, 60.0, 0.1) for one in Extent]
    ChaosStage(lambda: _opened(shop), injector, experiments, 20.0, 60.0)(room)

    audited = [check.subject for check in room.checks if check.id == "chaos.lost"]
    assert audited == ["kill one of order-service", "kill all of order-service"]
    assert {path.name for path in room.folder.iterdir()} == {"kill-one.jsonl", "kill-all.jsonl"}


def test_chaos_stage_reads_its_own_history(room: Room, shop: GuardedShop) -> None:
    injector = Injector(FakeCluster(), Ledger(room.run / "ledger"))
    experiments = [Experiment("kill-all", ORDERS, Extent.ALL, 0.2, 60.0, 0.1)]
    ChaosStage(lambda: _opened(shop), injector, experiments, 20.0, 60.0)(room)

    reads = [check.verdict for check in room.checks if check.id == "chaos.reads"]
    assert reads == [Verdict.PASS]


def test_order_that_is_not_there_after_its_acknowledgement_is_found(room: Room, shop: GuardedShop) -> None:
    shop.forgets = lambda number: number == 1
    injector = Injector(FakeCluster(), Ledger(room.run / "ledger"))
    experiments = [Experiment("kill-all", ORDERS, Extent.ALL, 0.2, 60.0, 0.1)]
    ChaosStage(lambda: _opened(shop), injector, experiments, 20.0, end_seconds=0.0)(room)

    (reads,) = (check for check in room.checks if check.id == "chaos.reads")
    assert reads.verdict is Verdict.FAIL
    assert "not-read" in reads.observed
