"""Measuring what operations cost: batches in turn, there and back, each between two batches of the bare one.

Forth and back (A B, then B A) cancels what drifts, and the bare operation right before and after cancels how
fast the machine is at that moment. What a pod uses when nobody asks it is taken off. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import monotonic
from typing import Final, Protocol

from rehearsal.cluster.usage import PodOnNode
from rehearsal.load.weighing.judging import MOST_PAIRS, Measured
from rehearsal.load.weighing.operations import Operation, reference

# An idle service takes 5 m with probes and scrapes, a scrape within the look 5 m more.
MOST_IDLE: Final = 0.03  # of a core, for a pod
_MOST_VOID: Final = 5  # batches of an operation that were cut off by a pod's end
_NANOSECONDS: Final = 1e9
_MILLISECOND: Final = 1e6


class TroubleError(Exception):
    """Why an operation, or all of a service, cannot be weighed."""


class VoidError(Exception):
    """A batch that says nothing; the next one may."""


class Pods(Protocol):
    """The ready pods of a service, one of which is asked."""

    def counted(self, operation: Operation) -> Sequence[PodOnNode]:
        """Return the pods in which an operation's work is: the asked one, or all that are ready now."""

    def used(self, pods: Sequence[PodOnNode]) -> int:
        """Return the nanoseconds of CPU that pods have used. Raises VoidError when one of them has ended."""

    def ask(self, operation: Operation) -> None:
        """Ask for one batch and wait for what follows from it. Raises TroubleError."""


Enough = Callable[[Operation, Sequence[float]], bool]


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
class Scale:
    """Weighs the operations of one service."""

    pods: Pods
    idle: float  # what a pod of it uses of a core when nobody asks
    clock: Callable[[], float] = monotonic

    def weigh(self, operations: Sequence[Operation], enough: Enough) -> list[Measured]:
        """Return what was measured, up to the most pairs or until an operation has enough of them."""
        if self.idle > MOST_IDLE:
            why = f"a pod that nobody asked used {1000 * self.idle:.0f} m of CPU: another load ran"
            return [Measured(one, trouble=why) for one in operations]
        every = [_Weighing(one) for one in operations]
        try:
            self._warm_up(every)
            self._in_turn(every, enough)
        except TroubleError as error:  # of the bare operation: nothing can be compared any more
            for one in every:
                one.trouble = one.trouble or str(error)
        return [one.measured() for one in every]

    def _warm_up(self, every: Sequence[_Weighing]) -> None:
        """Ask for each once without measuring: connections, caches, and orders that lists can show."""
        for one in every:
            try:
                self.pods.ask(one.operation)
            except TroubleError as error:
                one.trouble = str(error)
        self.pods.ask(reference(every[0].operation.service))

    def _in_turn(self, every: Sequence[_Weighing], enough: Enough) -> None:
        bare = reference(every[0].operation.service)
        before = self._bare(bare)
        for turn in range(MOST_PAIRS + _MOST_VOID):
            left = [one for one in every if not one.trouble and not self._done(one, enough)]
            if not left:
                return
            costs = [(one, self._batch(one)) for one in (left if turn % 2 == 0 else left[::-1])]
            after = self._bare(bare)
            for one, cost in costs:
                if cost is not None:
                    one.ratios.append(cost / ((before + after) / 2))
                    one.nanoseconds.append(cost)
            before = after

    def _done(self, one: _Weighing, enough: Enough) -> bool:
        return len(one.ratios) >= MOST_PAIRS or enough(one.operation, one.ratios)

    def _bare(self, bare: Operation) -> float:
        try:
            return self._cost(bare)
        except VoidError as error:
            raise TroubleError(str(error)) from error  # the pod that is asked is gone

    def _batch(self, one: _Weighing) -> float | None:
        try:
            return self._cost(one.operation)
        except TroubleError as error:
            one.trouble = str(error)
        except VoidError as error:
            one.void += 1
            if one.void > _MOST_VOID:
                one.trouble = str(error)
        return None

    def _cost(self, operation: Operation) -> float:
        """Return the nanoseconds that one request of a batch cost."""
        counted = self.pods.counted(operation)
        began, before = self.clock(), self.pods.used(counted)
        self.pods.ask(operation)
        used, seconds = self.pods.used(counted) - before, self.clock() - began
        if used <= 0:
            raise TroubleError(
                f"the counter of CPU time did not move over {operation.times} x {operation.key}"
            )
        cost = used - self.idle * seconds * _NANOSECONDS * len(counted)
        if cost <= 0:
            raise VoidError(f"{operation.times} x {operation.key} cost no more than an idle pod")
        return cost / operation.times
