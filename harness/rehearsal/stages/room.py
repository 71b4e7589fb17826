"""What a stage works in: its folder, its seed, and the only ways in which it can say something."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rehearsal.core.checks import Check
from rehearsal.core.events import CheckFinished, Emit
from rehearsal.core.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Room:
    """The room of one stage in one run."""

    stage: str
    run: Path  # the run's folder
    seed: int
    emit: Emit
    checks: list[Check] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The stage's own folder, for artefacts; made when it is first asked for."""
        folder = self.run / self.stage
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def record(self, check: Check) -> None:
        """Take a check's result down."""
        self.checks.append(check)
        self.emit(CheckFinished(self.stage, check))

    def failed(self) -> list[Check]:
        """Return the checks that do not hold."""
        return [one for one in self.checks if one.verdict is Verdict.FAIL]


class Stage(Protocol):
    """A stage's work."""

    def __call__(self, room: Room) -> None:
        """Do it; results go to the room. Raises RehearsalError when it cannot be done at all."""


class StopConditionError(KeyboardInterrupt):
    """Ends the run at once: going on would harm what it runs on.

    A kind of KeyboardInterrupt, as `running.OvertimeError` is and for the same reason.
    """
