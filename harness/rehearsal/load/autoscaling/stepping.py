"""A step of load over an HPA's target and back, watched from before until after.

The load is a flow of orders at a fixed rate. It lasts until the pods that were asked for have taken traffic
for a while, the watch until they are given back; both have bounds, which follow from how fast the HPA of this
cluster can be. Nothing is judged here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

from rehearsal.load.autoscaling.envelope import Pace, windows_down
from rehearsal.load.autoscaling.facts import Controller, Sample
from rehearsal.load.autoscaling.formula import recommend
from rehearsal.load.autoscaling.judging import SETTLING_SECONDS, Course, Served
from rehearsal.load.autoscaling.sampling import Lookout, Sampler
from rehearsal.load.flow import Flow, beside
from rehearsal.shop.history import History, read

_LOOK_SECONDS = 0.5
# So long new pods are watched with traffic. An order of a quick shop is two answers, so that each of six pods
# is due 0.8 a second at the rate of the catalogue, and sixteen are wanted.
HOLD_SECONDS = SETTLING_SECONDS + 42.0


@dataclass(frozen=True, slots=True)
class Step:
    """Which HPA is to be driven, and how hard."""

    lookout: Lookout
    controller: Controller
    metrics_seconds: float  # the resolution of the metrics API
    orders_per_second: float  # for each of its least replicas
    new_pod_seconds: float  # within which a pod that was asked for has to be ready
    hold_seconds: float = HOLD_SECONDS

    def pace(self) -> Pace:
        """Return how fast the HPA can be, by its specification on the cluster."""
        return Pace(self.lookout.autoscaler(), self.controller, self.metrics_seconds)

    def rate(self, pace: Pace) -> float:
        """Return the orders a second of the step."""
        return self.orders_per_second * pace.autoscaler.least

    def longest_seconds(self, pace: Pace) -> float:
        """Return how long the load lasts when nothing is ever ready."""
        return pace.up_seconds + self.new_pod_seconds + self.hold_seconds


async def run(step: Step, pace: Pace, flow: Flow, say: Callable[[str], None], sampler: Sampler) -> Course:
    """Wait for the least replicas, offer the flow, wait for the least replicas again.

    The sampler watches all the while, and has what it saw also when the step breaks off. Without the least
    replicas at the beginning nothing is offered: the HPA is then not where it can be driven from.
    """
    with sampler:
        say(f"waiting for {pace.autoscaler.least} replicas")
        loaded = relieved = time.time()
        if await _come_down(sampler, pace, loaded):
            loaded = time.time()
            await beside(flow, _grown(sampler, flow, step.hold_seconds, say))
            relieved = flow.began_at + max((one.due for one in flow.orders), default=0.0)
            say("the load has ended")
            await _come_down(sampler, pace, relieved)
    return Course(pace, sampler.watch, loaded, relieved, flow.orders, tuple(_answers(flow.history)))


async def _grown(sampler: Sampler, flow: Flow, hold_seconds: float, say: Callable[[str], None]) -> None:
    """End the flow when what was asked for has had traffic for a while."""
    start, began = sampler.latest(), monotonic()
    desired, since = 0, began
    while start is not None and monotonic() - began < flow.plan.seconds:
        await asyncio.sleep(_LOOK_SECONDS)
        seen = sampler.latest() or start
        say(f"{seen.desired} replicas asked for, {seen.ready} ready")
        whole = seen.ready >= seen.desired > start.desired
        if not whole or seen.desired != desired:
            desired, since = seen.desired, monotonic()
        elif monotonic() - since >= hold_seconds:
            flow.until = flow.now
            return


async def _come_down(sampler: Sampler, pace: Pace, since: float) -> bool:
    """Wait for the least replicas, within the HPA's bound from a time on; return whether they are there."""
    while True:
        seen = sampler.latest()
        if seen is not None and _at_least(seen, pace):
            return True
        if time.time() > since + pace.down_seconds(_windows(seen, pace)):
            return False
        await asyncio.sleep(_LOOK_SECONDS)


def _windows(seen: Sample | None, pace: Pace) -> int:
    if seen is None:
        return 1
    found = recommend(pace.autoscaler, seen.pods, seen.replicas, pace.controller, seen.t).proposals
    used = {one.target.resource: one.percent for one in found if one.percent is not None}
    return windows_down(pace.autoscaler, pace.autoscaler.most, used)


def _at_least(seen: Sample, pace: Pace) -> bool:
    return seen.desired == seen.replicas == pace.autoscaler.least == seen.ready


def _answers(history: History) -> Iterator[Served]:
    for entry in read(history.path):
        if entry.type != "invoke" and entry.pod:
            yield Served(entry.t_ns / 1e9, entry.pod)
