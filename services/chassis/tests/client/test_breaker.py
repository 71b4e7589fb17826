"""When the breaker opens, probes and closes."""

import pytest

from mambogo_chassis.client import breaker
from mambogo_chassis.client.breaker import Breaker, State


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(clock: Clock) -> Breaker:
    made = Breaker(clock=clock, jitter=lambda: 0.5)
    for _ in range(breaker.MIN_CALLS):
        made.failed()
    return made


def test_a_few_failures_do_not_open_it(clock: Clock) -> None:
    made = Breaker(clock=clock)
    for _ in range(breaker.MIN_CALLS - 1):
        made.failed()
    assert made.state is State.CLOSED


def test_half_of_the_recent_calls_failing_opens_it(clock: Clock) -> None:
    made = Breaker(clock=clock)
    for _ in range(breaker.MIN_CALLS):
        made.succeeded()
        made.failed()
    assert made.state is State.OPEN
    assert not made.allows()


def test_a_quarter_failing_does_not(clock: Clock) -> None:
    made = Breaker(clock=clock)
    for _ in range(breaker.WINDOW):
        made.succeeded()
        made.succeeded()
        made.succeeded()
        made.failed()
    assert made.state is State.CLOSED


def test_one_probe_at_a_time_after_the_pause(opened: Breaker, clock: Clock) -> None:
    clock.now += breaker.FIRST_PAUSE_SECONDS
    assert opened.allows()
    opened.begin()
    assert not opened.allows()


def test_good_probes_close_it(opened: Breaker, clock: Clock) -> None:
    clock.now += breaker.FIRST_PAUSE_SECONDS
    for _ in range(breaker.GOOD_PROBES):
        assert opened.allows()
        opened.begin()
        opened.succeeded()
    assert opened.state is State.CLOSED


def test_a_bad_probe_doubles_the_pause(opened: Breaker, clock: Clock) -> None:
    clock.now += breaker.FIRST_PAUSE_SECONDS
    opened.begin()
    opened.failed()
    clock.now += breaker.FIRST_PAUSE_SECONDS
    assert not opened.allows()
    clock.now += breaker.FIRST_PAUSE_SECONDS
    assert opened.allows()


def test_the_pause_has_an_upper_bound(opened: Breaker, clock: Clock) -> None:
    for _ in range(20):
        clock.now += breaker.LONGEST_PAUSE_SECONDS
        opened.begin()
        opened.failed()
    clock.now += breaker.LONGEST_PAUSE_SECONDS
    assert opened.allows()


def test_a_probe_that_was_abandoned_makes_room_for_the_next(opened: Breaker, clock: Clock) -> None:
    clock.now += breaker.FIRST_PAUSE_SECONDS
    opened.begin()
    opened.abandoned()
    assert opened.allows()


def test_a_probe_that_never_ended_is_given_up(opened: Breaker, clock: Clock) -> None:
    clock.now += breaker.FIRST_PAUSE_SECONDS
    opened.begin()
    clock.now += breaker.PROBE_LEASE_SECONDS
    assert opened.allows()


def test_old_failures_do_not_count_after_it_closed(opened: Breaker, clock: Clock) -> None:
    clock.now += breaker.FIRST_PAUSE_SECONDS
    for _ in range(breaker.GOOD_PROBES):
        opened.begin()
        opened.succeeded()
    opened.failed()
    assert opened.state is State.CLOSED
