"""From samples to what an HPA may, and must, have asked for. Pure.

The controller does not say when it decides, and what it saw differs by moments from what was sampled. So a
decision is held against the formula's results over the seconds in which it must have been made: it is
allowed what any of them gives, and it must do what all of them demand.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rehearsal.load.autoscaling.facts import Autoscaler, Controller, Sample
from rehearsal.load.autoscaling.formula import Recommendation, recommend
from rehearsal.load.autoscaling.limits import (
    Moment,
    Past,
    down_window_seconds,
    least_down,
    most_up,
    up_window_seconds,
)

# The kubelet measures a pod this often (`--housekeeping-interval` and its jitter); metrics-server asks it.
KUBELET_SECONDS = 15.0
_ACTUATION_SECONDS = 10.0  # as Kubernetes' own end-to-end tests allow it
_AFTER_SECONDS = 1.0  # what a decision was made on may show a sample later than the decision
_SKEW_SECONDS = 3.0  # between what the controller saw and a sample: an interval, caches, two requests


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast an autoscaler of a cluster can be."""

    autoscaler: Autoscaler
    controller: Controller
    metrics_seconds: float  # the resolution of the metrics API

    @property
    def lag_seconds(self) -> float:
        """Within this time before it shows, a decision was made."""
        return self.controller.sync_seconds + _SKEW_SECONDS

    @property
    def measuring_seconds(self) -> float:
        """How long usage may take to be seen in full: the window that it falls into, and the one after."""
        return 2 * (self.metrics_seconds + KUBELET_SECONDS)

    @property
    def unmeasured_seconds(self) -> float:
        """How long no pod may be measured before nothing can be said: longer than a look that failed."""
        return 2 * self.metrics_seconds + KUBELET_SECONDS

    @property
    def up_seconds(self) -> float:
        """Within this time after a step of load more replicas must have been asked for."""
        return self._deciding_seconds + up_window_seconds(self.autoscaler)

    def down_seconds(self, windows: int = 1) -> float:
        """Within this time after the load's end the least replicas must have been asked for.

        Each further window is one in which fewer replicas made the formula ask for fewer still.
        """
        each = down_window_seconds(self.autoscaler, self.controller)
        return self._deciding_seconds + each + (windows - 1) * (each + self.controller.sync_seconds)

    @property
    def _deciding_seconds(self) -> float:
        return self.measuring_seconds + 2 * self.controller.sync_seconds + _ACTUATION_SECONDS


@dataclass(frozen=True, slots=True)
class Reading:
    """A sample, and what the formula makes of it."""

    sample: Sample
    recommendation: Recommendation

    @property
    def wanted(self) -> int | None:
        """What the formula asks for."""
        return self.recommendation.replicas


def windows_down(autoscaler: Autoscaler, replicas: int, percents: Mapping[str, int]) -> int:
    """Return in how many windows it comes down to its least, or to where idle pods keep it.

    `percents` are what idle pods use of each resource that they request.
    """
    windows = 0
    while replicas > autoscaler.least:
        wanted = [
            math.ceil(replicas * percents[one.resource] / one.percent)
            for one in autoscaler.targets
            if one.resource in percents
        ]
        fewer = max([autoscaler.least, *wanted])
        if fewer >= replicas:
            break
        replicas, windows = fewer, windows + 1
    return max(1, windows)


@dataclass(frozen=True, slots=True)
class Decision:
    """A change of what an HPA asks for, and what it was allowed; no bounds when nothing could be computed."""

    t: float
    before: int
    after: int
    least: int | None
    most: int | None
    why: str  # what the formula said meanwhile

    @property
    def explained(self) -> bool | None:
        """Whether it is within its bounds; None when they are not known."""
        if self.least is None or self.most is None:
            return None
        return self.least <= self.after <= self.most


