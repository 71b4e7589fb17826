"""What an experiment shows. Pure.

Nothing is shown without a clean window before the fault, a proof of the fault, and orders under way during
it. The audit of orders stands on its own: an order that is lost is lost, whatever else was proven.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from rehearsal.chaos.auditing import Listed
from rehearsal.chaos.checks import CONTROL, DOUBLED, INJECTED, LOST, RECOVERY, STUCK, TRAFFIC
from rehearsal.chaos.controlling import MARGIN_SECONDS, MOST_WINDOWS, window
from rehearsal.chaos.experiment import Observation
from rehearsal.core.checks import Check
from rehearsal.core.verdicts import Verdict
from rehearsal.load.flow import FlowPlan, Placed
from rehearsal.shop.answers import Kind

_LEAST_FAULT_ORDERS = 3
_SHOWN = 5  # ids in a sentence; the history has all of them


def judge(
    seen: Observation,
    plan: FlowPlan,
    orders: Sequence[Placed],
    *,
    before: Listed,
    after: Listed,
    evidence: tuple[str, ...],
) -> Iterator[Check]:
    """Yield the checks of one experiment; `before` and `after` are the shop's lists around it."""
    proofs = [_control(seen, orders), _injected(seen), _traffic(seen, orders)]
    yield from proofs
    unproven = next((one.sentence for one in proofs if one.verdict is not Verdict.PASS), "")
    if unproven:
        yield RECOVERY.invalid(seen.experiment.title, unproven)
    else:
        yield _recovery(seen, orders, evidence)
    audit = (
        _lost(seen, orders, after, evidence),
        _doubled(seen, orders, before, after, evidence),
        _stuck(seen, plan, orders, evidence),
    )
    for check in audit:
        # What is wrong is wrong; what is right shows nothing when nothing was proven.
        if unproven and check.verdict is Verdict.PASS:
            yield Check(check.id, check.severity, check.subject, Verdict.INVALID, unproven)
        else:
            yield check


def _control(seen: Observation, orders: Sequence[Placed]) -> Check:
    title = seen.experiment.title
    until = (
        seen.injected if seen.injected is not None else seen.control_from + seen.experiment.control_seconds
    )
    last = window(orders, seen.control_from, until - MARGIN_SECONDS)
    # Those before are told as they were seen: that is why there was another one.
    observed = "; before that ".join(str(one) for one in (last, *reversed(seen.unclean)))
    if not last.is_enough:
        return CONTROL.invalid(title, "too few orders were sent before the fault", observed=observed)
    if not last.is_clean:
        return CONTROL.invalid(
            title, "the shop was not well before the fault", expected="all of them", observed=observed
        )
    which = f", in window {len(seen.unclean) + 1} of at most {MOST_WINDOWS}" if seen.unclean else ""
    return CONTROL.passed(title, f"the shop was well before the fault{which}", observed=observed)


def _injected(seen: Observation) -> Check:
    title = seen.experiment.title
    if seen.injected is None or not seen.victims:
        return INJECTED.invalid(title, "no fault was made")
    if not seen.proven:
        return INJECTED.invalid(title, "the pods that were to be killed are still there")
    names = ", ".join(seen.victims)
    return INJECTED.passed(title, f"{len(seen.victims)} pods were killed and are gone", observed=names)


def _traffic(seen: Observation, orders: Sequence[Placed]) -> Check:
    title = seen.experiment.title
    if seen.injected is None:
        return TRAFFIC.invalid(title, "no fault was made")
    during = sum(seen.injected <= one.due < seen.over for one in orders)
    observed = f"{during} orders due during the fault, at most {seen.in_flight} waiting for an answer at once"
    if during < _LEAST_FAULT_ORDERS:
        return TRAFFIC.invalid(title, "too few orders were sent during the fault", observed=observed)
    return TRAFFIC.passed(title, f"{during} orders were sent during the fault", observed=observed)


def _recovery(seen: Observation, orders: Sequence[Placed], evidence: tuple[str, ...]) -> Check:
    title, bound = seen.experiment.title, seen.experiment.recovery_seconds
    injected = seen.injected or 0.0
    ended = seen.ended if seen.ended is not None else injected
    expected = f"all replicas back and orders accepted within {bound:g} s"
    if seen.whole is None or not _accepted_again(orders, injected, seen.whole):
        what = "the workload was not whole again" if seen.whole is None else "no order was accepted again"
        return RECOVERY.failed(
            title, f"{what} within {bound:g} s", expected=expected, observed=what, evidence=evidence
        )
    gap = _longest_gap(orders, injected)
    took = f"{seen.whole - ended:.1f} s"
    observed = f"whole after {took}; longest time without an accepted order {gap:.1f} s"
    if gap > bound + ended - injected:
        what = f"for {gap:.1f} s no order was accepted"
        return RECOVERY.failed(title, what, expected=expected, observed=observed, evidence=evidence)
    return RECOVERY.passed(title, f"it recovered in {took}", observed=observed)


