"""Whether an operation costs more CPU time than is committed. Pure.

Each pair is the operation's CPU time for one request over the bare one's, measured one after the other in the
same pod. What is judged is the median of the pairs' logarithms over the committed weight, by a bootstrap
interval (Efron 1979): a regression only if all of it is above the bound, none only if all of it is below, and
in between nobody knows.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from statistics import median
from typing import Final

from rehearsal.core.checks import Check
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.load.checks import CPU
from rehearsal.load.weighing.operations import Operation
from rehearsal.load.weighing.weights import FILE_NAME, RENEW, Weights

# Half of the 30 % that must be found: what is found is far from what is let through.
MOST_MORE: Final = 0.15
LEAST_PAIRS: Final = 10
MOST_PAIRS: Final = 30
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
    ratios: tuple[float, ...] = ()  # one for each pair: its CPU time over the bare operation's
    milliseconds: float = 0.0  # of CPU for one request, the median; for readers, nothing is judged by it
    trouble: str = ""  # why nothing can be said


class Finding(Enum):
    """What pairs show."""

    MORE = auto()
    NO_MORE = auto()
    UNCLEAR = auto()


@dataclass(frozen=True, slots=True)
class Estimate:
    """An operation's cost over the committed one, with its interval; 1.0 is what is committed."""

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
        return f"{self.middle:.2f} times the committed cost ({self.low:.2f} to {self.high:.2f})"


def estimate(ratios: Sequence[float], weight: float) -> Estimate:
    """Return what pairs say of an operation of a committed weight."""
    logs = [math.log(one / weight) for one in ratios]
    middle = median(logs)
    # The same pairs always come to the same interval.
    draw = random.Random(len(logs))  # noqa: S311 - a resampling, no secret
    medians = sorted(median(draw.choices(logs, k=len(logs))) for _ in range(_RESAMPLES))
    scatter = _NORMAL * median(abs(one - middle) for one in logs)
    low, high = medians[int(_LOW_TAIL * _RESAMPLES)], medians[-1 - int(_HIGH_TAIL * _RESAMPLES)]
    return Estimate(math.exp(middle), math.exp(low), math.exp(high), scatter)


def until_clear(weights: Weights) -> Callable[[Operation, Sequence[float]], bool]:
    """Return what says whether more pairs would change nothing; without a weight they never would."""

    def enough(operation: Operation, ratios: Sequence[float]) -> bool:
        weight = weights.of(operation.service, operation.key)
        if weight is None or len(ratios) < LEAST_PAIRS:
            return weight is None
        return estimate(ratios, weight).finding is not Finding.UNCLEAR

    return enough


def to_commit(measured: Sequence[Measured]) -> Mapping[str, Mapping[str, float]]:
    """Return the weights of what was measured, by service and operation.

    Raises EnvironmentNotReadyError when one of them was not, or scatters too much.
    """
    found: dict[str, dict[str, float]] = {}
    for one in measured:
        weight = median(one.ratios) if one.ratios else 0.0
        why = one.trouble or ("" if len(one.ratios) >= LEAST_PAIRS else f"only {len(one.ratios)} pairs")
        if not why and (scatter := estimate(one.ratios, weight).scatter) > MOST_SCATTER:
            why = f"its pairs scatter by {100 * scatter:.0f} %"
        if why:
            raise EnvironmentNotReadyError(
                "NOT_TO_BE_COMMITTED",
                f"{one.operation.name} was not measured well enough: {why}",
                hint=f"`{RENEW}` again, with nothing else on the machine and on the cluster.",
            )
        found.setdefault(one.operation.service, {})[one.operation.key] = weight
    return found


def judge(measured: Measured, weights: Weights, evidence: tuple[str, ...]) -> Check:
    """Return the check of one operation."""
    operation = measured.operation
    weight = weights.of(operation.service, operation.key)
    if measured.trouble:
        return CPU.invalid(operation.name, measured.trouble)
    if weight is None:
        return CPU.invalid(operation.name, f"{FILE_NAME} has no weight of it; `{RENEW}` measures it")
    if len(measured.ratios) < LEAST_PAIRS:
        return CPU.invalid(
            operation.name, f"{len(measured.ratios)} pairs are too few; {LEAST_PAIRS} are needed"
        )
    return _compared(measured, weight, evidence)


def _compared(measured: Measured, weight: float, evidence: tuple[str, ...]) -> Check:
    found, name = estimate(measured.ratios, weight), measured.operation.name
    expected = f"at most {1 + MOST_MORE:.2f} times {weight:.1f} bare requests"
    observed = (
        f"{found}, {measured.milliseconds:.2f} ms of CPU a request; "
        f"{len(measured.ratios)} pairs that scatter by {100 * found.scatter:.0f} %"
    )
    match found.finding:
        case Finding.MORE:
            return CPU.failed(
                name,
                f"a request costs {100 * (found.middle - 1):.0f} % more CPU time than is committed",
                expected=expected,
                observed=observed,
                evidence=evidence,
                reproduce="rehearsal weigh",
                source=FILE_NAME,
            )
        case Finding.NO_MORE:
            return CPU.passed(
                name, f"a request costs {found.middle:.2f} times what is committed", observed=observed
            )
        case Finding.UNCLEAR:
            why = f"{len(measured.ratios)} pairs could not tell whether it costs more than is committed"
            return CPU.invalid(name, why, expected=expected, observed=observed)
