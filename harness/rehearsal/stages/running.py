"""Running the planned stages: each in its time, each with an ending, and everything undone afterwards.

A stage works in the main thread: its time limit is a timer of the process, which unwinds it as Ctrl-C does.
The same timer looks whether there is still room on the machine, and ends the run before there is none.
What a stage broke is mended before the next one begins, however it ended; all else at the run's end.
The first signal unwinds the run; no later one cuts off its undoing. What a killed run left is for the next
one, by the ledger.
"""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from time import monotonic
from types import FrameType

from rehearsal.core.errors import RehearsalError
from rehearsal.core.events import (
    Emit,
    Level,
    Notice,
    RunFacts,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
)
from rehearsal.core.ledger import Ledger, Undo, undo_all
from rehearsal.core.verdicts import Ending, ExitCode, combine, combine_endings, exit_code_of_ending
from rehearsal.stages.guarding import Guard
from rehearsal.stages.planning import Planned, unmet
from rehearsal.stages.registry import StageSpec
from rehearsal.stages.room import Room, Stage, StopConditionError

Diagnose = Callable[[Room, datetime], Iterable[str]]

_DIAGNOSIS_SECONDS = 60.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OF_ERROR_CODES = {ExitCode.ENVIRONMENT: Ending.ENVIRONMENT, ExitCode.USAGE: Ending.USAGE}
_ENDS_THE_RUN = (Ending.INTERRUPTED, Ending.ABORTED, Ending.ERROR)


class OvertimeError(KeyboardInterrupt):
    """A stage used up its time.

    A kind of KeyboardInterrupt, because that alone passes through everything: through `except Exception`, and
    out of asyncio, which gives any other exception to the task that happened to run.
    """


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs stages in one run's folder."""

    facts: RunFacts
    folder: Path
    emit: Emit
    ledger: Ledger
    undoers: Mapping[str, Undo]
    stages: Mapping[str, Stage]
    # Collects what explains a stage that did not pass, while it is fresh; returns files of the run's folder.
    diagnose: Diagnose = lambda room, since: ()
    guard: Guard | None = None
    # Takes the secrets out of what a stage left in its folder.
    redact: Callable[[Path], None] = lambda folder: None
    # Kinds of changes that the stages after must not find, because they would judge what is broken.
    faults: Collection[str] = ()

    def run(self, planned: Sequence[Planned]) -> Ending:
        """Run the stages, undo what they changed, and return how the run ended."""
        started = monotonic()
        course = _Course(planned)
        with one_signal() as signals:
            try:
                try:
                    self._take_all(planned, course)
                finally:
                    signals.close()
            finally:
                # By now a signal was heard, or none is heard any more: nothing cuts this off.
                course.broken = not self._undone()
            ending = course.ending
            self.emit(RunFinished(ending, int(exit_code_of_ending(ending)), monotonic() - started))
        return ending

    def _take_all(self, planned: Sequence[Planned], course: _Course) -> None:
        try:
            self.emit(RunStarted(self.facts))
            for one in planned:
                self._take(one, course)
        except KeyboardInterrupt:
            # Between two stages; within one it is that stage's ending.
            course.interrupted = True

    def _take(self, one: Planned, course: _Course) -> None:
        if why := one.skip or course.why_not(one.spec):
            course.endings[one.spec.name] = Ending.NOT_RUN
            self.emit(StageFinished(one.spec.name, Ending.NOT_RUN, 0.0, why))
            return
        started, began_at = monotonic(), datetime.now(UTC)
        self.emit(StageStarted(one.spec.name, one.spec.summary, one.spec.limit_seconds))
        room = Room(one.spec.name, self.folder, self.facts.seed, self.emit)
        ending, reason = self._work(one.spec, room)
        course.endings[one.spec.name] = ending
        seconds = monotonic() - started
        artefacts: list[str] = []
        try:
            self._diagnose(one.spec, room, ending, began_at, artefacts)
            self._mend(ending)
            self.redact(self.folder / one.spec.name)
        finally:
            # Also when that is interrupted: how the stage ended is known.
            self.emit(StageFinished(one.spec.name, ending, seconds, reason, tuple(artefacts)))

    def _diagnose(
        self, spec: StageSpec, room: Room, ending: Ending, since: datetime, found: list[str]
    ) -> None:
        # Whoever interrupts a run does not want to wait; what only prepares has no cluster to ask yet.
        if not spec.judges or ending in (Ending.PASS, Ending.INTERRUPTED):
            return
        try:
            with time_limit(_DIAGNOSIS_SECONDS):
                # One by one: what was collected counts, whatever becomes of the rest.
                for name in self.diagnose(room, since):
                    found.append(name)
        except (Exception, OvertimeError) as error:
            # Whatever it is: an explanation that is missing must not take the run's verdict with it.
            why = str(error) or ("it took too long" if isinstance(error, OvertimeError) else repr(error))
            what = "the rest of what" if found else "what"
            self.emit(Notice(Level.WARNING, f"{what} explains {spec.name} could not be collected: {why}"))

    def _mend(self, ending: Ending) -> None:
        """Undo the faults that a stage left: after what explains it was collected, for that shows them.

        What stays is undone at the run's end, as all is that ends the run.
        """
        if ending not in _ENDS_THE_RUN:
            for kind in self.faults:
                undo_all(self.ledger, self.undoers, self.emit, kind=kind)

    def _work(self, spec: StageSpec, room: Room) -> tuple[Ending, str]:
        try:
            with time_limit(spec.limit_seconds, None if spec.only_looks else self.guard):
                self.stages[spec.name](room)
        except OvertimeError:
            return _unfinished(spec, room), f"it did not come to an end within {spec.limit_seconds:.0f} s"
        except StopConditionError as stop:
            return Ending.ABORTED, str(stop)
        except KeyboardInterrupt:
            return Ending.INTERRUPTED, "interrupted"
        except RehearsalError as error:
            return _of_error(error, room), f"{error.message} [{error.code}]; next: {error.hint}"
        except Exception as error:
            trace = room.folder / "traceback.txt"
            trace.write_text(traceback.format_exc(), encoding="utf-8")
            return Ending.ERROR, f"the harness broke: {type(error).__name__}: {error} (traceback: {trace})"
        return _of_checks(spec, room)

    def _undone(self) -> bool:
        left = undo_all(self.ledger, self.undoers, self.emit)
        for entry in left:
            self.emit(Notice(Level.WARNING, f"still to be undone, by the next run: {entry.what}"))
        return not left