def _accepted_again(orders: Sequence[Placed], injected: float, whole: float) -> bool:
    """Whether an order was accepted after the fault, and by the whole workload where one was due by then.

    In its first moments a fault lets orders pass, which say nothing about the way back.
    """
    since = whole if any(one.due >= whole for one in orders) else injected
    times = (one.answered for one in orders if one.acknowledged and one.due > injected)
    return any(at is not None and at >= since for at in times)


def _longest_gap(orders: Sequence[Placed], injected: float) -> float:
    """Return the longest time without an acknowledgement from shortly before the fault on."""
    times = sorted(one.answered for one in orders if one.acknowledged and one.answered is not None)
    last_before = max((at for at in times if at <= injected), default=injected)
    relevant = [last_before, *(at for at in times if at > injected)]
    return max((later - earlier for earlier, later in pairwise(relevant)), default=0.0)


def _lost(seen: Observation, orders: Sequence[Placed], after: Listed, evidence: tuple[str, ...]) -> Check:
    title = seen.experiment.title
    acknowledged = [one for one in orders if one.acknowledged]
    if not acknowledged:
        return LOST.invalid(title, "no order was acknowledged")
    if after.unread:
        return LOST.invalid(title, f"the shop's lists could not be read: {_first(after.unread)}")
    lost = [one for one in acknowledged if one.order_id not in after.orders.get(one.user, ())]
    if not lost:
        return LOST.passed(title, f"all {len(acknowledged)} acknowledged orders are there")
    return LOST.failed(
        title,
        f"{len(lost)} of {len(acknowledged)} acknowledged orders are lost",
        expected="every acknowledged order in its owner's list",
        observed=f"missing: {', '.join(one.order_id for one in lost[:_SHOWN])}",
        evidence=evidence,
    )


def _doubled(
    seen: Observation, orders: Sequence[Placed], before: Listed, after: Listed, evidence: tuple[str, ...]
) -> Check:
    title = seen.experiment.title
    if before.unread or after.unread:
        unread = _first({**before.unread, **after.unread})
        return DOUBLED.invalid(title, f"the shop's lists could not be read: {unread}")
    surplus: list[str] = []
    for user in sorted({one.user for one in orders}):
        own = [one for one in orders if one.user == user]
        known = {one.order_id for one in own if one.acknowledged}
        new = [id_ for id_ in after.orders.get(user, ()) if id_ not in set(before.orders.get(user, ()))]
        extra = [id_ for id_ in new if id_ not in known]
        # An order without a clear answer may exist, once.
        unclear = sum(one.answer is not None and one.answer.kind is Kind.INFO for one in own)
        surplus += extra[unclear:] + [id_ for id_ in set(new) if new.count(id_) > 1]
    if not surplus:
        return DOUBLED.passed(title, "every order is there once, and none that nobody placed")
    return DOUBLED.failed(
        title,
        f"{len(surplus)} orders are there that nobody placed, or twice",
        expected="one order for each key",
        observed=", ".join(surplus[:_SHOWN]),
        evidence=evidence,
    )


def _stuck(seen: Observation, plan: FlowPlan, orders: Sequence[Placed], evidence: tuple[str, ...]) -> Check:
    title = seen.experiment.title
    acknowledged = [one for one in orders if one.acknowledged]
    if not acknowledged:
        return STUCK.invalid(title, "no order was acknowledged")
    stuck = [one for one in acknowledged if one.ended is None]
    if not stuck:
        return STUCK.passed(title, f"all {len(acknowledged)} acknowledged orders ended")
    return STUCK.failed(
        title,
        f"{len(stuck)} of {len(acknowledged)} acknowledged orders did not end",
        expected=f"each ends within {plan.end_seconds:g} s of its acknowledgement",
        observed=", ".join(f"{one.order_id} {one.state}" for one in stuck[:_SHOWN]),
        evidence=evidence,
    )


def _first(unread: Mapping[str, str]) -> str:
    user, why = next(iter(unread.items()))
    return f"{user}: {why}"
