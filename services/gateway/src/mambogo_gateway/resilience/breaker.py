"""A circuit breaker per upstream: closed, open, half-open.

It counts what the upstream did (no connection, broken or late answers, 502, 503, 504), never what a client
did. Time is given by the caller, so the whole is deterministic.
"""

from __future__ import annotations

from typing import Final

from mambogo_gateway.config import BreakerConfig

CLOSED: Final = 0
OPEN: Final = 1
HALF_OPEN: Final = 2

# The window is counted in this many slices; one slice is the error of its length.
_SLICES: Final = 10


class CircuitBreaker:
    """Admits or spares; every admitted request is recorded exactly once."""

    __slots__ = (
        "_config",
        "_failures",
        "_opened_at",
        "_slice",
        "_slice_seconds",
        "_successes",
        "_trials",
        "_trials_passed",
        "state",
    )

    def __init__(self, config: BreakerConfig) -> None:
        self._config = config
        self._slice_seconds = config.window_seconds / _SLICES
        self._slice = 0
        self._successes = [0] * _SLICES
        self._failures = [0] * _SLICES
        self._opened_at = 0.0
        self._trials = 0
        self._trials_passed = 0
        self.state = CLOSED

    def admit(self, now: float) -> bool:
        """Whether a request may go to the upstream at `now` (monotonic seconds)."""
        if self.state == CLOSED:
            return True
        if self.state == OPEN:
            if now - self._opened_at < self._config.open_seconds:
                return False
            self._half_open(now)
        if self._trials >= self._config.trial_requests:
            # A trial may never come back (its client left): after one more period others may try.
            if now - self._opened_at < self._config.open_seconds:
                return False
            self._half_open(now)
        self._trials += 1
        return True

    def _half_open(self, now: float) -> None:
        self.state = HALF_OPEN
        self._opened_at = now
        self._trials = 0
        self._trials_passed = 0

    def succeeded(self, now: float) -> None:
        """Record an answer that shows a working upstream."""
        if self.state == HALF_OPEN:
            self._trials_passed += 1
            if self._trials_passed >= self._config.trial_requests:
                self._close()
            return
        self._advance(now)
        self._successes[self._slice % _SLICES] += 1

    def failed(self, now: float) -> None:
        """Record a failure; opens the circuit when the ratio of the window is reached."""
        if self.state == HALF_OPEN:
            self._open(now)
            return
        self._advance(now)
        self._failures[self._slice % _SLICES] += 1
        if self.state == OPEN:
            return
        failures = sum(self._failures)
        total = failures + sum(self._successes)
        if total >= self._config.minimum_requests and failures >= total * self._config.failure_ratio:
            self._open(now)

    def _open(self, now: float) -> None:
        self.state = OPEN
        self._opened_at = now

    def _close(self) -> None:
        self.state = CLOSED
        self._successes = [0] * _SLICES
        self._failures = [0] * _SLICES

    def _advance(self, now: float) -> None:
        """Move to the slice of `now`, clearing those that were passed."""
        current = int(now / self._slice_seconds)
        if current == self._slice:
            return
        for passed in range(max(self._slice + 1, current - _SLICES + 1), current + 1):
            self._successes[passed % _SLICES] = 0
            self._failures[passed % _SLICES] = 0
        self._slice = current
