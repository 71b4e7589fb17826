"""A circuit breaker over one instance's recent outcomes: closed, open, half-open.

It opens when at least `MIN_CALLS` of the last `WINDOW` calls are there and half of them failed. After a
pause a single probe is let through; two good probes in a row close it, a bad one opens it again for longer.
A call that its own caller gave up says nothing about the instance and is not counted.
"""

from __future__ import annotations

import enum
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

WINDOW: Final = 20
MIN_CALLS: Final = 5
FAILURE_SHARE: Final = 0.5
# Short enough that a restarted pod is back in use within seconds; doubled by each failed probe.
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 15.0
GOOD_PROBES: Final = 2
# A probe whose outcome never came back (its task was killed) must not keep the breaker half-open for ever.
PROBE_LEASE_SECONDS: Final = 30.0


class State(enum.Enum):
    """What the breaker lets through: everything, nothing, or one probe at a time."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(slots=True)
class Breaker:
    """One instance's breaker. `clock` is monotonic seconds."""

    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    state: State = State.CLOSED
    _outcomes: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _pause_seconds: float = FIRST_PAUSE_SECONDS
    _reopens_at: float = 0.0
    _probe_until: float = 0.0
    _good_probes: int = 0

    def allows(self) -> bool:
        """Whether a call may go out now. Asking changes nothing."""
        if self.state is State.CLOSED:
            return True
        if self.state is State.OPEN:
            return self.clock() >= self._reopens_at
        return self.clock() >= self._probe_until

    def begin(self) -> None:
        """A call goes out; while not closed it is the probe, and no other goes until it has ended."""
        if self.state is State.CLOSED:
            return
        self.state = State.HALF_OPEN
        self._probe_until = self.clock() + PROBE_LEASE_SECONDS

    def succeeded(self) -> None:
        """The instance answered."""
        if self.state is State.CLOSED:
            self._outcomes.append(True)
            return
        self._probe_until = 0.0
        self._good_probes += 1
        if self._good_probes >= GOOD_PROBES:
            self.state = State.CLOSED
            self._outcomes.clear()
            self._pause_seconds = FIRST_PAUSE_SECONDS

    def failed(self) -> None:
        """The instance did not answer, or answered that it cannot."""
        if self.state is not State.CLOSED:
            self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)
            self._open()
            return
        self._outcomes.append(False)
        bad = self._outcomes.count(False)
        if len(self._outcomes) >= MIN_CALLS and bad >= FAILURE_SHARE * len(self._outcomes):
            self._open()

    def abandoned(self) -> None:
        """The caller went away; the next probe may go at once."""
        self._probe_until = 0.0

    def _open(self) -> None:
        self.state = State.OPEN
        self._good_probes = 0
        # Jitter, so that all callers of a recovering instance do not probe in step.
        self._reopens_at = self.clock() + self._pause_seconds * (0.8 + 0.4 * self.jitter())
