"""What journeys show about the shop, operation by operation. Pure.

Without a load as planned nothing is shown: every check is INVALID then.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rehearsal.core.checks import Check
from rehearsal.load import checks
from rehearsal.load.journeys.plan import CHECKOUT, JourneyPlan
from rehearsal.load.journeys.records import Asked, Journeys
from rehearsal.load.objectives import LATE_SECONDS, MOST_LATE_RATIO, Objectives, percentile

# Above this share of one core a generator measures itself.
MOST_CPU_SHARE = 0.8
# With fewer answers the 95th percentile is the slowest of them.
_LEAST_ANSWERS = 20
_SHOWN = 5

_ByOperation = Mapping[str, Sequence[Asked]]


@dataclass(frozen=True, slots=True)
class _Case:
    plan: JourneyPlan
    seen: Journeys
    objectives: Objectives
    evidence: tuple[str, ...]

    @property
    def by_operation(self) -> _ByOperation:
        found: dict[str, list[Asked]] = defaultdict(list)
        for one in self.seen.asked:
            found[one.operation].append(one)
        return dict(sorted(found.items()))


def judge(
    plan: JourneyPlan, seen: Journeys, objectives: Objectives, evidence: tuple[str, ...]
) -> Iterator[Check]:
    """Yield the checks of a load of journeys."""
    case = _Case(plan, seen, objectives, evidence)
    offered = _offered(case)
    yield offered
    if offered.verdict != "PASS":
        for kind in (checks.ACCEPTED, checks.LATENCY, checks.ENDS):
            yield kind.invalid(plan.name, f"the load was not offered as planned: {offered.sentence}")
        return
    for operation, asked in case.by_operation.items():
        yield _accepted(case, operation, asked)
        yield _latency(case, operation, asked)
    yield _ends(case)


def _offered(case: _Case) -> Check:
    plan, seen = case.plan, case.seen
    planned = len(plan.arrivals)
    late = sum(one.late_seconds > LATE_SECONDS for one in seen.arrived)
    share = seen.ended.cpu_seconds / seen.ended.seconds if seen.ended else 0.0
    expected = f"{planned} shoppers, each within {LATE_SECONDS} s of their time"
    observed = (
        f"{len(seen.arrived)} sent, {late} of them late; the generator took {100 * share:.0f} % of a core"
    )
    wrong = ""
    if seen.ended is None:
        wrong = "the generator did not come to its end; load/generator.log says why"
    elif not planned or len(seen.arrived) < planned:
        wrong = "not all planned shoppers were sent"
    elif late > MOST_LATE_RATIO * planned:
        wrong = "the generator could not keep its own pace"
    elif share > MOST_CPU_SHARE:
        wrong = "the generator was as busy as what it measured"
    if wrong:
        return checks.OFFERED.invalid(plan.name, wrong, expected=expected, observed=observed)
    sentence = f"{plan.rate_per_second:g} shoppers a second for {plan.seconds:g} s were sent"
    return checks.OFFERED.passed(plan.name, sentence, observed=observed)


def _accepted(case: _Case, operation: str, asked: Sequence[Asked]) -> Check:
    good = sum(not one.wrong for one in asked)
    ratio, least = good / len(asked), case.objectives.accepted_ratio
    observed = f"{good} of {len(asked)} ({100 * ratio:.1f} %)"
    subject = f"{case.plan.name}: {operation}"
    if ratio >= least:
        return checks.ACCEPTED.passed(subject, f"{observed} were answered as promised", observed=observed)
    causes = Counter(one.wrong for one in asked if one.wrong).most_common(3)
    return checks.ACCEPTED.failed(
        subject,
        f"only {observed} were answered as promised: {causes[0][0]}",
        expected=f"at least {100 * least:g} %",
        observed="; ".join([observed, *(f"{count} x {cause}" for cause, count in causes)]),
        evidence=case.evidence,
    )


def _latency(case: _Case, operation: str, asked: Sequence[Asked]) -> Check:
    subject = f"{case.plan.name}: {operation}"
    if len(asked) < _LEAST_ANSWERS:
        return checks.LATENCY.invalid(
            subject, f"{len(asked)} requests are too few for a percentile; {_LEAST_ANSWERS} are needed"
        )
    objectives = case.objectives
    bound = objectives.p95_seconds if operation == CHECKOUT else objectives.page_p95_seconds
    p50, p95, longest = (percentile([one.seconds for one in asked], share) for share in (0.5, 0.95, 1.0))
    observed = f"p50 {1000 * p50:.0f} ms, p95 {1000 * p95:.0f} ms, longest {1000 * longest:.0f} ms"
    if p95 <= bound:
        sentence = f"95 % were answered within {1000 * p95:.0f} ms"
        return checks.LATENCY.passed(subject, sentence, observed=observed)
    return checks.LATENCY.failed(
        subject,
        f"one request in twenty took longer than {1000 * p95:.0f} ms",
        expected=f"p95 at most {1000 * bound:.0f} ms, from when the request was due",
        observed=observed,
        evidence=case.evidence,
    )


def _ends(case: _Case) -> Check:
    name, ordered, bound = case.plan.name, case.seen.ordered, case.plan.end_seconds
    if not ordered:
        return checks.ENDS.invalid(name, "no order was acknowledged")
    stuck = [one for one in ordered if one.ended_seconds is None]
    states = Counter(one.state or "never seen" for one in ordered)
    observed = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    if not stuck:
        sentence = f"all {len(ordered)} acknowledged orders came to their end"
        return checks.ENDS.passed(name, sentence, observed=observed)
    shown = ", ".join(f"{one.order_id} {one.state}" for one in stuck[:_SHOWN])
    return checks.ENDS.failed(
        name,
        f"{len(stuck)} of {len(ordered)} acknowledged orders did not end within {bound:g} s",
        expected=f"every order CONFIRMED, REJECTED or CANCELLED within {bound:g} s",
        observed=f"{observed}; stuck: {shown}",
        evidence=case.evidence,
    )
