"""Measuring what operations cost in two pods, one of an earlier image: batches in turn, there and back.

Both ways round (before, after, then after, before) cancels what drifts, and the same operation at the same
time how fast the machine is at it just then. What a pod uses when nobody asks it is taken off. Nothing is
judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import monotonic
from typing import Final, Protocol

from rehearsal.cluster.usage import PodOnNode
from rehearsal.load.weighing.judging import MOST_PAIRS, Measured
from rehearsal.load.weighing.operations import Operation

# An idle service takes 5 m with probes and scrapes, a scrape within the look 5 m more.
MOST_IDLE: Final = 0.03  # of a core, for a pod
_MOST_VOID: Final = 5  # pairs of an operation that were cut off by a pod's end
_WARM_UPS: Final = 3  # batches, after which an interpreter that has just started is as fast as it gets
_NANOSECONDS: Final = 1e9
_MILLISECOND: Final = 1e6


class TroubleError(Exception):
    """Why an operation, or all of a service, cannot be weighed."""


class VoidError(Exception):
    """A batch that says nothing; the next one may."""


class Pods(Protocol):
    """The ready pods of a service, one of which is asked: one of an earlier image, or one of those now."""

    def counted(self, operation: Operation) -> Sequence[PodOnNode]:
        """Return the pods in which an operation's work is: the asked one, or all that are ready now."""

    def used(self, pods: Sequence[PodOnNode]) -> int:
        """Return the nanoseconds of CPU that pods have used. Raises VoidError when one of them has ended."""

    def ask(self, operation: Operation) -> None:
        """Ask for one batch and wait for what follows from it. Raises TroubleError."""


Enough = Callable[[Sequence[float]], bool]


@dataclass(slots=True)
class _Weighing:
    """What is known of an operation so far."""

    operation: Operation
    ratios: list[float] = field(default_factory=list)
    nanoseconds: list[float] = field(default_factory=list)
    void: int = 0
    trouble: str = ""

    def measured(self) -> Measured:
        cost = median(self.nanoseconds) / _MILLISECOND if self.nanoseconds else 0.0
        return Measured(self.operation, tuple(self.ratios), cost, self.trouble)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two pods that are compared."""

    pods: Pods
    idle: float  # what it uses of a core when nobody asks


@dataclass(frozen=True, slots=True)
class Scale:
    """Weighs the operations of one service."""

    before: Side
    after: Side
    clock: Callable[[], float] = monotonic

    def weigh(self, operations: Sequence[Operation], enough: Enough) -> list[Measured]:
        """Return what was measured, up to the most pairs or until an operation has enough of them."""
        idle = max(self.before.idle, self.after.idle)
        if idle > MOST_IDLE:
            why = f"a pod that nobody asked used {1000 * idle:.0f} m of CPU: another load ran"
            return [Measured(one, trouble=why) for one in operations]
        every = [_Weighing(one) for one in operations]
        for one in every:
            self._warm_up(one)
        for turn in range(MOST_PAIRS + _MOST_VOID):
            left = [one for one in every if not one.trouble and not self._done(one, enough)]
            for one in left:
                self._pair(one, turn)
        return [one.measured() for one in every]

    def _warm_up(self, one: _Weighing) -> None:
        """Ask without measuring: connections, caches, and orders that lists can show."""
        try:
            for _ in range(_WARM_UPS):
                self.before.pods.ask(one.operation)
                self.after.pods.ask(one.operation)
        except TroubleError as error:
            one.trouble = str(error)

    def _done(self, one: _Weighing, enough: Enough) -> bool:
        return len(one.ratios) >= MOST_PAIRS or enough(one.ratios)

    def _pair(self, one: _Weighing, turn: int) -> None:
        try:
            if turn % 2 == 0:
                before, after = self._cost(self.before, one.operation), self._cost(self.after, one.operation)
            else:
                after, before = self._cost(self.after, one.operation), self._cost(self.before, one.operation)
        except TroubleError as error:
            one.trouble = str(error)
        except VoidError as error:
            one.void += 1
            if one.void > _MOST_VOID:
                one.trouble = str(error)
        else:
            one.ratios.append(after / before)
            one.nanoseconds.append(after)

    def _cost(self, side: Side, operation: Operation) -> float:
        """Return the nanoseconds that one request of a batch cost."""
        pods, counted = side.pods, side.pods.counted(operation)
        began, before = self.clock(), pods.used(counted)
        pods.ask(operation)
        used, seconds = pods.used(counted) - before, self.clock() - began
        if used <= 0:
            raise TroubleError(
                f"the counter of CPU time did not move over {operation.times} x {operation.key}"
            )
        cost = used - side.idle * seconds * _NANOSECONDS * len(counted)
        if cost <= 0:
            raise VoidError(f"{operation.times} x {operation.key} cost no more than an idle pod")
        return cost / operation.times
