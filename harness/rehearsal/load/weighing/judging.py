"""Whether an operation costs more CPU time than before. Pure.

Each pair is an operation's CPU time for one request over that of the same operation before, measured one
right after the other in two pods. What is judged is the median of the pairs' logarithms, by a bootstrap
interval (Efron 1979): a regression only if all of it is above the bound, none only if all of it is below, and
in between nobody knows.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from statistics import median
from typing import Final

from rehearsal.core.checks import Check
from rehearsal.load.checks import CPU
from rehearsal.load.weighing.operations import Operation

# Half of the 30 % that must be found: what is found is far from what is let through.
MOST_MORE: Final = 0.15
LEAST_PAIRS: Final = 10
MOST_PAIRS: Final = 60
# Pairs that scatter more are of a machine on which so few say nothing (15 % of scatter takes 6 pairs for a
# difference of 20 %, 25 % takes twelve).
MOST_SCATTER: Final = 0.25
_RESAMPLES: Final = 500
# A finding must be surer than its absence: it is looked again after each pair, at nine operations in a run,
# and what is to be found is far above the bound.
_LOW_TAIL: Final = 0.005
_HIGH_TAIL: Final = 0.05
_NORMAL: Final = 1.4826  # a normal distribution's standard deviation over its median absolute deviation


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of an operation."""

    operation: Operation
    ratios: tuple[float, ...] = ()  # one for each pair: its CPU time now over that before
    milliseconds: float = 0.0  # of CPU for one request now, the median; nothing is judged by it
    trouble: str = ""  # why nothing can be said


class Finding(Enum):
    """What pairs show."""

    MORE = auto()
    NO_MORE = auto()
    UNCLEAR = auto()


@dataclass(frozen=True, slots=True)
class Estimate:
    """An operation's cost over that before, with its interval."""

    middle: float
    low: float
    high: float
    scatter: float  # robust standard deviation of the pairs' logarithms

    @property
    def finding(self) -> Finding:
        """What it comes to."""
        if self.scatter > MOST_SCATTER:
            return Finding.UNCLEAR
        if self.low > 1 + MOST_MORE:
            return Finding.MORE
        return Finding.NO_MORE if self.high < 1 + MOST_MORE else Finding.UNCLEAR

    def __str__(self) -> str:
        return f"{self.middle:.2f} times what it was ({self.low:.2f} to {self.high:.2f})"


def estimate(ratios: Sequence[float]) -> Estimate:
    """Return what pairs say of an operation."""
    logs = [math.log(one) for one in ratios]
    middle = median(logs)
    # The same pairs always come to the same interval.
    draw = random.Random(len(logs))  # noqa: S311 - a resampling, no secret
    medians = sorted(median(draw.choices(logs, k=len(logs))) for _ in range(_RESAMPLES))
    scatter = _NORMAL * median(abs(one - middle) for one in logs)
    low, high = medians[int(_LOW_TAIL * _RESAMPLES)], medians[-1 - int(_HIGH_TAIL * _RESAMPLES)]
    return Estimate(math.exp(middle), math.exp(low), math.exp(high), scatter)


def enough(ratios: Sequence[float]) -> bool:
    """Return whether more pairs would change nothing."""
    return len(ratios) >= LEAST_PAIRS and estimate(ratios).finding is not Finding.UNCLEAR


def judge(measured: Measured, evidence: tuple[str, ...]) -> Check:
    """Return the check of one operation."""
    name, pairs = measured.operation.name, len(measured.ratios)
    if measured.trouble:
        return CPU.invalid(name, measured.trouble)
    if pairs < LEAST_PAIRS:
        return CPU.invalid(name, f"{pairs} pairs are too few; {LEAST_PAIRS} are needed")
    found = estimate(measured.ratios)
    expected = f"at most {1 + MOST_MORE:.2f} times what it was before"
    observed = (
        f"{found}, {measured.milliseconds:.2f} ms of CPU a request; "
        f"{pairs} pairs that scatter by {100 * found.scatter:.0f} %"
    )
    match found.finding:
        case Finding.MORE:
            return CPU.failed(
                name,
                f"a request costs {100 * (found.middle - 1):.0f} % more CPU time than before",
                expected=expected,
                observed=observed,
                evidence=evidence,
                reproduce="rehearsal weigh",
            )
        case Finding.NO_MORE:
            return CPU.passed(
                name, f"a request costs {found.middle:.2f} times what it did", observed=observed
            )
        case Finding.UNCLEAR:
            why = f"{pairs} pairs could not tell whether it costs more than before"
            return CPU.invalid(name, why, expected=expected, observed=observed)
