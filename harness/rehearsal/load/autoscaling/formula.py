"""The HPA's formula: from pods and what they use to a number of replicas. Pure.

Follows `replica_calculator.go` and `utilization.go` of kubernetes/kubernetes v1.34, with integer percent and
the rules for pods that are not ready or have no sample. What may become of the number is `limits`'.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rehearsal.load.autoscaling.facts import CPU, Autoscaler, Controller, Pod, Target

_FAILED, _PENDING = "Failed", "Pending"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one metric asks for; no replicas when it could not be computed, and why."""

    target: Target
    replicas: int | None
    percent: int | None = None  # used of what is requested
    why: str = ""

    def __str__(self) -> str:
        used = self.why if self.percent is None else f"{self.percent} %"
        return f"{self.target.resource} {used} of {self.target.percent} %"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What the formula asks for: the most of all metrics; None when it may decide nothing."""

    replicas: int | None
    proposals: tuple[Proposal, ...] = ()

    @property
    def leading(self) -> Proposal | None:
        """The metric that asks for the most."""
        known = [one for one in self.proposals if one.replicas is not None]
        return max(known, key=lambda one: one.replicas or 0, default=None)

    def __str__(self) -> str:
        said = ", ".join(map(str, self.proposals))
        return f"{'nothing' if self.replicas is None else self.replicas} ({said})"


@dataclass(frozen=True, slots=True)
class _Groups:
    """Pods by what is known of them."""

    measured: Mapping[str, int]  # usage
    unready: frozenset[str]
    missing: frozenset[str]


def recommend(
    autoscaler: Autoscaler, pods: Sequence[Pod], replicas: int, controller: Controller, now: float
) -> Recommendation:
    """Return what the formula asks for when a workload has this many replicas."""
    if replicas == 0:
        return Recommendation(0)
    proposals = tuple(
        propose(autoscaler, target, pods, replicas, controller, now) for target in autoscaler.targets
    )
    if replicas > autoscaler.most:
        return Recommendation(autoscaler.most, proposals)
    if replicas < autoscaler.least:
        return Recommendation(autoscaler.least, proposals)
    known = [one.replicas for one in proposals if one.replicas is not None]
    wanted = max(known, default=None)
    # A metric that cannot be had might have asked for more: nothing is taken away without it.
    if wanted is not None and wanted < replicas and len(known) < len(proposals):
        wanted = None
    return Recommendation(wanted, proposals)


def propose(
    autoscaler: Autoscaler,
    target: Target,
    pods: Sequence[Pod],
    replicas: int,
    controller: Controller,
    now: float,
) -> Proposal:
    """Return what one metric asks for."""
    if not pods:
        return Proposal(target, None, why="has no pods")
    groups = _grouped(pods, target.resource, controller, now)
    if not groups.measured:
        return Proposal(target, None, why="has no samples")
    requests = {pod.name: pod.requests.get(target.resource, 0) for pod in pods}
    lacking = [name for name, request in requests.items() if not request]
    if lacking:
        return Proposal(target, None, why=f"has no request in {lacking[0]}")
    percent = _percent(groups.measured, requests)
    wanted = _replicas(autoscaler, target, groups, requests, replicas, controller)
    return Proposal(target, wanted, percent)


def _replicas(
    autoscaler: Autoscaler,
    target: Target,
    groups: _Groups,
    requests: Mapping[str, int],
    replicas: int,
    controller: Controller,
) -> int:
    ratio = _percent(groups.measured, requests) / target.percent
    up_with_unready = bool(groups.unready) and ratio > 1.0
    if not up_with_unready and not groups.missing:
        if within_tolerance(autoscaler, controller, ratio):
            return replicas
        return math.ceil(ratio * len(groups.measured))
    assumed = dict(groups.measured)
    if ratio < 1.0:
        fallback = max(100, target.percent)
        assumed |= {name: requests[name] * fallback // 100 for name in groups.missing}
    elif ratio > 1.0:
        assumed |= dict.fromkeys(groups.missing, 0)
    if up_with_unready:
        assumed |= dict.fromkeys(groups.unready, 0)
    second = _percent(assumed, requests) / target.percent
    turned = (ratio < 1.0 < second) or (ratio > 1.0 > second)
    if within_tolerance(autoscaler, controller, second) or turned:
        return replicas
    wanted = math.ceil(second * len(assumed))
    against = (second < 1.0 and wanted > replicas) or (second > 1.0 and wanted < replicas)
    return replicas if against else wanted


def within_tolerance(autoscaler: Autoscaler, controller: Controller, ratio: float) -> bool:
    """Return whether a ratio of used to wanted is near enough to 1 to change nothing."""
    rules = autoscaler.behaviour
    up = rules.up.tolerance if rules else None
    down = rules.down.tolerance if rules else None
    highest = 1.0 + (controller.tolerance if up is None else up)
    return 1.0 - (controller.tolerance if down is None else down) <= ratio <= highest


def _grouped(pods: Iterable[Pod], resource: str, controller: Controller, now: float) -> _Groups:
    measured: dict[str, int] = {}
    unready, missing = set(), set()
    for pod in pods:
        if pod.deleted or pod.phase == _FAILED:
            continue
        if pod.phase == _PENDING:
            unready.add(pod.name)
        elif pod.usage is None or resource not in pod.usage.milli:
            missing.add(pod.name)
        elif resource == CPU and _starting(pod, controller, now):
            unready.add(pod.name)
        else:
            measured[pod.name] = pod.usage.milli[resource]
    return _Groups(measured, frozenset(unready), frozenset(missing))


def _starting(pod: Pod, controller: Controller, now: float) -> bool:
    """Return whether a pod's CPU is that of its start, which says nothing about the load."""
    if pod.ready is None or pod.started is None or pod.usage is None:
        return True
    if pod.started + controller.cpu_initialization_seconds > now:
        return not pod.ready or pod.usage.at < pod.ready_changed + pod.usage.window_seconds
    return not pod.ready and pod.started + controller.initial_readiness_seconds > pod.ready_changed


def _percent(used: Mapping[str, int], requests: Mapping[str, int]) -> int:
    return sum(used.values()) * 100 // sum(requests[name] for name in used)