@dataclass(slots=True)
class _Course:
    """How far a run has come."""

    planned: Sequence[Planned]
    endings: dict[str, Ending] = field(default_factory=dict)
    interrupted: bool = False
    broken: bool = False  # something could not be undone

    def why_not(self, spec: StageSpec) -> str:
        for name, ending in self.endings.items():
            if ending in _ENDS_THE_RUN:
                return f"{name} ended {ending.value}"
        return unmet(spec, self.endings, self.planned)

    @property
    def ending(self) -> Ending:
        if self.broken:
            return Ending.ERROR  # also of a run that was interrupted: that would say that all is undone
        ending = combine_endings([*self.endings.values(), *[Ending.INTERRUPTED] * self.interrupted])
        # What only prepares says nothing about the product, however well it went.
        return Ending.INVALID if ending is Ending.PASS and not self._has_judged else ending

    @property
    def _has_judged(self) -> bool:
        return any(one.spec.judges and self.endings.get(one.spec.name) is Ending.PASS for one in self.planned)


def _of_checks(spec: StageSpec, room: Room) -> tuple[Ending, str]:
    if not spec.judges:
        return Ending.PASS, ""
    verdict = combine(check.verdict for check in room.checks)
    bad = [check.sentence for check in room.checks if check.verdict is verdict]
    if not room.checks:
        return Ending.INVALID, "nothing was checked"
    return Ending(verdict.value), "" if verdict.value == Ending.PASS.value else bad[0]


def _of_error(error: RehearsalError, room: Room) -> Ending:
    ending = _OF_ERROR_CODES.get(error.exit_code, Ending.ERROR)
    # What had failed before the environment broke stays a fact; a harness that broke is none to be believed.
    return Ending.FAIL if room.failed() and ending is not Ending.ERROR else ending


def _unfinished(spec: StageSpec, room: Room) -> Ending:
    if room.failed():
        return Ending.FAIL
    return Ending.INVALID if spec.judges else Ending.ENVIRONMENT


@contextmanager
def time_limit(seconds: float, guard: Guard | None = None) -> Iterator[None]:
    """Raise OvertimeError in the main thread when the block takes longer, or what its guard raises.

    The guard looks before the block begins, and every few seconds while it lasts.
    """
    if guard is not None:
        guard.check()
    looks = ceil(seconds / guard.every_seconds) if guard is not None else 1
    end = monotonic() + seconds

    def alarm(number: int, frame: FrameType | None) -> None:
        try:
            if guard is None or monotonic() >= end:
                raise OvertimeError
            guard.check()
        except KeyboardInterrupt:
            # Once only: what unwinds now must not be cut off.
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise

    before = signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds / looks, seconds / looks)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass(slots=True)
class Signals:
    """Which signals have been heard; closed, none is."""

    closed: bool = False

    def close(self) -> None:
        """Hear no more."""
        self.closed = True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal: the first one interrupts."""
        if not self.closed:
            self.closed = True
            # What unwinds now must not be cut off by the time limit or the guard of its stage.
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt


@contextmanager
def one_signal() -> Iterator[Signals]:
    """Raise KeyboardInterrupt for the first signal that asks to end, and for no other.

    A terminal's Ctrl-C, nox and CI may all send one. What `nohup` starts is to outlive its terminal.
    """
    signals = Signals()
    numbers = [one for one in _SIGNALS if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN]
    before = {number: signal.signal(number, signals) for number in numbers}
    try:
        yield signals
    finally:
        for number, old in before.items():
            signal.signal(number, old)