@dataclass(frozen=True, slots=True)
class Envelope:
    """The samples of one autoscaler beside what its formula gives."""

    pace: Pace
    samples: Sequence[Sample]

    def readings(self) -> Iterator[Reading]:
        """Yield what the formula gives for each sample."""
        for one in self.samples:
            yield Reading(one, self._recommended(one, one.replicas))

    def decisions(self) -> Iterator[Decision]:
        """Yield every change of what the HPA asked for."""
        changes = self._changes()
        for before, after in pairwise(self.samples):
            if after.desired != before.desired:
                yield self._decision(before, after, _past(changes, after.t))

    def is_seen(self, decision: Decision) -> bool:
        """Return whether all moments that a decision may have been made on were sampled."""
        return decision.t - self.samples[0].t > self.pace.lag_seconds

    def foreign_changes(self) -> Iterator[Sample]:
        """Yield the samples in which replicas are new that the HPA did not ask for."""
        for before, after in pairwise(self.samples):
            if after.replicas == before.replicas:
                continue
            near = [one for one in self.samples if abs(one.t - after.t) <= _SKEW_SECONDS]
            if after.replicas not in {one.desired for one in near}:
                yield after

    def overdue(self) -> Reading | None:
        """Return the first reading at which the HPA had not asked for more although it had to."""
        bound = self.pace.lag_seconds + up_window_seconds(self.pace.autoscaler)
        changes = self._changes()
        since, desired = math.inf, -1
        for reading in self.readings():
            now, changed = reading.sample.t, reading.sample.desired != desired
            desired = reading.sample.desired
            limit = min(
                self.pace.autoscaler.most, most_up(self.pace.autoscaler, desired, _past(changes, now), now)
            )
            if changed or reading.wanted is None or min(reading.wanted, limit) <= desired:
                since = math.inf
                continue
            since = min(since, now)
            if now - since > bound:
                return reading
        return None

    def surplus(self) -> Reading | None:
        """Return the first reading at which the HPA had kept more than was asked for, for too long."""
        autoscaler, lag = self.pace.autoscaler, self.pace.lag_seconds
        window = down_window_seconds(autoscaler, self.pace.controller) + lag
        every, changes = list(self.readings()), self._changes()
        since = math.inf
        for reading in every:
            now, desired = reading.sample.t, reading.sample.desired
            wanted = [one.wanted for one in every if now - window <= one.sample.t <= now]
            known = [one for one in wanted if one is not None]
            too_early = now - every[0].sample.t < window or len(known) < len(wanted)
            free = least_down(autoscaler, desired, _past(changes, now), now) < desired
            if too_early or not free or desired <= self._clamped(max(known)):
                since = math.inf
                continue
            since = min(since, now)
            if now - since > lag:
                return reading
        return None

    def _changes(self) -> list[Moment]:
        changes = (
            Moment(after.t, after.desired - before.desired) for before, after in pairwise(self.samples)
        )
        return [one for one in changes if one.replicas]

    def _decision(self, before: Sample, after: Sample, past: Past) -> Decision:
        # With the replicas of before: a formula that changes nothing returns those that it is given.
        near = self._between(before.t - self.pace.lag_seconds, after.t + _AFTER_SECONDS)
        # Pods that the decision itself brought were not there when it was made.
        views = [_with_pods_of(one, before) for one in near]
        found = [self._recommended(one, before.replicas) for one in (*near, *views)]
        found += self._remembered(before.t)
        wanted = [one.replicas for one in found if one.replicas is not None]
        why = "; ".join(dict.fromkeys(map(str, found)))
        if not wanted:
            return Decision(after.t, before.desired, after.desired, None, None, why)
        if after.desired > before.desired:
            least, most = before.desired, self._most_up(before, max(wanted), past, after.t)
        else:
            least, most = self._least_down(before, after, past), before.desired
        return Decision(after.t, before.desired, after.desired, least, most, why)

    def _remembered(self, until: float) -> list[Recommendation]:
        """Return what the older rule still knows: it goes up to the most of its window, as it stays there."""
        if self.pace.autoscaler.behaviour is not None:
            return []
        since = until - self.pace.controller.down_window_seconds - self.pace.lag_seconds
        every = self._between(since, until)
        after = self._between(since, until + _AFTER_SECONDS)
        # A recommendation made on what shows with the pods that it brought: as for a decision.
        pairs = zip(every, after[1:], strict=False)
        return [self._recommended(one, one.replicas) for one in every] + [
            self._recommended(_with_pods_of(later, one), one.replicas) for one, later in pairs
        ]

    def _most_up(self, before: Sample, wanted: int, past: Past, now: float) -> int:
        return self._clamped(min(wanted, most_up(self.pace.autoscaler, before.desired, past, now)))

    def _least_down(self, before: Sample, after: Sample, past: Past) -> int:
        """Return the fewest that it may go down to: what was surely recommended within its window."""
        autoscaler, lag = self.pace.autoscaler, self.pace.lag_seconds
        window = down_window_seconds(autoscaler, self.pace.controller)
        kept = self._between(after.t - window + lag, after.t + _AFTER_SECONDS)
        wanted = [self._recommended(one, one.replicas).replicas for one in kept]
        sure = _sure([one.t for one in kept], wanted, lag)
        limit = least_down(autoscaler, before.desired, past, after.t)
        return min(self._clamped(max(sure, limit)), before.desired)

    def _recommended(self, sample: Sample, replicas: int) -> Recommendation:
        return recommend(self.pace.autoscaler, sample.pods, replicas, self.pace.controller, sample.t)

    def _between(self, start: float, end: float) -> list[Sample]:
        return [one for one in self.samples if start <= one.t <= end]

    def _clamped(self, replicas: int) -> int:
        return max(self.pace.autoscaler.least, min(replicas, self.pace.autoscaler.most))


def _with_pods_of(sample: Sample, earlier: Sample) -> Sample:
    """Return a sample with only the pods that were there at an earlier one."""
    names = {pod.name for pod in earlier.pods}
    return replace(sample, pods=tuple(pod for pod in sample.pods if pod.name in names))


def _past(changes: Sequence[Moment], now: float) -> Past:
    """Return what the controller remembers of its own changes before a time."""
    before = [one for one in changes if one.t < now]
    return Past(
        added=[one for one in before if one.replicas > 0],
        removed=[Moment(one.t, -one.replicas) for one in before if one.replicas < 0],
    )


def _sure(times: Sequence[float], wanted: Sequence[int | None], lag_seconds: float) -> int:
    """Return the most that was asked for over a whole stretch, in which the controller must have looked."""
    best = 0
    for first, start in enumerate(times):
        stretch: list[int] = []
        for at, one in zip(times[first:], wanted[first:], strict=True):
            if one is None:
                break
            stretch.append(one)
            if at - start >= lag_seconds:
                best = max(best, min(stretch))
                break
    return best
