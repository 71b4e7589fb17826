"""Whether an operation costs more: found when it does, silent when not, and honest when nobody can tell."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from rehearsal.core.checks import Check
from rehearsal.core.verdicts import Verdict
from rehearsal.load.weighing.judging import LEAST_PAIRS, MOST_PAIRS, Measured, enough, estimate, judge
from rehearsal.load.weighing.operations import OPERATIONS

ORDER = OPERATIONS[0]
SEEDS = range(200)
_HEAVY_TAIL = 0.05  # of the pairs; a neighbour had the core's caches, a collection of garbage fell into one
_QUIET, _USUAL, _WILD = 0.05, 0.1, 0.6


def _pairs(seed: int, *, cost: float, scatter: float) -> Iterator[float]:
    draw = random.Random(seed)  # noqa: S311 - noise, no secret
    while True:
        outlier = draw.uniform(0.5, 2.5) if draw.random() < _HEAVY_TAIL else 1.0
        yield cost * draw.lognormvariate(0.0, scatter) * outlier


def _judged(seed: int, *, cost: float, scatter: float) -> Check:
    """Return what comes of pairs that are measured until it is clear."""
    pairs = _pairs(seed, cost=cost, scatter=scatter)
    ratios: list[float] = []
    while len(ratios) < MOST_PAIRS and not enough(ratios):
        ratios.append(next(pairs))
    return judge(Measured(ORDER, tuple(ratios), 1.2), ("load/weighed.ndjson",))


@pytest.mark.parametrize("scatter", [_QUIET, _USUAL])
def test_thirty_percent_more_are_found_whatever_was_drawn(scatter: float) -> None:
    assert {_judged(seed, cost=1.3, scatter=scatter).verdict for seed in SEEDS} == {Verdict.FAIL}


@pytest.mark.parametrize("scatter", [_QUIET, _USUAL])
def test_the_same_cost_gives_no_finding_whatever_was_drawn(scatter: float) -> None:
    assert {_judged(seed, cost=1.0, scatter=scatter).verdict for seed in SEEDS} == {Verdict.PASS}


def test_noise_alone_gives_no_finding_and_no_pass() -> None:
    found = [_judged(seed, cost=1.0, scatter=_WILD).verdict for seed in SEEDS]
    assert set(found) <= {Verdict.INVALID, Verdict.PASS}
    assert found.count(Verdict.INVALID) >= 0.95 * len(SEEDS)


def test_noise_hides_a_regression_and_says_so() -> None:
    found = _judged(1, cost=1.3, scatter=_WILD)
    assert found.verdict is Verdict.INVALID
    assert found.sentence == "60 pairs could not tell whether it costs more than before"


def test_cost_at_the_very_bound_is_not_decided() -> None:
    assert judge(Measured(ORDER, (1.10, 1.20) * 15), ()).verdict is Verdict.INVALID


def test_finding_names_service_and_operation() -> None:
    found = _judged(3, cost=1.3, scatter=_QUIET)
    assert (found.id, found.subject) == ("load.cpu", "order-service GET /api/orders/{order_id}")
    assert found.expected == "at most 1.15 times what it was before"
    assert found.evidence == ("load/weighed.ndjson",)


def test_trouble_is_no_pass() -> None:
    found = judge(Measured(ORDER, (1.0,) * LEAST_PAIRS, trouble="a request was answered 503"), ())
    assert (found.verdict, found.sentence) == (Verdict.INVALID, "a request was answered 503")


def test_few_pairs_are_no_pass() -> None:
    assert judge(Measured(ORDER, (1.0,) * (LEAST_PAIRS - 1)), ()).verdict is Verdict.INVALID


def test_the_same_pairs_come_to_the_same_interval() -> None:
    ratios = [next(_pairs(seed, cost=1.0, scatter=_USUAL)) for seed in range(12)]
    assert estimate(ratios) == estimate(ratios)
