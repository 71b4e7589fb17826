"""Running stages: order, endings, time limits, interrupts, and what happens to changes that were made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from rehearsal.core import journal
from rehearsal.core.checks import Check
from rehearsal.core.errors import EnvironmentNotReadyError, HarnessError
from rehearsal.core.events import (
    CheckFinished,
    Event,
    Notice,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
)
from rehearsal.core.ledger import Ledger
from rehearsal.core.verdicts import Ending, ExitCode
from rehearsal.core.waiting import wait_until
from rehearsal.stages.planning import Planned
from rehearsal.stages.room import Room, Stage
from rehearsal.stages.running import Runner

from tests.stages import planted_run
from tests.stages.planted_run import FACTS, KIND, plans, planted

PROGRAM = Path(planted_run.__file__)
CHECKOUT = PROGRAM.parents[2]


class Ground:
    """A folder in which runs of planted stages take place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = Ledger(folder / "ledger")
        self.events: list[Event] = []
        self.undone: list[str] = []

    def undo(self, arguments: Mapping[str, str]) -> None:
        """Take down what was undone."""
        self.undone.append(arguments["stage"])

    def run(self, deeds: Mapping[str, str], **own: Stage) -> Ending:
        """Run planted stages, and some that the test has written itself."""
        stages = {name: planted(deed, self.ledger) for name, deed in deeds.items()} | own
        return self.runner(stages).run(plans({**deeds, **dict.fromkeys(own, "")}))

    def runner(self, stages: Mapping[str, Stage]) -> Runner:
        """Return a runner of these stages."""
        return Runner(FACTS, self.folder, self.events.append, self.ledger, {"planted": self.undo}, stages)

    def finished(self, stage: str) -> StageFinished:
        """Return how a stage ended."""
        return next(one for one in self.events if isinstance(one, StageFinished) and one.stage == stage)

    def started(self) -> list[str]:
        """Return the stages that began."""
        return [one.stage for one in self.events if isinstance(one, StageStarted)]


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """Return a new ground."""
    return Ground(tmp_path)


def test_stages_run_one_after_the_other(ground: Ground) -> None:
    ground.run({"contract": "PASS", "chaos": "PASS", "load": "PASS"})

    assert ground.started() == ["contract", "load", "chaos"]


def test_run_is_framed_by_what_has_to_be_known_of_it(ground: Ground) -> None:
    ground.run({"load": "FAIL"})

    assert ground.events[0] == RunStarted(FACTS)
    last = ground.events[-1]
    assert isinstance(last, RunFinished)
    assert (last.ending, last.exit_code) == (Ending.FAIL, 1)


@pytest.mark.parametrize(
    "ending",
    ["PASS", "FAIL", "INVALID", "ABORTED", "ENVIRONMENT", "USAGE", "ERROR", "INTERRUPTED"],
)
def test_stage_ends_as_its_work_did(ground: Ground, ending: str) -> None:
    assert ground.run({"load": ending}) is Ending(ending)
    assert ground.finished("load").ending is Ending(ending)


@pytest.mark.parametrize("ending", ["FAIL", "INVALID", "ABORTED", "ENVIRONMENT", "USAGE", "ERROR"])
def test_every_ending_but_a_good_one_has_a_reason(ground: Ground, ending: str) -> None:
    ground.run({"load": ending})

    assert ground.finished("load").reason


def test_judging_stage_that_checked_nothing_is_invalid(ground: Ground) -> None:
    assert ground.run({"load": "nothing"}) is Ending.INVALID


def test_preparing_stage_needs_no_check_to_pass(ground: Ground) -> None:
    assert ground.run({"supply": "nothing", "load": "PASS"}) is Ending.PASS
    assert ground.finished("supply").ending is Ending.PASS


@pytest.mark.parametrize("ending", ["INVALID", "ENVIRONMENT"])
def test_run_in_which_nothing_was_judged_does_not_pass(ground: Ground, ending: str) -> None:
    deeds = {"doctor": "nothing", "supply": "nothing" if ending == "INVALID" else ending}

    assert ground.run(deeds) is Ending(ending)


