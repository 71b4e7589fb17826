"""What a flow of orders shows about the shop. Pure.

Without samples nothing is shown: every check is INVALID then, as it is when the generator itself was late.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rehearsal.core.checks import Check
from rehearsal.load import checks
from rehearsal.load.flow import FlowPlan, Placed

# A generator that is later than this has offered another load than it says.
LATE_SECONDS = 0.25
MOST_LATE_RATIO = 0.01
_SHOWN = 5  # ids in a sentence; the history has all of them


@dataclass(frozen=True, slots=True)
class Objectives:
    """What the shop promises of orders."""

    accepted_ratio: float
    p95_seconds: float


def judge(
    plan: FlowPlan, orders: Sequence[Placed], objectives: Objectives, evidence: tuple[str, ...]
) -> Iterator[Check]:
    """Yield the checks of a flow under steady load."""
    offered = judge_offered(plan, orders)
    yield offered
    if offered.verdict != "PASS":
        for kind in (checks.ACCEPTED, checks.LATENCY, checks.ENDS):
            yield kind.invalid(plan.name, f"the load was not offered as planned: {offered.sentence}")
        return
    yield _accepted(plan, orders, objectives, evidence)
    yield _latency(plan, orders, objectives, evidence)
    yield judge_ends(plan, orders, evidence)


def judge_offered(plan: FlowPlan, orders: Sequence[Placed]) -> Check:
    """Return whether the planned orders were sent when they were due."""
    expected = f"{plan.arrivals} orders, each within {LATE_SECONDS} s of its time"
    late = sum(one.late_seconds > LATE_SECONDS for one in orders)
    observed = f"{len(orders)} sent, {late} of them late"
    if not orders or len(orders) < plan.arrivals:
        return checks.OFFERED.invalid(
            plan.name, "not all planned orders were sent", expected=expected, observed=observed
        )
    if late > MOST_LATE_RATIO * len(orders):
        return checks.OFFERED.invalid(
            plan.name, "the generator could not keep its own pace", expected=expected, observed=observed
        )
    rate = f"{plan.rate_per_second:g} orders a second for {plan.seconds:g} s"
    return checks.OFFERED.passed(plan.name, f"{rate} were offered", observed=observed)


def judge_ends(plan: FlowPlan, orders: Sequence[Placed], evidence: tuple[str, ...]) -> Check:
    """Return whether every acknowledged order came to its end."""
    acknowledged = [one for one in orders if one.acknowledged]
    if not acknowledged:
        return checks.ENDS.invalid(plan.name, "no order was acknowledged")
    stuck = [one for one in acknowledged if one.ended is None]
    states = Counter(one.state or "never seen" for one in acknowledged)
    observed = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    if not stuck:
        sentence = f"all {len(acknowledged)} acknowledged orders came to their end"
        return checks.ENDS.passed(plan.name, sentence, observed=observed)
    shown = ", ".join(f"{one.order_id} {one.state}" for one in stuck[:_SHOWN])
    return checks.ENDS.failed(
        plan.name,
        f"{len(stuck)} of {len(acknowledged)} acknowledged orders did not end within {plan.end_seconds:g} s",
        expected=f"every order CONFIRMED, REJECTED or CANCELLED within {plan.end_seconds:g} s",
        observed=f"{observed}; stuck: {shown}",
        evidence=evidence,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _accepted(
    plan: FlowPlan, orders: Sequence[Placed], objectives: Objectives, evidence: tuple[str, ...]
) -> Check:
    good = sum(one.acknowledged for one in orders)
    ratio = good / len(orders)
    observed = f"{good} of {len(orders)} ({100 * ratio:.1f} %)"
    if ratio >= objectives.accepted_ratio:
        return checks.ACCEPTED.passed(plan.name, f"{observed} orders were accepted", observed=observed)
    causes = Counter(str(one.answer) for one in orders if not one.acknowledged).most_common(3)
    return checks.ACCEPTED.failed(
        plan.name,
        f"only {observed} orders were accepted",
        expected=f"at least {100 * objectives.accepted_ratio:g} %",
        observed="; ".join([observed, *(f"{count} x {cause}" for cause, count in causes)]),
        evidence=evidence,
    )


def _latency(
    plan: FlowPlan, orders: Sequence[Placed], objectives: Objectives, evidence: tuple[str, ...]
) -> Check:
    latencies = [one.latency_seconds for one in orders if one.latency_seconds is not None]
    if not latencies:
        return checks.LATENCY.invalid(plan.name, "no order was answered")
    p50, p95, longest = (percentile(latencies, share) for share in (0.5, 0.95, 1.0))
    observed = f"p50 {1000 * p50:.0f} ms, p95 {1000 * p95:.0f} ms, longest {1000 * longest:.0f} ms"
    if p95 <= objectives.p95_seconds:
        sentence = f"95 % of orders were answered within {1000 * p95:.0f} ms"
        return checks.LATENCY.passed(plan.name, sentence, observed=observed)
    return checks.LATENCY.failed(
        plan.name,
        f"one order in twenty took longer than {1000 * p95:.0f} ms",
        expected=f"p95 at most {1000 * objectives.p95_seconds:.0f} ms, from when the order was due",
        observed=observed,
        evidence=evidence,
    )
