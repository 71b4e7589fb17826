"""A sabotaged harness, by the real stages and the real runner: it ends INVALID or ERROR, and never passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rehearsal.chaos.experiment import Experiment
from rehearsal.chaos.injecting import WORKLOAD_ENTRY, Extent, WorkloadUndo
from rehearsal.chaos.proving.collecting import Row
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import CheckFinished, Event, StageFinished
from rehearsal.core.ledger import Ledger, Undo
from rehearsal.core.verdicts import Ending, Verdict
from rehearsal.load.autoscaling import envelope
from rehearsal.load.autoscaling.facts import Controller
from rehearsal.load.autoscaling.sampling import Lookout
from rehearsal.load.autoscaling.stepping import Step
from rehearsal.load.checks import OF_A_STEP
from rehearsal.shop.history import History
from rehearsal.stages.chaos import ChaosStage
from rehearsal.stages.planning import Request, plan
from rehearsal.stages.room import Stage
from rehearsal.stages.running import Runner

from tests.chaos.books import Books
from tests.chaos.fakes import ORDERS, FakeCluster, injector_on
from tests.contract.test_smoke import GuardedShop
from tests.load.autoscaling.objects import FakeReader
from tests.stages.planted_run import FACTS
from tests.stages.test_judging_stages import _load_stage, _opened

NOTHING_SHOWN = {"chaos.recovery", "chaos.lost", "chaos.doubled", "chaos.stuck"}
Append = Callable[..., None]


class Closed(Books):
    """Books that nobody can read."""

    def rows(self, service: str, query: str) -> Sequence[Row]:
        """Refuse."""
        raise EnvironmentNotReadyError("GONE", "no route to the database", hint="look")


class Bench:
    """Runs one stage, and knows how it ended and what its checks said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[Event] = []
        self.undoers: dict[str, Undo] = {}

    def run(self, name: str, stage: Stage) -> Ending:
        """Return the run's ending."""
        ledger = Ledger(self.folder / "ledger")
        runner = Runner(FACTS, self.folder, self.events.append, ledger, self.undoers, {name: stage})
        return runner.run(plan(Request((name,))))

    @property
    def reason(self) -> str:
        """Why the stage did not pass."""
        return next(
            one.reason
            for one in self.events
            if isinstance(one, StageFinished) and one.ending is not Ending.NOT_RUN
        )

    def verdicts(self, *ids: str) -> set[Verdict]:
        """Return what the checks of these kinds came to."""
        made = [one.check for one in self.events if isinstance(one, CheckFinished)]
        return {one.verdict for one in made if one.id in ids}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a bench."""
    return Bench(tmp_path)


def _chaos(bench: Bench, cluster: FakeCluster, *, rate_per_second: float = 20.0) -> ChaosStage:
    shop = GuardedShop()
    experiment = Experiment("kill", ORDERS, Extent.ALL, 1.2, recovery_seconds=0.6, least_seconds=0.4)
    injector = injector_on(cluster, Ledger(bench.folder / "ledger"))
    bench.undoers[WORKLOAD_ENTRY] = WorkloadUndo(injector)
    # Books would judge a shop in memory, which sells one product only; broken here is the harness.
    return ChaosStage(lambda: _opened(shop), injector, (experiment,), rate_per_second, 60.0, Closed)


def test_sound_harness_shows_what_sabotage_hides(bench: Bench) -> None:
    bench.run("chaos", _chaos(bench, FakeCluster(looks_until_back=1)))

    assert bench.verdicts("chaos.injected", "chaos.traffic", *NOTHING_SHOWN) == {Verdict.PASS}


def test_injector_that_does_nothing_is_invalid(bench: Bench) -> None:
    ending = bench.run("chaos", _chaos(bench, FakeCluster(ignores_deletes=True)))

    assert ending is Ending.INVALID
    assert bench.verdicts("chaos.injected", *NOTHING_SHOWN) == {Verdict.INVALID}


def test_chaos_without_traffic_is_invalid(bench: Bench) -> None:
    ending = bench.run("chaos", _chaos(bench, FakeCluster(), rate_per_second=0.1))

    assert ending is Ending.INVALID
    assert bench.verdicts("chaos.traffic", *NOTHING_SHOWN) == {Verdict.INVALID}


def test_load_without_metrics_is_invalid(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBELET_SECONDS", "_ACTUATION_SECONDS"):
        monkeypatch.setattr(envelope, name, 0.1)  # else nothing is said before a quarter of a minute
    quick = Controller(sync_seconds=0.1, down_window_seconds=0.1)
    lookout = Lookout(FakeReader(measured=False), "shop", "order-service-hpa", "order-service")
    one = Step(lookout, quick, 0.1, 10.0, 3.0, hold_seconds=0.0)
    ending = bench.run("load", _load_stage(GuardedShop(), steps=[one]))

    assert ending is Ending.INVALID
    assert bench.verdicts("load.generator", *(kind.id for kind in OF_A_STEP)) == {Verdict.INVALID}


def _every_second_line(append: Append) -> Append:
    lines = iter(range(1_000_000))

    def sabotaged(self: History, **fields: Any) -> None:
        if next(lines) % 2:
            append(self, **fields)

    return sabotaged


def _every_second_order(append: Append) -> Append:
    def sabotaged(self: History, **fields: Any) -> None:
        if int(str(fields["op_id"]).rpartition("-")[2]) % 2:
            append(self, **fields)

    return sabotaged


def _no_answer(append: Append) -> Append:
    def sabotaged(self: History, **fields: Any) -> None:
        if fields["type"] == "invoke":
            append(self, **fields)

    return sabotaged


@pytest.mark.parametrize("sabotage", [_every_second_line, _every_second_order, _no_answer])
def test_history_of_which_half_is_missing_is_an_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, sabotage: Callable[[Append], Append]
) -> None:
    monkeypatch.setattr(History, "append", sabotage(History.append))
    ending = bench.run("chaos", _chaos(bench, FakeCluster(looks_until_back=1)))

    assert ending is Ending.ERROR
    assert "HISTORY_" in bench.reason