def test_failed_check_stays_a_fact_when_the_environment_breaks_afterwards(ground: Ground) -> None:
    def work(room: Room) -> None:
        room.record(KIND.failed("planted", "it fails", expected="a", observed="b"))
        raise EnvironmentNotReadyError("GONE", "it is gone", hint="bring it back")

    assert ground.run({}, load=work) is Ending.FAIL


def test_harness_that_broke_is_an_error_whatever_had_failed_before(ground: Ground) -> None:
    def work(room: Room) -> None:
        room.record(KIND.failed("planted", "it fails", expected="a", observed="b"))
        raise HarnessError("HISTORY_INCOMPLETE", "orders are missing", hint="")

    assert ground.run({}, load=work) is Ending.ERROR


def test_mistake_in_the_harness_is_an_error_with_a_traceback(ground: Ground) -> None:
    def work(room: Room) -> None:
        raise ZeroDivisionError("a mistake")

    assert ground.run({}, load=work) is Ending.ERROR
    assert "a mistake" in (ground.folder / "load" / "traceback.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("ending", ["ABORTED", "ERROR", "INTERRUPTED"])
def test_nothing_runs_after_an_ending_that_ends_the_run(ground: Ground, ending: str) -> None:
    ground.run({"load": ending, "chaos": "PASS"})

    assert ground.finished("chaos").ending is Ending.NOT_RUN
    assert ground.finished("chaos").reason == f"load ended {ending}"


def test_stage_after_a_failed_one_runs_when_it_does_not_need_it(ground: Ground) -> None:
    ground.run({"load": "FAIL", "chaos": "PASS"})

    assert ground.started() == ["load", "chaos"]


def test_checks_are_emitted_with_their_stage(ground: Ground) -> None:
    ground.run({"load": "FAIL"})

    emitted = next(one for one in ground.events if isinstance(one, CheckFinished))
    assert emitted.stage == "load"
    assert isinstance(emitted.check, Check)


@pytest.mark.parametrize(("stage", "ending"), [("load", Ending.INVALID), ("supply", Ending.ENVIRONMENT)])
def test_stage_that_hangs_is_ended_by_its_limit(ground: Ground, stage: str, ending: Ending) -> None:
    limited = tuple(
        Planned(replace(one.spec, limit_seconds=0.05), one.skip) for one in plans({stage: "wait"})
    )
    runner = ground.runner({stage: planted("wait", ground.ledger)})

    assert runner.run(limited) is ending
    assert ground.undone == [stage]


def test_what_a_stage_broke_is_mended_before_the_next_one_begins_also_after_its_limit(ground: Ground) -> None:
    found: list[list[str]] = []

    def look(room: Room) -> None:
        found.append([entry.kind for entry in ground.ledger.entries()])

    def collect(room: Room, since: datetime) -> list[str]:
        found.append([entry.kind for entry in ground.ledger.entries()])
        return []

    limited = tuple(
        Planned(replace(one.spec, limit_seconds=0.05) if one.spec.name == "chaos" else one.spec, one.skip)
        for one in plans({"chaos": "wait", "events": ""})
    )
    stages = {"chaos": planted("wait", ground.ledger), "events": look}
    replace(ground.runner(stages), faults=("planted",), diagnose=collect).run(limited)

    # What explains the stage is collected while the fault is there; the next stage does not find it.
    assert found[:2] == [["planted"], []]
    assert ground.undone == ["chaos"]


def test_other_changes_stay_until_the_run_ends(ground: Ground) -> None:
    found: list[int] = []
    stages = {
        "contract": planted("change", ground.ledger),
        "load": lambda room: found.append(len(ground.ledger.entries())),
    }
    replace(ground.runner(stages), faults=("another",)).run(plans(dict.fromkeys(stages, "")))

    assert (found, ground.undone) == ([1], ["contract"])


def test_timer_of_a_stage_does_not_outlive_it(ground: Ground) -> None:
    ground.run({"load": "PASS"})

    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_signals_are_handled_afterwards_as_they_were_before(ground: Ground) -> None:
    before = signal.getsignal(signal.SIGINT)
    ground.run({"load": "PASS"})

    assert signal.getsignal(signal.SIGINT) is before


def test_second_signal_does_not_cut_off_the_undoing(ground: Ground) -> None:
    def work(room: Room) -> None:
        ground.ledger.enter("planted", "a change", stage="load")
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)  # the interpreter sees a signal between two instructions

    def undo(arguments: Mapping[str, str]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        ground.undo(arguments)

    runner = replace(ground.runner({"load": work}), undoers={"planted": undo})

    assert runner.run(plans({"load": ""})) is Ending.INTERRUPTED
    assert ground.undone == ["load"]


@pytest.mark.parametrize("ending", ["change", "FAIL", "ABORTED", "ERROR", "INTERRUPTED"])
def test_changes_are_undone_however_the_run_ends(ground: Ground, ending: str) -> None:
    ground.run({"contract": "change", "load": ending})

    assert ground.undone[-1] == "contract"
    assert ground.ledger.entries() == []


def test_newest_change_is_undone_first(ground: Ground) -> None:
    ground.run({"contract": "change", "load": "change"})

    assert ground.undone == ["load", "contract"]


def test_signal_does_not_cut_off_the_undoing_after_a_mistake(ground: Ground) -> None:
    def emit(event: Event) -> None:
        if isinstance(event, StageFinished) and event.stage == "load":
            raise ZeroDivisionError("a mistake")

    def undo(arguments: Mapping[str, str]) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        ground.undo(arguments)

    runner = replace(
        ground.runner({"load": planted("change", ground.ledger)}), emit=emit, undoers={"planted": undo}
    )

    with pytest.raises(ZeroDivisionError):
        runner.run(plans({"load": ""}))
    assert ground.undone == ["load"]


@pytest.mark.parametrize("ending", ["PASS", "FAIL", "INTERRUPTED"])
def test_run_whose_changes_cannot_be_undone_is_an_error(ground: Ground, ending: str) -> None:
    def broken(arguments: Mapping[str, str]) -> None:
        raise EnvironmentNotReadyError("GONE", "it is gone", hint="bring it back")

    deeds = {"contract": "change", "load": ending}
    stages = {name: planted(deed, ground.ledger) for name, deed in deeds.items()}
    runner = replace(ground.runner(stages), undoers={"planted": broken})

    assert runner.run(plans(deeds)) is Ending.ERROR
    assert [entry.what for entry in ground.ledger.entries()] == ["change of contract"]


@pytest.mark.parametrize(
    ("ending", "asked"), [("PASS", 0), ("INTERRUPTED", 0), ("FAIL", 1), ("ENVIRONMENT", 1)]
)
def test_what_explains_a_stage_is_collected_when_it_did_not_pass(
    ground: Ground, ending: str, asked: int
) -> None:
    runner = replace(
        ground.runner({"load": planted(ending, ground.ledger)}),
        diagnose=lambda room, since: ["load/events.txt"],
    )
    runner.run(plans({"load": ""}))

    assert len(ground.finished("load").artefacts) == asked


def test_what_was_collected_counts_when_the_rest_cannot_be_had(ground: Ground) -> None:
    def cut_off(room: Room, since: datetime) -> Iterator[str]:
        yield "load/events.txt"
        raise EnvironmentNotReadyError("GONE", "no answer", hint="")

    runner = replace(ground.runner({"load": planted("FAIL", ground.ledger)}), diagnose=cut_off)
    runner.run(plans({"load": ""}))

    assert ground.finished("load").artefacts == ("load/events.txt",)
    assert any(isinstance(one, Notice) and "the rest" in one.message for one in ground.events)


@pytest.mark.parametrize("ending", ["PASS", "FAIL", "ERROR", "INTERRUPTED", "ABORTED"])
def test_secrets_are_taken_out_of_what_a_stage_left_however_it_ended(ground: Ground, ending: str) -> None:
    redacted: list[Path] = []
    stages = {
        name: planted(deed, ground.ledger) for name, deed in {"contract": "PASS", "load": ending}.items()
    }
    replace(ground.runner(stages), redact=redacted.append).run(plans(dict.fromkeys(stages, "")))

    assert redacted == [ground.folder / "contract", ground.folder / "load"]


def test_stage_keeps_its_ending_when_nothing_can_be_collected(ground: Ground) -> None:
    def gone(room: Room, since: datetime) -> list[str]:
        raise EnvironmentNotReadyError("GONE", "no answer", hint="")

    runner = replace(ground.runner({"load": planted("FAIL", ground.ledger)}), diagnose=gone)

    assert runner.run(plans({"load": ""})) is Ending.FAIL
    assert any(isinstance(one, Notice) and "no answer" in one.message for one in ground.events)


def test_explanation_that_breaks_takes_no_verdict_with_it(ground: Ground) -> None:
    def broken(room: Room, since: datetime) -> list[str]:
        raise TypeError("'NoneType' object is not iterable")

    stages = {name: planted(deed, ground.ledger) for name, deed in {"load": "FAIL", "chaos": "PASS"}.items()}
    runner = replace(ground.runner(stages), diagnose=broken)

    assert runner.run(plans(dict.fromkeys(stages, ""))) is Ending.FAIL
    assert ground.finished("load").ending is Ending.FAIL
    assert any(isinstance(one, Notice) and "not iterable" in one.message for one in ground.events)


def test_stage_keeps_its_ending_when_the_looking_back_is_interrupted(ground: Ground) -> None:
    def interrupted(room: Room, since: datetime) -> Iterator[str]:
        yield "load/events.txt"
        raise KeyboardInterrupt

    runner = replace(ground.runner({"load": planted("FAIL", ground.ledger)}), diagnose=interrupted)

    assert runner.run(plans({"load": ""})) is Ending.INTERRUPTED
    assert ground.finished("load").ending is Ending.FAIL
    assert ground.finished("load").artefacts == ("load/events.txt",)


def _start(folder: Path, *deeds: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder), *deeds],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / "harness")},
        stderr=subprocess.PIPE,
        # The tests themselves may be run by `nohup`.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )


