"""The contract, load and chaos stages on a shop in memory: checks, artefacts, series, and their shoppers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rehearsal.chaos import injecting
from rehearsal.chaos.checks import AUDIT, CHECKS
from rehearsal.chaos.experiment import Experiment
from rehearsal.chaos.injecting import Extent
from rehearsal.chaos.proving.collecting import Row
from rehearsal.contract.keeping import write_list
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Event, FaultMade, NotLookedAt
from rehearsal.core.ledger import Ledger
from rehearsal.core.verdicts import Verdict
from rehearsal.load import series
from rehearsal.load.autoscaling.facts import Controller
from rehearsal.load.autoscaling.sampling import Lookout
from rehearsal.load.autoscaling.stepping import Step
from rehearsal.load.checks import OF_A_STEP
from rehearsal.load.journeys.plan import JourneyPlan
from rehearsal.load.journeys.records import Journeys
from rehearsal.load.journeys.sending import HISTORY
from rehearsal.load.objectives import Objectives
from rehearsal.shop import accounts
from rehearsal.shop.client import Line
from rehearsal.shop.history import History
from rehearsal.stages.chaos import ChaosStage
from rehearsal.stages.contract import SERVICES, ContractStage
from rehearsal.stages.load import LoadStage
from rehearsal.stages.room import Room

from tests.chaos.books import Books
from tests.chaos.fakes import ORDERS, FakeCluster, injector_on
from tests.contract.test_smoke import GuardedShop
from tests.load.autoscaling.objects import Breathing
from tests.load.journeys.plans import LOGIN, PLAN, good

DOCUMENT: dict[str, Any] = {"openapi": "3.1.0", "paths": {"/api/things": {"get": {"responses": {"200": {}}}}}}

EVENT = "com.mambogo.order.placed.v1"
SCHEMA = {"type": "object", "x-topic": "orders", "x-writer": "order-service"}
_TOPICS = {"name": "topics", "command": ["python", "-m", "mambogo_chassis.events.topics", "orders"]}
TOPICS_JOB = {
    "kind": "Job",
    "metadata": {"name": "topics"},
    "spec": {"template": {"spec": {"containers": [_TOPICS]}}},
}


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
    write_list(root / "contract-tests", {})
    job = root / "k8s" / "base" / "jobs" / "topics.yaml"
    job.parent.mkdir(parents=True)
    job.write_text(json.dumps(TOPICS_JOB), encoding="utf-8")


def _load_stage(shop: GuardedShop, steps: Sequence[Step] = ()) -> LoadStage:
    def plan(products: tuple[str, ...], seed: int) -> JourneyPlan:
        passwords = dict.fromkeys(accounts.OF_LOAD, "geheim")
        login = replace(LOGIN, passwords=passwords)
        return replace(PLAN, products=products, seed=seed, login=login)

    def send(plan: JourneyPlan, folder: Path) -> Journeys:
        asyncio.run(_checked_out(shop, plan, folder / HISTORY))
        return good(plan)

    objectives = Objectives(0.9, 60.0, 60.0)
    return LoadStage(lambda: _opened(shop), objectives, 60.0, plan, send, steps)


async def _checked_out(shop: GuardedShop, plan: JourneyPlan, file: Path) -> None:
    """Place an order for each shopper, noted as the generator does."""
    users = list(plan.login.passwords)
    with History(file) as history:
        for one in plan.arrivals:
            user, key = users[one.number % len(users)], f"cart-{one.number}"
            said = {"process": user, "op_id": f"journeys-{one.number}", "f": "place_order", "idem_key": key}
            history.append(type="invoke", **said)
            answer = await shop.place_order(user, [Line(plan.products[0], 1)], key=key)
            history.append(type="ok", value=answer.body, http_status=answer.status, **said)


def _verdicts(room: Room) -> set[Verdict]:
    return {check.verdict for check in room.checks}


def _users(shop: GuardedShop) -> set[str]:
    return {order["user"] for order in shop.stored.values()}


def test_contract_stage_of_a_good_shop_passes(room: Room, shop: GuardedShop, tmp_path: Path) -> None:
    _commit(tmp_path)
    ContractStage(tmp_path, lambda service: DOCUMENT, lambda: _opened(shop), "http://127.0.0.1:8080")(room)

    assert _verdicts(room) == {Verdict.PASS}
    assert {check.subject for check in room.checks} >= set(SERVICES)


def test_contract_stage_keeps_the_live_documents(room: Room, shop: GuardedShop, tmp_path: Path) -> None:
    ContractStage(tmp_path, lambda service: DOCUMENT, lambda: _opened(shop), "http://127.0.0.1:8080")(room)

    kept = json.loads((room.folder / "order-service.openapi.json").read_text(encoding="utf-8"))
    assert kept == DOCUMENT


def test_promise_of_the_release_that_is_broken_is_found_before_the_shop_is_asked(
    room: Room, shop: GuardedShop, tmp_path: Path
) -> None:
    _commit(tmp_path)
    released = tmp_path / "contract-tests" / "released" / "openapi" / "cart-service.json"
    more = {**DOCUMENT["paths"], "/api/others": {"get": {"responses": {"200": {}}}}}
    released.write_text(json.dumps({**DOCUMENT, "paths": more}), encoding="utf-8")
    write_list(tmp_path / "contract-tests", {})
    ContractStage(tmp_path, lambda service: DOCUMENT, lambda: _opened(shop), "http://127.0.0.1:8080")(room)

    (found,) = room.failed()
    assert (found.id, found.subject) == ("contract.breaking", "cart-service GET /api/others")
    assert room.checks.index(found) < [check.id for check in room.checks].index("contract.drift")


def test_document_that_cannot_be_fetched_is_no_pass(room: Room, shop: GuardedShop, tmp_path: Path) -> None:
    def live(service: str) -> Mapping[str, Any]:
        raise EnvironmentNotReadyError("GONE", "no endpoints", hint="look")

    _commit(tmp_path)
    ContractStage(tmp_path, live, lambda: _opened(shop), "http://127.0.0.1:8080")(room)

    drift = [check for check in room.checks if check.id == "contract.drift"]
    assert {check.verdict for check in drift} == {Verdict.INVALID}


def test_load_stage_of_a_good_shop_passes_and_leaves_its_series(room: Room, shop: GuardedShop) -> None:
    _load_stage(shop)(room)

    assert _verdicts(room) == {Verdict.PASS}
    points = (room.run / "series.ndjson").read_text(encoding="utf-8").splitlines()
    assert sum(json.loads(point)["offered"] for point in points) == 40


def test_load_and_chaos_have_shoppers_of_their_own(room: Room, shop: GuardedShop) -> None:
    _load_stage(shop)(room)

    assert _users(shop) <= set(accounts.OF_LOAD)


def test_load_stage_watches_the_hpa_of_a_step_and_leaves_what_it_saw(room: Room, shop: GuardedShop) -> None:
    reader = Breathing()

    def grow(number: int) -> None:
        if number == 3:
            reader.grow()

    shop.trouble = grow
    lookout = Lookout(reader, "shop", "order-service-hpa", "order-service")
    one = Step(lookout, Controller(), 10.0, 10.0, 60.0, hold_seconds=0.0)
    _load_stage(shop, steps=[one])(room)

    points = [json.loads(line) for line in (room.run / "series.ndjson").read_text("utf-8").splitlines()]
    assert {check.id for check in room.checks} >= {"load.generator", *(kind.id for kind in OF_A_STEP)}
    assert {4, 2} == {point["desired"] for point in points if "hpa" in point}
    assert {path.name for path in room.folder.iterdir()} == {
        "history.jsonl",
        "step-order-service.jsonl",
        "step-order-service.samples.ndjson",
    }


def test_step_that_breaks_off_leaves_what_was_seen_of_it(room: Room, shop: GuardedShop) -> None:
    def interrupted(number: int) -> None:
        if number == 3:
            raise KeyboardInterrupt

    shop.trouble = interrupted
    lookout = Lookout(Breathing(), "shop", "order-service-hpa", "order-service")
    one = Step(lookout, Controller(), 10.0, 10.0, 60.0, hold_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        _load_stage(shop, steps=[one])(room)

    assert (room.folder / "step-order-service.samples.ndjson").read_text(encoding="utf-8")
    assert '"offered"' in (room.run / "series.ndjson").read_text(encoding="utf-8")


_AUDITED = {kind.id for kind in AUDIT.values()}


def _books(shop: GuardedShop) -> Books:
    """Return the books that a shop in memory would have."""
    books = Books()
    now = time.time_ns()
    for key, order_id in shop.keys.items():
        if (order := shop.stored.get(order_id)) is not None:
            books.enter(order_id, order["user"], key, since=now)
    return books


def _chaos(
    room: Room,
    shop: GuardedShop,
    extents: Iterable[Extent] = (Extent.ALL,),
    books: Books | None = None,
    cluster: FakeCluster | None = None,
    outage_seconds: float = 0.0,
    **bounds: float,
) -> None:
    injector = injector_on(cluster or FakeCluster(), Ledger(room.run / "ledger"))
    experiments = [
        Experiment(f"kill-{one}", ORDERS, one, 0.2, 60.0, outage_seconds, least_seconds=0.1)
        for one in extents
    ]
    end = bounds.get("end_seconds", 60.0)
    ChaosStage(
        lambda: _opened(shop),
        injector,
        experiments,
        20.0,
        end,
        lambda: books if books is not None else _books(shop),
    )(room)


def test_chaos_stage_says_which_experiments_were_not_asked_for(
    room: Room, events: list[Event], shop: GuardedShop
) -> None:
    injector = injector_on(FakeCluster(), Ledger(room.run / "ledger"))
    left_out = ("60 s without kafka",)
    ChaosStage(lambda: _opened(shop), injector, (), 20.0, 60.0, lambda: _books(shop), left_out)(room)

    assert NotLookedAt("60 s without kafka", "this experiment was not asked for") in events


def test_chaos_stage_judges_each_experiment_and_audits_all_of_them(room: Room, shop: GuardedShop) -> None:
    _chaos(room, shop, Extent)

    judged = [check.subject for check in room.checks if check.id == "chaos.lost"]
    assert judged == ["kill one of order-service", "kill all of order-service"]
    assert {check.id for check in room.checks} == {kind.id for kind in CHECKS}
    names = {"kill-one.jsonl", "kill-all.jsonl", "audit.json"}
    assert {path.name for path in room.folder.iterdir()} == names


def test_audit_of_a_good_shop_has_no_finding(room: Room, shop: GuardedShop) -> None:
    _chaos(room, shop)

    audited = {check.id: check.verdict for check in room.checks if check.id in _AUDITED}
    # In this shop nothing runs out, and all that is sold is of one product.
    del audited["chaos.last_unit"], audited["chaos.money"], audited["chaos.stock"]
    assert set(audited.values()) == {Verdict.PASS}


def test_audit_covers_the_orders_of_the_stage_before(room: Room, shop: GuardedShop) -> None:
    before = replace(room, stage="load")
    _load_stage(shop)(before)
    lost = next(iter(shop.keys))
    books = _books(shop)
    books.orders = [one for one in books.orders if one[0] != shop.keys[lost]]
    _chaos(room, shop, books=books)

    (found,) = (check for check in room.checks if check.id == "chaos.acknowledged")
    assert found.verdict is Verdict.FAIL
    kept = json.loads((room.folder / "audit.json").read_text(encoding="utf-8"))
    assert lost in {one["subject"] for one in kept["invariants"][0]["violations"]}


class Unwilling(FakeCluster):
    """Refuses to give back what was scaled down, so many times."""

    refusals = 1

    def scale(self, path: str, replicas: int) -> None:
        if replicas and self.refusals > 0:
            self.refusals -= 1
            raise EnvironmentNotReadyError("API_UNREACHABLE", "no answer", hint="look")
        super().scale(path, replicas)


def test_experiment_that_breaks_off_is_mended_and_its_orders_audited(
    room: Room, events: list[Event], shop: GuardedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(injecting, "_PATIENCE_SECONDS", 0.0)
    cluster = Unwilling()
    with pytest.raises(EnvironmentNotReadyError, match="no answer"):
        _chaos(room, shop, cluster=cluster, outage_seconds=0.3)

    assert len([one for one in events if isinstance(one, FaultMade)]) == 1
    assert (room.run / series.FILE_NAME).read_text(encoding="utf-8")
    assert cluster.wanted == 2
    assert Ledger(room.run / "ledger").entries() == []
    audited = {check.id: check.verdict for check in room.checks}
    assert audited["chaos.acknowledged"] is Verdict.PASS
    assert "chaos.recovery" not in audited


def test_what_cannot_be_mended_is_not_audited(
    room: Room, shop: GuardedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(injecting, "_PATIENCE_SECONDS", 0.0)
    cluster = Unwilling()
    cluster.refusals = 10
    with pytest.raises(EnvironmentNotReadyError, match="no answer"):
        _chaos(room, shop, cluster=cluster, outage_seconds=0.3)

    assert len(Ledger(room.run / "ledger").entries()) == 1
    assert {check.verdict for check in room.checks} == {Verdict.INVALID}


def test_source_that_does_not_answer_makes_no_audit(room: Room, shop: GuardedShop) -> None:
    class Silent(Books):
        def rows(self, service: str, query: str) -> Sequence[Row]:
            raise EnvironmentNotReadyError("GONE", "no route to the database", hint="look")

    _chaos(room, shop, books=Silent())

    audited = [check for check in room.checks if check.id in _AUDITED]
    assert {check.verdict for check in audited} == {Verdict.INVALID}
    assert len(audited) == len(AUDIT)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"id": "1", "type": "com.mambogo.order.placed.v1", "time": "2026-01-01T00:00:00Z", "data": {}},
    ],
    ids=str,
)
def test_event_of_another_form_makes_no_audit_and_breaks_nothing(
    room: Room, shop: GuardedShop, event: Any
) -> None:
    _chaos(room, shop, books=Books(events=[("orders", event)]))

    audited = [check for check in room.checks if check.id in _AUDITED]
    assert {check.verdict for check in audited} == {Verdict.INVALID}


def test_order_that_is_not_there_after_its_acknowledgement_is_found(room: Room, shop: GuardedShop) -> None:
    shop.forgets = lambda number: number == 1
    _chaos(room, shop, end_seconds=0.0)

    (reads,) = (check for check in room.checks if check.id == "chaos.reads")
    assert reads.verdict is Verdict.FAIL
    assert "not-read" in reads.observed
