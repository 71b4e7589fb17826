"""A token bucket that lets retries be a fraction of the traffic, so that they cannot multiply an outage."""

from __future__ import annotations


class RetryBudget:
    """Each request earns `ratio` of a retry; at most `reserve` are saved up."""

    __slots__ = ("_ratio", "_reserve", "_tokens")

    def __init__(self, *, ratio: float, reserve: int) -> None:
        self._ratio = ratio
        self._reserve = float(reserve)
        self._tokens = float(reserve)

    def earn(self) -> None:
        """Count a first attempt."""
        tokens = self._tokens + self._ratio
        self._tokens = tokens if tokens < self._reserve else self._reserve

    def spend(self) -> bool:
        """Take one retry, if there is one."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
