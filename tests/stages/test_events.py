"""The events stage: it ends the tap that ran beside the others, or reads alone, and says what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from rehearsal.contract.tapping.tap import Sight
from rehearsal.core.events import Event, Notice, NotLookedAt
from rehearsal.core.verdicts import Verdict
from rehearsal.stages.events import EventsStage
from rehearsal.stages.room import Room

from tests.contract.tapping.shop_events import ROOT, TODAY, clean, see


@dataclass
class FakeTap:
    """A tap that heard what it is told."""

    sight: Sight
    begun: bool = True
    from_beginning: bool = False

    def begin(self, *, from_beginning: bool = False) -> None:
        """Begin."""
        self.begun, self.from_beginning = True, from_beginning

    def finish(self) -> Sight:
        """Return what was heard."""
        return self.sight


@pytest.fixture
def tap() -> FakeTap:
    """Return a tap that heard a clean run."""
    return FakeTap(Sight(see(clean())))


def _run(tap: FakeTap, room: Room) -> None:
    def today() -> date:
        return TODAY

    EventsStage(ROOT, tap, today)(room)


def _of(kind: type[Any], events: list[Event]) -> list[Any]:
    return [one for one in events if isinstance(one, kind)]


def test_clean_run_passes_and_says_what_the_tap_cost(room: Room, events: list[Event], tap: FakeTap) -> None:
    _run(tap, room)

    assert {one.verdict for one in room.checks} == {Verdict.PASS}
    assert [one.message[:29] for one in _of(Notice, events)] == ["the tap on Kafka took 1.0 % o"]


def test_types_of_which_there_was_no_event_are_said(room: Room, events: list[Event], tap: FakeTap) -> None:
    _run(tap, room)

    assert "com.mambogo.inventory.lost.v1" in _of(NotLookedAt, events)[0].what


def test_alone_it_reads_from_the_beginning_and_tells_no_cost(
    room: Room, events: list[Event], tap: FakeTap
) -> None:
    tap.begun = False
    _run(tap, room)

    assert tap.from_beginning
    assert _of(Notice, events) == []


def test_tap_that_saw_nothing_makes_every_check_invalid(room: Room) -> None:
    _run(FakeTap(Sight(None, "it could not begin: no broker")), room)

    assert {one.verdict for one in room.checks} == {Verdict.INVALID}
