"""A program that runs planted stages by the real machine, for tests that end it from outside.

    planted_run.py FOLDER STAGE=DEED...

A deed is the ending that the stage is to have; `wait` leaves a change in the ledger and hangs; `change`
leaves one and passes. What is undone is written to FOLDER/undone.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from rehearsal.core.checks import CheckKind, Severity
from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError, HarnessError
from rehearsal.core.events import RunFacts
from rehearsal.core.journal import Journal
from rehearsal.core.ledger import Ledger, undo_all
from rehearsal.core.verdicts import exit_code_of_ending
from rehearsal.stages.planning import Planned, Request, plan
from rehearsal.stages.room import Room, Stage, StopConditionError
from rehearsal.stages.running import Runner

FACTS = RunFacts(
    id="20260102T030405Z-abcdef1",
    command="rehearsal e2e",
    sha="abcdef1",
    changed=False,
    profile="light",
    timing="compressed",
    context="kind-mambogo",
    seed=7,
    machine="2 cores",
)
KIND = CheckKind("planted.check", "A planted check", Severity.HIGH)


def planted(deed: str, ledger: Ledger) -> Stage:
    """Return a stage that does this deed."""

    def work(room: Room) -> None:
        match deed:
            case "FAIL":
                room.record(KIND.failed("planted", "it fails", expected="a", observed="b"))
            case "INVALID":
                room.record(KIND.invalid("planted", "it could not look"))
            case "ABORTED":
                raise StopConditionError("too many errors")
            case "ENVIRONMENT":
                raise EnvironmentNotReadyError("GONE", "it is gone", hint="bring it back")
            case "USAGE":
                raise ConfigurationError("NONSENSE", "that makes no sense", hint="ask for something else")
            case "ERROR":
                raise HarnessError("BROKE", "it broke", hint="mend it")
            case "INTERRUPTED":
                raise KeyboardInterrupt
            case "change" | "wait":
                ledger.enter("planted", f"change of {room.stage}", stage=room.stage)
                room.record(KIND.passed("planted", "it holds"))
        if deed == "wait":
            (room.run / "waiting").touch()
            threading.Event().wait()
        if deed == "PASS":
            room.record(KIND.passed("planted", "it holds"))

    return work


def plans(deeds: Mapping[str, str]) -> tuple[Planned, ...]:
    """Return the plan for the stages that have a deed."""
    return plan(Request(stages=tuple(deeds)))


def main(folder: Path, deeds: Mapping[str, str]) -> int:
    """Undo what an earlier one left, run the stages, and return the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(folder / "ledger")

    def undo(arguments: Mapping[str, str]) -> None:
        with (folder / "undone").open("a", encoding="utf-8") as file:
            file.write(arguments["stage"] + "\n")

    with Journal(folder / "events.ndjson") as journal:
        undo_all(ledger, {"planted": undo}, journal)
        stages = {name: planted(deed, ledger) for name, deed in deeds.items()}
        runner = Runner(FACTS, folder, journal, ledger, {"planted": undo}, stages)
        return exit_code_of_ending(runner.run(plans(deeds)))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), dict(word.split("=", 1) for word in sys.argv[2:])))
