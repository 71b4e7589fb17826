"""A whole experiment on fakes: each planted fault of the shop is found and named; sabotage never passes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from rehearsal.chaos import experiment as experiments
from rehearsal.chaos import injecting
from rehearsal.chaos.auditing import read_lists
from rehearsal.chaos.experiment import Experiment, Observation
from rehearsal.chaos.injecting import Extent
from rehearsal.chaos.judging import judge
from rehearsal.core.checks import Check
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.ledger import Ledger
from rehearsal.core.verdicts import Verdict
from rehearsal.load.flow import Flow
from rehearsal.shop import history
from rehearsal.shop.answers import Answer, Kind
from rehearsal.shop.history import History

from tests.chaos.fakes import BROKER, INVENTORY, ORDERS, FakeCluster, injector_on
from tests.load.flows import PLAN
from tests.shop.fakes import SILENT, FakeShop, refusing

AUDIT = ("chaos.lost", "chaos.doubled", "chaos.stuck")
# The control window leaves its last second out, so it must be longer than that; ten orders are due in it.
_CONTROL_SECONDS = 1.2
_PLAN = replace(PLAN, rate_per_second=50.0, seconds=100.0)
_DURING = 62  # the number of an order that is due after the fault
EXPERIMENT = Experiment(
    "kill", ORDERS, Extent.ALL, _CONTROL_SECONDS, recovery_seconds=60.0, least_seconds=0.5, tail_seconds=0.2
)


@pytest.fixture(autouse=True)
def _asks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments, "_PROBE_SECONDS", 0.05)


def _run(
    folder: Path,
    shop: FakeShop | None = None,
    cluster: FakeCluster | None = None,
    *,
    experiment: Experiment = EXPERIMENT,
    patience: float = 60.0,
    end: float = 60.0,
) -> Mapping[str, Check]:
    asked = shop or FakeShop()
    plan = replace(_PLAN, patience_seconds=patience, end_seconds=end)
    injector = injector_on(cluster or FakeCluster(looks_until_back=6), Ledger(folder / "ledger"))

    async def run() -> list[Check]:
        before = await read_lists(asked, plan.users)
        with History(folder / "kill.jsonl") as written:
            flow = Flow(plan, asked, written)
            seen = Observation(experiment)
            await experiments.run(seen, flow, injector)
        after = await read_lists(asked, plan.users)
        evidence = ("chaos/kill.jsonl",)
        return list(judge(seen, plan, flow.orders, before=before, after=after, evidence=evidence))

    return {check.id: check for check in asyncio.run(run())}


def _failed(checks: Mapping[str, Check]) -> list[str]:
    return [id_ for id_, check in checks.items() if check.verdict is Verdict.FAIL]


def _invalid(checks: Mapping[str, Check]) -> set[str]:
    return {id_ for id_, check in checks.items() if check.verdict is Verdict.INVALID}


def test_fault_that_is_over_at_once_is_watched_for_a_while(tmp_path: Path) -> None:
    watched = replace(EXPERIMENT, least_seconds=1.0)
    checks = _run(tmp_path, cluster=FakeCluster(looks_until_back=1), experiment=watched)
    assert checks["chaos.traffic"].verdict is Verdict.PASS


def test_shop_that_stands_the_fault_gives_no_finding(tmp_path: Path) -> None:
    assert {check.verdict for check in _run(tmp_path).values()} == {Verdict.PASS}


def test_experiment_leaves_nothing_to_be_undone(tmp_path: Path) -> None:
    _run(tmp_path)

    assert Ledger(tmp_path / "ledger").entries() == []


def test_history_says_which_entries_were_written_during_the_fault(tmp_path: Path) -> None:
    _run(tmp_path)
    faults = [entry.fault_id for entry in history.read(tmp_path / "kill.jsonl")]

    assert (faults[0], faults[-1]) == ("", "")
    assert "kill" in faults


def test_order_that_was_acknowledged_and_lost_is_found(tmp_path: Path) -> None:
    shop = FakeShop(forgets=lambda number: number == _DURING)
    checks = _run(tmp_path, shop, end=0.0)

    assert "chaos.lost" in _failed(checks)
    assert checks["chaos.lost"].sentence.startswith("1 of ")


def test_order_that_is_there_twice_is_found(tmp_path: Path) -> None:
    checks = _run(tmp_path, FakeShop(doubles=lambda number: number == _DURING))

    assert _failed(checks) == ["chaos.doubled"]


def test_order_without_a_clear_answer_may_be_there_once(tmp_path: Path) -> None:
    shop = FakeShop(trouble=lambda number: SILENT if number == _DURING else None, happens=lambda number: True)
    checks = _run(tmp_path, shop, patience=0.0)

    assert checks["chaos.doubled"].verdict is Verdict.PASS


def test_order_that_does_not_end_is_found_with_its_state(tmp_path: Path) -> None:
    checks = _run(tmp_path, FakeShop(moves=lambda state: "RESERVED"), end=0.0)

    assert _failed(checks) == ["chaos.stuck"]
    assert "RESERVED" in checks["chaos.stuck"].observed


def test_workload_that_does_not_come_back_is_found(tmp_path: Path) -> None:
    quick = replace(EXPERIMENT, recovery_seconds=0.4)
    checks = _run(tmp_path, cluster=FakeCluster(looks_until_back=100_000), experiment=quick)

    assert _failed(checks) == ["chaos.recovery"]


def test_shop_that_takes_no_order_any_more_is_found(tmp_path: Path) -> None:
    shop = FakeShop(trouble=lambda number: refusing(503) if number > 61 else None)
    quick = replace(EXPERIMENT, recovery_seconds=0.5)
    checks = _run(tmp_path, shop, experiment=quick, patience=0.0)

    assert _failed(checks) == ["chaos.recovery"]


def test_orders_accepted_while_the_fault_was_only_beginning_are_no_recovery(tmp_path: Path) -> None:
    shop = FakeShop(trouble=lambda number: refusing(503) if number > 66 else None)
    checks = _run(tmp_path, shop, patience=0.0)

    assert _failed(checks) == ["chaos.recovery"]
    assert "no order was accepted again" in checks["chaos.recovery"].sentence


def test_injector_that_does_nothing_never_passes(tmp_path: Path) -> None:
    quick = replace(EXPERIMENT, recovery_seconds=0.4)
    checks = _run(tmp_path, cluster=FakeCluster(ignores_deletes=True), experiment=quick)

    assert _failed(checks) == []
    assert {"chaos.injected", "chaos.recovery", *AUDIT} <= _invalid(checks)


def test_shop_that_was_not_well_before_never_passes(tmp_path: Path) -> None:
    shop = FakeShop(trouble=lambda number: refusing(503) if number % 5 == 0 else None)
    checks = _run(tmp_path, shop)

    assert {"chaos.control", "chaos.recovery", *AUDIT} == _invalid(checks)
    assert checks["chaos.control"].observed.count("orders accepted at once") == 3


def test_window_in_which_an_order_was_refused_by_chance_is_repeated_and_that_is_said(tmp_path: Path) -> None:
    shop = FakeShop(trouble=lambda number: refusing(503) if number == 3 else None)
    checks = _run(tmp_path, shop)

    assert {check.verdict for check in checks.values()} == {Verdict.PASS}
    assert "window 2 of at most 3" in checks["chaos.control"].sentence
    assert "; before that " in checks["chaos.control"].observed


def test_repeated_window_leaves_no_order_out(tmp_path: Path) -> None:
    # Due in the first window's last second, which that window leaves to the next one.
    shop = FakeShop(trouble=lambda number: refusing(503) if number in (3, 32) else None)
    checks = _run(tmp_path, shop)

    assert "window 3 of at most 3" in checks["chaos.control"].sentence


def test_shop_that_is_well_is_hit_after_one_window(tmp_path: Path) -> None:
    checks = _run(tmp_path)

    assert checks["chaos.control"].sentence == "the shop was well before the fault"


def test_lists_that_cannot_be_read_never_pass(tmp_path: Path) -> None:
    class Closed(FakeShop):
        async def orders(self, user: str, cursor: str = "") -> Answer:
            return refusing(503)

    assert _invalid(_run(tmp_path, Closed())) == {"chaos.lost", "chaos.doubled"}


@pytest.mark.parametrize("body", [{}, {"items": [{"id": "1"}]}, {"items": None}], ids=str)
def test_lists_of_another_form_never_pass(tmp_path: Path, body: Mapping[str, Any]) -> None:
    class Other(FakeShop):
        async def orders(self, user: str, cursor: str = "") -> Answer:
            return Answer(Kind.OK, 200, body)

    assert _invalid(_run(tmp_path, Other())) == {"chaos.lost", "chaos.doubled"}


def test_lost_order_is_a_fact_even_when_nothing_was_proven(tmp_path: Path) -> None:
    quick = replace(EXPERIMENT, recovery_seconds=0.4)
    shop = FakeShop(forgets=lambda number: number == 1)
    checks = _run(tmp_path, shop, FakeCluster(ignores_deletes=True), experiment=quick, end=0.0)

    assert "chaos.lost" in _failed(checks)


def test_list_of_a_shopper_is_read_to_its_end() -> None:
    shop = FakeShop()

    async def read() -> tuple[str, ...]:
        for number in range(5):
            await shop.place_order("anna", [], key=str(number))
        return (await read_lists(shop, ["anna"])).orders["anna"]

    assert len(asyncio.run(read())) == 5


OUTAGE = replace(EXPERIMENT, workload=BROKER, outage_seconds=0.6)


def test_outage_that_the_shop_stands_gives_no_finding(tmp_path: Path) -> None:
    checks = _run(tmp_path, cluster=FakeCluster(looks_until_back=3), experiment=OUTAGE)

    assert {check.verdict for check in checks.values()} == {Verdict.PASS}
    assert "of kafka" not in checks["chaos.recovery"].subject
    assert checks["chaos.recovery"].subject == "0.6 s without kafka"


def test_outage_that_does_not_end_is_no_recovery(tmp_path: Path) -> None:
    class Stubborn(FakeCluster):
        def scale(self, path: str, replicas: int) -> None:
            if not replicas:
                super().scale(path, replicas)

    quick = replace(OUTAGE, recovery_seconds=0.6)
    checks = _run(tmp_path, cluster=Stubborn(), experiment=quick)

    # Nobody wants replicas any more, so there are as many as are wanted.
    assert checks["chaos.recovery"].verdict is Verdict.FAIL


class Silent(FakeCluster):
    """Does not answer the first looks at a workload that has been hit."""

    unanswered = 2

    def get(self, path: str) -> Mapping[str, Any] | None:
        if self.deleted and "labelSelector" in path and self.unanswered > 0:
            self.unanswered -= 1
            raise EnvironmentNotReadyError("API_UNREACHABLE", "no answer", hint="look")
        return super().get(path)


def test_api_that_is_late_for_a_moment_ends_no_experiment(tmp_path: Path) -> None:
    cluster = Silent(looks_until_back=3)
    checks = _run(tmp_path, cluster=cluster)

    assert cluster.unanswered == 0
    assert {check.verdict for check in checks.values()} == {Verdict.PASS}


def test_api_that_stays_silent_is_no_finding_of_the_shop(tmp_path: Path) -> None:
    cluster = Silent()
    cluster.unanswered = 10_000

    with pytest.raises(EnvironmentNotReadyError, match="no answer"):
        _run(tmp_path, cluster=cluster, experiment=replace(EXPERIMENT, recovery_seconds=0.4))


def test_api_that_is_silent_while_the_outage_lasts_does_not_end_the_experiment(tmp_path: Path) -> None:
    cluster = Silent(looks_until_back=3)
    cluster.unanswered = 8  # of the dozen looks within the outage
    checks = _run(tmp_path, cluster=cluster, experiment=OUTAGE)

    assert checks["chaos.recovery"].verdict is Verdict.PASS


class Slow(FakeCluster):
    """Gives back what was scaled down when it is asked for the second time, a while later."""

    refusals = 1

    def scale(self, path: str, replicas: int) -> None:
        if replicas and self.refusals:
            self.refusals -= 1
            raise EnvironmentNotReadyError("API_UNREACHABLE", "no answer", hint="look")
        super().scale(path, replicas)


def test_time_that_the_api_took_to_end_an_outage_is_not_the_shops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(injecting, "_AGAIN_SECONDS", 1.0)
    # Nobody is served during the outage, and in the time that the API takes.
    cluster = Slow(looks_until_back=1)
    shop = FakeShop(trouble=lambda number: refusing(503) if not cluster.wanted else None)
    checks = _run(tmp_path, shop, cluster, experiment=replace(OUTAGE, recovery_seconds=0.5))

    assert _failed(checks) == []
    assert checks["chaos.recovery"].verdict is Verdict.PASS


def test_shopper_who_gets_no_token_ends_the_experiment_at_once(tmp_path: Path) -> None:
    def refused(number: int) -> Answer | None:
        if number == 5:
            raise EnvironmentNotReadyError("TOKEN_REFUSED", "no token", hint="")
        return None

    cluster, began = FakeCluster(), monotonic()
    with pytest.raises(EnvironmentNotReadyError, match="no token"):
        _run(
            tmp_path,
            FakeShop(trouble=refused),
            cluster,
            experiment=replace(EXPERIMENT, control_seconds=60.0),
        )

    assert monotonic() - began < 30
    assert cluster.deleted == []


CUT_OFF = replace(EXPERIMENT, workload=INVENTORY, outage_seconds=0.6, database="inventory")


@pytest.fixture
def _node_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injecting, "_NODE_SECONDS", 0.0)


@pytest.mark.usefixtures("_node_is_quick")
def test_service_that_stands_the_loss_of_its_database_gives_no_finding(tmp_path: Path) -> None:
    checks = _run(tmp_path, cluster=FakeCluster(looks_until_back=3), experiment=CUT_OFF)

    assert {check.verdict for check in checks.values()} == {Verdict.PASS}
    title = "kill all of inventory-service after 0.6 s without its database"
    assert checks["chaos.injected"].subject == title


@pytest.mark.usefixtures("_node_is_quick")
def test_cut_off_service_that_is_not_killed_never_passes(tmp_path: Path) -> None:
    quick = replace(CUT_OFF, recovery_seconds=0.4)
    checks = _run(tmp_path, cluster=FakeCluster(ignores_deletes=True), experiment=quick)

    assert _failed(checks) == []
    assert {"chaos.injected", "chaos.recovery", *AUDIT} <= _invalid(checks)
