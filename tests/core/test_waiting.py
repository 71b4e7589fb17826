"""Waiting, by a clock that the test owns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.waiting import NotYet, WaitTimeoutError, wait_until


@dataclass(slots=True)
class Clock:
    """A clock that moves only when somebody sleeps."""

    now: float = 100.0
    sleeps: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.sleeps.append(seconds)
        self.now += seconds

    def wait(self, probe: Callable[[], object], *, timeout_seconds: float = 1.0) -> object:
        """Wait by this clock, four probes a second."""
        return wait_until(
            "the registry",
            probe,
            timeout_seconds=timeout_seconds,
            hint="docker logs registry",
            interval_seconds=0.25,
            clock=lambda: self.now,
            sleep=self.sleep,
        )


def _answers(*values: object) -> Callable[[], object]:
    """Return a probe that gives these values in turn; asked once more, it fails the test."""
    left: Iterator[object] = iter(values)
    return lambda: next(left)


def test_value_that_is_there_is_returned_without_sleeping() -> None:
    clock = Clock()

    assert clock.wait(_answers("up")) == "up"
    assert clock.sleeps == []


def test_falsy_values_are_not_yet() -> None:
    assert Clock().wait(_answers(None, False, 0, [], "up")) == "up"


def test_probe_is_asked_once_even_without_time() -> None:
    assert Clock().wait(_answers("up"), timeout_seconds=0) == "up"


def test_probe_is_asked_once_more_after_the_deadline() -> None:
    clock = Clock()
    answers = _answers(None, "up")

    def asleep_after_the_first() -> object:
        value = answers()
        clock.now += 3600  # a suspended laptop
        return value

    assert clock.wait(asleep_after_the_first) == "up"


def test_wait_ends_after_its_time() -> None:
    clock = Clock()

    with pytest.raises(WaitTimeoutError):
        clock.wait(lambda: None)

    assert clock.now - 100.0 == 1.0


def test_error_says_what_was_awaited_what_was_seen_and_what_to_do() -> None:
    def probe() -> None:
        raise NotYet("status 500")

    with pytest.raises(WaitTimeoutError) as caught:
        Clock().wait(probe)

    assert caught.value.message == "the registry: not within 1 s; last seen: status 500"
    assert caught.value.hint == "docker logs registry"
    assert caught.value.code == "WAIT_TIMEOUT"


def test_error_says_when_nothing_was_seen() -> None:
    with pytest.raises(WaitTimeoutError, match="nothing was seen"):
        Clock().wait(lambda: None)


def test_last_value_seen_outlives_a_probe_that_saw_nothing() -> None:
    with pytest.raises(WaitTimeoutError, match="last seen: 0") as caught:
        Clock().wait(_answers(0, None, None, None, None))

    assert caught.value.last == 0


def test_other_errors_end_the_wait_at_once() -> None:
    clock = Clock()

    def probe() -> None:
        raise EnvironmentNotReadyError("GONE", "the container is gone", hint="")

    with pytest.raises(EnvironmentNotReadyError, match="gone"):
        clock.wait(probe)

    assert clock.sleeps == []