def _await_change(folder: Path) -> None:
    wait_until(
        "the stage that hangs",
        (folder / "waiting").exists,
        timeout_seconds=60,
        hint="",
        interval_seconds=0.05,
    )


def _undone(folder: Path) -> list[str]:
    file = folder / "undone"
    return file.read_text(encoding="utf-8").split() if file.exists() else []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_the_run_after_undoing(tmp_path: Path, number: signal.Signals) -> None:
    with _start(tmp_path, "load=wait") as process:
        _await_change(tmp_path)
        process.send_signal(number)
        code = process.wait(60)

    assert (code, _undone(tmp_path)) == (ExitCode.INTERRUPTED, ["load"])


def test_run_under_nohup_outlives_its_terminal(ground: Ground) -> None:
    def work(room: Room) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0)  # the interpreter sees a signal between two instructions
        room.record(KIND.passed("planted", "it holds"))

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert ground.run({}, load=work) is Ending.PASS
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("stage", ["doctor", "supply", "cluster", "deploy", "contract", "load", "chaos"])
def test_next_run_undoes_what_a_killed_one_left(tmp_path: Path, stage: str) -> None:
    with _start(tmp_path, f"{stage}=wait") as process:
        _await_change(tmp_path)
        process.kill()
    assert _undone(tmp_path) == []

    with _start(tmp_path, f"{stage}=PASS", "events=PASS") as process:
        assert process.wait(60) == ExitCode.PASS
    assert _undone(tmp_path) == [stage]


def test_killed_run_leaves_what_it_said(tmp_path: Path) -> None:
    with _start(tmp_path, "load=wait") as process:
        _await_change(tmp_path)
        process.kill()

    kinds = [record["event"] for record in journal.read(tmp_path / "events.ndjson")]
    assert kinds[0] == "RunStarted"
    assert "CheckFinished" in kinds
