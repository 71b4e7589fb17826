"""Breaker, retry budget and deadlines, on a clock that the test holds."""

from __future__ import annotations

from mambogo_gateway.config import BreakerConfig
from mambogo_gateway.resilience.breaker import CLOSED, HALF_OPEN, OPEN, CircuitBreaker
from mambogo_gateway.resilience.deadlines import deadline_value, seconds_left
from mambogo_gateway.resilience.retry_budget import RetryBudget

CONFIG = BreakerConfig(
    window_seconds=10, minimum_requests=10, failure_ratio=0.5, open_seconds=2, trial_requests=2
)


def opened(at: float) -> CircuitBreaker:
    """A breaker that opened at a moment."""
    breaker = CircuitBreaker(CONFIG)
    for _ in range(10):
        breaker.failed(at)
    assert breaker.state == OPEN
    return breaker


def test_few_failures_do_not_open_it() -> None:
    breaker = CircuitBreaker(CONFIG)
    for _ in range(9):
        breaker.failed(100.0)
    assert breaker.admit(100.0)


def test_it_opens_at_the_ratio() -> None:
    breaker = CircuitBreaker(CONFIG)
    for _ in range(10):
        breaker.succeeded(100.0)
    for _ in range(9):
        breaker.failed(100.0)
    assert breaker.state == CLOSED
    breaker.failed(100.0)
    assert breaker.state == OPEN


def test_failures_leave_the_window() -> None:
    breaker = CircuitBreaker(CONFIG)
    for _ in range(9):
        breaker.failed(100.0)
    breaker.failed(111.0)
    assert breaker.state == CLOSED


def test_open_it_admits_nothing_until_its_time_then_a_few() -> None:
    breaker = opened(100.0)
    assert not breaker.admit(101.9)
    assert [breaker.admit(102.0) for _ in range(3)] == [True, True, False]
    assert breaker.state == HALF_OPEN


def test_trials_that_succeed_close_it() -> None:
    breaker = opened(100.0)
    for _ in range(2):
        assert breaker.admit(102.0)
        breaker.succeeded(102.0)
    assert breaker.state == CLOSED
    breaker.failed(102.0)
    assert breaker.admit(102.0)


def test_a_failing_trial_opens_it_again() -> None:
    breaker = opened(100.0)
    assert breaker.admit(102.0)
    breaker.failed(102.0)
    assert not breaker.admit(103.9)


def test_trials_that_never_come_back_do_not_lock_it() -> None:
    breaker = opened(100.0)
    assert breaker.admit(102.0)
    assert breaker.admit(102.0)
    assert not breaker.admit(103.0)
    assert breaker.admit(104.0)


def test_retries_are_a_fraction_of_requests() -> None:
    budget = RetryBudget(ratio=0.1, reserve=10)
    assert sum(budget.spend() for _ in range(100)) == 10
    for _ in range(100):
        budget.earn()
    assert 9 <= sum(budget.spend() for _ in range(100)) <= 10


def test_a_deadline_survives_its_header() -> None:
    now = 1_795_435_200.0
    left = seconds_left(b"%d" % deadline_value(now, 2.5), now)
    assert left is not None
    assert abs(left - 2.5) < 0.01


def test_what_is_not_a_deadline_is_none() -> None:
    for value in (b"", b"12", b"-1795435200000", b"17954352000000", b"1795435200000.5", b"soon"):
        assert seconds_left(value, 0.0) is None
