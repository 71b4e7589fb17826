"""The events stage: what the other stages left on Kafka, judged by the committed schemas.

Its tap looks from before the first of them to after the last one. Without any of them it reads what the
topics still have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol

from rehearsal.contract.tapping.explaining import read_explanations
from rehearsal.contract.tapping.judging import Ground, cost_of, judge, unseen_types
from rehearsal.contract.tapping.known import read_known
from rehearsal.contract.tapping.seen import RECORDS, SUMMARY
from rehearsal.contract.tapping.tap import Sight
from rehearsal.core.events import NotLookedAt, step
from rehearsal.stages.room import Room


class Listener(Protocol):
    """What listens beside the other stages."""

    @property
    def begun(self) -> bool:
        """Whether somebody has begun it."""

    def begin(self, *, from_beginning: bool = False) -> None:
        """Begin to listen; only the first time counts."""

    def finish(self) -> Sight:
        """Listen to the end, and return what was heard."""


def _today() -> date:
    return datetime.now(UTC).date()


@dataclass(frozen=True, slots=True)
class EventsStage:
    """Ends the tap and judges what it saw."""

    root: Path  # the checkout, with the committed schemas
    tap: Listener
    today: Callable[[], date] = _today

    def __call__(self, room: Room) -> None:
        """End, judge, say what it cost and what there was nothing to see of."""
        known = read_known(self.root)
        was_beside = self.tap.begun
        if not was_beside:
            self.tap.begin(from_beginning=True)
        with step(room.emit, "tap", "up to where the topics end now"):
            sight = self.tap.finish()
        evidence = tuple(f"{room.stage}/{name}" for name in (RECORDS, SUMMARY))
        ground = Ground(known, read_explanations(self.root, self.today()), evidence)
        for check in judge(sight, ground):
            room.record(check)
        if sight.seen is not None:
            if was_beside:  # alone, it reads as fast as it can, and nothing is measured
                room.emit(cost_of(sight.seen))
            if unseen := unseen_types(sight.seen, known):
                room.emit(NotLookedAt(f"events of {', '.join(unseen)}", "none was written in this run"))
