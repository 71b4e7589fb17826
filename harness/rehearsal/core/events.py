"""Events: the only thing stages and engines say about their progress.

Frozen dataclasses, emitted through a plain callable. The console, the journal and the reports consume
them; no emitter knows who listens.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic

from rehearsal.core.checks import Check
from rehearsal.core.verdicts import Ending


class Level(StrEnum):
    """How much a notice matters to the reader."""

    INFO = "info"
    WARNING = "warning"


class Outcome(StrEnum):
    """How a step ended."""

    DONE = "done"  # the step changed something
    UNCHANGED = "unchanged"  # the wanted state was there already
    LEFT_OUT = "left out"  # it could not be done, and the work goes on without it
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step of work has begun; `name` identifies it until it ends."""

    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StepProgress:
    """A step says how far it is; only the latest one matters."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step has ended."""

    name: str
    outcome: Outcome
    seconds: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user must be able to see later: a fallback, a repair, a thing that was rebuilt."""

    level: Level
    message: str


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What has to be known to read a run's results, and to run it again."""

    id: str  # the name of its folder
    command: str
    sha: str  # of the commit; empty outside of git
    changed: bool  # whether the tree differs from the commit
    profile: str
    timing: str
    context: str
    seed: int
    machine: str
    order_p95_seconds: float | None = None  # what is promised of orders, wherever they are offered


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run of stages has begun."""

    facts: RunFacts


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage of the run has begun."""

    stage: str
    summary: str
    limit_seconds: float


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage has ended, or was not run; the reason stands for every ending but PASS."""

    stage: str
    ending: Ending
    seconds: float
    reason: str = ""
    artefacts: tuple[str, ...] = ()  # files of the run's folder, collected because it did not pass


@dataclass(frozen=True, slots=True)
class CheckFinished:
    """A check has come to its verdict."""

    stage: str
    check: Check


@dataclass(frozen=True, slots=True)
class FaultMade:
    """A fault was at work; times are Unix seconds."""

    title: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class NotLookedAt:
    """Something that a reader might think was looked at was not."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run has ended, and what it changed is undone."""

    ending: Ending
    exit_code: int
    seconds: float


Event = (
    StepStarted
    | StepProgress
    | StepFinished
    | Notice
    | RunStarted
    | StageStarted
    | StageFinished
    | CheckFinished
    | FaultMade
    | NotLookedAt
    | RunFinished
)
Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Emit to nobody, for callers that do not care about progress."""


def fan_out(*consumers: Emit) -> Emit:
    """Return an emitter that hands each event to every consumer, in order."""

    def emit(event: Event) -> None:
        for consume in consumers:
            consume(event)

    return emit


def as_record(event: Event) -> dict[str, object]:
    """Return an event as a flat record whose `event` key names its type."""
    return {"event": type(event).__name__, **dataclasses.asdict(event)}


@dataclass(slots=True)
class Step:
    """Handle of a running step, for progress and for what the end should say."""

    name: str
    emit: Emit
    outcome: Outcome = Outcome.DONE
    detail: str = ""
    _started: float = field(default_factory=monotonic)
    _said: str = ""

    def progress(self, message: str) -> None:
        """Say how far the step is; what was said last is not repeated."""
        if message != self._said:
            self._said = message
            self.emit(StepProgress(self.name, message))

    def unchanged(self, detail: str = "") -> None:
        """Record that the wanted state was there already."""
        self.outcome, self.detail = Outcome.UNCHANGED, detail

    def left_out(self) -> None:
        """Record that the work goes on without what this step was for; the error that follows says why."""
        self.outcome = Outcome.LEFT_OUT

    @property
    def seconds(self) -> float:
        """Seconds since the step began."""
        return monotonic() - self._started


@contextmanager
def step(emit: Emit, name: str, detail: str = "") -> Iterator[Step]:
    """Frame a piece of work by `StepStarted` and `StepFinished`.

    An exception ends it as FAILED, unless the step was said to be left out.
    """
    handle = Step(name, emit)
    emit(StepStarted(name, detail))
    try:
        yield handle
    except BaseException:
        outcome = handle.outcome if handle.outcome is Outcome.LEFT_OUT else Outcome.FAILED
        emit(StepFinished(name, outcome, handle.seconds, handle.detail))
        raise
    emit(StepFinished(name, handle.outcome, handle.seconds, handle.detail))
