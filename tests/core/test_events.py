"""Events and steps: a step that has begun always ends, and its end tells the truth."""

from __future__ import annotations

import pytest
from rehearsal.core.events import (
    Event,
    Level,
    Notice,
    Outcome,
    StepFinished,
    StepProgress,
    StepStarted,
    as_record,
    fan_out,
    step,
)


def _finish(seen: list[Event]) -> StepFinished:
    last = seen[-1]
    assert isinstance(last, StepFinished)
    return last


def test_step_begins_goes_on_and_ends() -> None:
    seen: list[Event] = []

    with step(seen.append, "images", "12 of them") as at:
        at.progress("3 of 12")

    assert seen[:2] == [StepStarted("images", "12 of them"), StepProgress("images", "3 of 12")]
    assert _finish(seen).outcome is Outcome.DONE


def test_step_without_work_ends_unchanged() -> None:
    seen: list[Event] = []

    with step(seen.append, "registry") as at:
        at.unchanged("it runs")

    assert (_finish(seen).outcome, _finish(seen).detail) == (Outcome.UNCHANGED, "it runs")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_step_that_raises_ends_failed_and_lets_the_error_through(error: type[BaseException]) -> None:
    seen: list[Event] = []

    with pytest.raises(error), step(seen.append, "nodes"):
        raise error

    assert _finish(seen).outcome is Outcome.FAILED


def test_step_that_fails_after_it_saw_nothing_to_do_is_failed() -> None:
    seen: list[Event] = []

    def too_early() -> None:
        with step(seen.append, "nodes") as at:
            at.unchanged()
            raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        too_early()

    assert _finish(seen).outcome is Outcome.FAILED


def test_step_that_is_left_out_ends_so_and_lets_the_error_through() -> None:
    seen: list[Event] = []

    def refused() -> None:
        with step(seen.append, "image") as at:
            at.left_out()
            raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        refused()

    assert _finish(seen).outcome is Outcome.LEFT_OUT


def test_step_ends_once() -> None:
    seen: list[Event] = []

    with pytest.raises(ValueError, match="x"), step(seen.append, "nodes"):
        raise ValueError("x")

    assert sum(isinstance(one, StepFinished) for one in seen) == 1


def test_every_consumer_gets_each_event_in_order() -> None:
    seen: list[tuple[str, Event]] = []
    emit = fan_out(lambda one: seen.append(("console", one)), lambda one: seen.append(("journal", one)))
    first, second = StepStarted("a"), StepStarted("b")

    emit(first)
    emit(second)

    assert seen == [("console", first), ("journal", first), ("console", second), ("journal", second)]


def test_record_names_the_type_of_its_event() -> None:
    assert as_record(Notice(Level.WARNING, "made anew")) == {
        "event": "Notice",
        "level": Level.WARNING,
        "message": "made anew",
    }
