"""What a step of load over an HPA's target showed. Pure.

What could not be looked at is INVALID: no samples, a blind sampler, a late generator, a load that did not
reach the target.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rehearsal.core.checks import Check
from rehearsal.load import checks
from rehearsal.load.autoscaling.envelope import Envelope, Pace, Reading, windows_down
from rehearsal.load.autoscaling.facts import Pod, Sample
from rehearsal.load.autoscaling.sampling import Watch
from rehearsal.load.flow import Placed
from rehearsal.load.objectives import LATE_SECONDS, MOST_LATE_RATIO, Objectives, percentile

# Blind for longer, a sampler may have missed a whole decision and what it was made on.
_MOST_BLIND_SECONDS = 10.0
# A new pod's share of the answers counts from so long after it is ready: endpoints, registry, gateway.
SETTLING_SECONDS = 8.0
# With so many answers due, a pod that is served as often as others gets a quarter of them but once in 10,000.
_LEAST_ANSWERS = 16
_LEAST_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised of a shop that grows."""

    orders: Objectives
    new_pod_seconds: float  # from when a pod is asked for to when it is ready


@dataclass(frozen=True, slots=True)
class Served:
    """An answer, and the address of the pod that gave it."""

    t: float
    address: str


@dataclass(frozen=True, slots=True)
class Course:
    """A step of load, and everything that was seen of it. Times are Unix seconds."""

    pace: Pace
    watch: Watch
    loaded: float
    relieved: float
    orders: Sequence[Placed]
    answers: Sequence[Served]
    evidence: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """What was looked at."""
        return self.pace.autoscaler.workload

    @property
    def envelope(self) -> Envelope:
        """The samples beside the formula."""
        return Envelope(self.pace, self.watch.samples)

    @property
    def under_load(self) -> list[Sample]:
        """The samples while the load lasted."""
        return [one for one in self.watch.samples if self.loaded <= one.t <= self.relieved]

    @property
    def start(self) -> int:
        """What the HPA asked for when the load began, as far as it was seen."""
        before = [one.desired for one in self.watch.samples if one.t <= self.loaded]
        first = [one.desired for one in self.watch.samples[:1]]
        return (before[-1:] or first or [self.pace.autoscaler.least])[0]


def judge(course: Course, promise: Promise) -> Iterator[Check]:
    """Yield all checks of a step of load."""
    if course.start > course.pace.autoscaler.least:
        yield from _not_at_its_least(course)
        return
    generator = _generator(course)
    yield generator
    if generator.verdict != "PASS":
        for kind in checks.OF_A_STEP:
            yield kind.invalid(course.subject, generator.sentence)
        return
    yield _scaled(course, promise)
    yield _formula(course)
    yield _new_pods(course)
    yield _slo(course, promise.orders)
    yield _down(course)


def _not_at_its_least(course: Course) -> Iterator[Check]:
    """Yield the checks of an HPA that keeps more than its least replicas without any load."""
    least, watched = course.pace.autoscaler.least, course.watch.ended - course.watch.began
    last = course.watch.samples[-1].desired
    why = f"it had {last} replicas instead of {least} without any load, so no load was offered"
    for kind in (checks.GENERATOR, *checks.OF_A_STEP):
        if kind is not checks.DOWN:
            yield kind.invalid(course.subject, why)
    if _unmeasured_seconds(course.watch.samples) > course.pace.unmeasured_seconds:
        yield checks.DOWN.invalid(course.subject, "the metrics API measured nothing")
        return
    yield _still_up(
        course,
        watched,
        course.pace.down_seconds(),
        f"it kept {last} replicas for {watched:.0f} s without any load",
    )


def _generator(course: Course) -> Check:
    watch = course.watch
    late = sum(one.late_seconds > LATE_SECONDS for one in course.orders)
    observed = (
        f"{len(course.orders)} orders, {late} late; {len(watch.samples)} looks, {len(watch.errors)} failed, "
        f"longest gap {watch.longest_gap_seconds:.1f} s; "
        f"sampling took {100 * watch.cpu_share:.1f} % of a core"
    )
    expected = f"every order within {LATE_SECONDS} s of its time, no gap over {_MOST_BLIND_SECONDS:g} s"
    if not course.orders or not course.under_load:
        why = "nothing was offered, or nothing was seen of it"
    elif late > MOST_LATE_RATIO * len(course.orders):
        why = "the generator could not keep its own pace"
    elif watch.longest_gap_seconds > _MOST_BLIND_SECONDS:
        why = f"the sampler was blind for {watch.longest_gap_seconds:.0f} s"
    elif (unmeasured := _unmeasured_seconds(watch.samples)) > course.pace.unmeasured_seconds:
        why = f"the metrics API measured nothing for {unmeasured:.0f} s"
    else:
        sentence = "the load was offered as planned, and watched without a gap"
        return checks.GENERATOR.passed(course.subject, sentence, observed=observed)
    return checks.GENERATOR.invalid(course.subject, why, expected=expected, observed=observed)


def _unmeasured_seconds(samples: Sequence[Sample]) -> float:
    """Return for how long at most no pod at all was measured."""
    longest, since = 0.0, None
    for one in samples:
        if any(pod.usage for pod in one.pods):
            since = None
            continue
        since = one.t if since is None else since
        longest = max(longest, one.t - since)
    return longest


def _scaled(course: Course, promise: Promise) -> Check:
    """Return whether it asked for more in time, and got it."""
    readings = [one for one in course.envelope.readings() if course.loaded <= one.sample.t <= course.relieved]
    asked = next((one.t for one in course.under_load if one.desired > course.start), None)
    most = max(one.desired for one in course.under_load)
    if asked is None:
        return _never_asked(course, readings)
    took = asked - course.loaded
    observed = f"from {course.start} to {most}; asked after {took:.0f} s"
    bounds = course.pace.up_seconds, promise.new_pod_seconds
    expected = "more asked for within {:.0f} s, new pods ready within {:g} s".format(*bounds)
    late = course.envelope.overdue()
    if late is not None:
        why = f"its formula asked for {late.recommendation}, and the HPA stayed at {late.sample.desired}"
    elif took > course.pace.up_seconds:
        why = f"it asked for more only {took:.0f} s after the load had begun"
    elif slow := _slow_pods(course, promise.new_pod_seconds):
        why = f"new pods were not ready within {promise.new_pod_seconds:g} s: {slow}"
    else:
        ready = max(one.ready for one in course.under_load)
        sentence = f"it went from {course.start} to {most} replicas, the first asked for after {took:.0f} s"
        return checks.SCALED.passed(course.subject, sentence, observed=f"{observed}; {ready} ready")
    return checks.SCALED.failed(
        course.subject, why, expected=expected, observed=observed, evidence=course.evidence
    )


def _never_asked(course: Course, readings: Sequence[Reading]) -> Check:
    last = readings[-1]
    observed = f"stayed at {course.start}; the formula: {last.recommendation}"
    overdue = course.envelope.overdue()
    broken = next((one for one in last.recommendation.proposals if "request" in one.why), None)
    if overdue is not None:
        why = (
            f"its formula asked for {overdue.recommendation}, and the HPA stayed at {overdue.sample.desired}"
        )
    elif broken is not None:
        why = f"the HPA cannot work: {broken.target.resource} {broken.why}"
    elif last.sample.trouble:
        why = f"the HPA cannot work: {last.sample.trouble}"
    else:
        most = max(one.wanted or 0 for one in readings)
        why = f"the load did not drive it over its target: the formula asked for {most} at most"
        return checks.SCALED.invalid(course.subject, why, observed=observed)
    return checks.SCALED.failed(
        course.subject,
        why,
        expected=f"more replicas within {course.pace.up_seconds:.0f} s of the load",
        observed=observed,
        evidence=course.evidence,
    )


def _slow_pods(course: Course, bound_seconds: float) -> str:
    """Return the new pods that were not ready in time, and what they were instead."""
    slow = []
    for name, seen in _new(course).items():
        first, ready = seen[0][0], next((t for t, pod in seen if pod.ready), None)
        until = ready if ready is not None else seen[-1][0]
        if until - first > bound_seconds:
            slow.append(
                f"{name} {'' if ready else 'not '}ready after {until - first:.0f} s ({seen[-1][1].phase})"
            )
    return ", ".join(slow)


def _new(course: Course) -> dict[str, list[tuple[float, Pod]]]:
    """Return what was seen under load of each pod that was not there when the load began."""
    old = {pod.name for one in course.watch.samples if one.t <= course.loaded for pod in one.pods}
    found: dict[str, list[tuple[float, Pod]]] = {}
    for one in course.under_load:
        for pod in one.pods:
            if pod.name not in old and not pod.deleted:
                found.setdefault(pod.name, []).append((one.t, pod))
    return found


def _formula(course: Course) -> Check:
    envelope = course.envelope
    # Before the load, what others had asked of the service may lie before the first sample. From the load on
    # everything counts: until then the HPA was at its least.
    decisions = [one for one in envelope.decisions() if one.t > course.loaded or envelope.is_seen(one)]
    readings = list(envelope.readings())
    if all(one.wanted is None for one in readings) or any(one.explained is None for one in decisions):
        return checks.FORMULA.invalid(course.subject, "what the formula asks for could not be computed")
    said = ", ".join(f"{one.before} to {one.after}" for one in decisions) or "no change"
    foreign = next(envelope.foreign_changes(), None)
    wrong = next((one for one in decisions if not one.explained), None)
    kept = envelope.surplus()
    if foreign is not None:
        why = f"something else than its HPA gave it {foreign.replicas} replicas"
        observed = f"{foreign.replicas} replicas while the HPA asked for {foreign.desired}"
    elif wrong is not None:
        allowed = f"{wrong.least} to {wrong.most}"
        why = f"its HPA went from {wrong.before} to {wrong.after} replicas, its formula allows {allowed}"
        observed = f"{said}; meanwhile the formula said {wrong.why}"
    elif kept is not None:
        why = f"its HPA kept {kept.sample.desired} replicas longer than its formula asks"
        observed = f"{said}; the formula: {kept.recommendation}"
    else:
        sentence = f"every one of {len(decisions)} decisions is what the formula gives"
        return checks.FORMULA.passed(course.subject, sentence, observed=said)
    return checks.FORMULA.failed(
        course.subject,
        why,
        expected="what the formula of autoscaling/v2 gives for the pods' own measurements",
        observed=observed,
        evidence=course.evidence,
    )


def _new_pods(course: Course) -> Check:
    """Return whether pods that were added took their part of the traffic."""
    shares: list[tuple[str, int, float]] = []
    few: list[tuple[str, int, float]] = []
    for name, seen in _new(course).items():
        since = next((t + SETTLING_SECONDS for t, pod in seen if pod.ready), None)
        if since is None:
            continue
        until = min(course.relieved, seen[-1][0])
        fair = _fair(course, since, until)
        got = sum(since <= one.t <= until and _of(one, seen[-1][1]) for one in course.answers)
        (few if fair < _LEAST_ANSWERS else shares).append((name, got, fair))
    observed = ", ".join(f"{name} {got} of {fair:.0f} answers due" for name, got, fair in (*shares, *few))
    if not any(one.address for one in course.answers):
        return checks.NEW_PODS.invalid(course.subject, "no answer says which pod gave it")
    if not shares:
        why = "no new pod was ready for long enough to see its share of the traffic"
        return checks.NEW_PODS.invalid(course.subject, why, observed=observed)
    starved = [name for name, got, fair in shares if got < _LEAST_SHARE * fair]
    if not starved:
        sentence = f"{len(shares)} new pods took their part of the traffic"
        return checks.NEW_PODS.passed(course.subject, sentence, observed=observed)
    return checks.NEW_PODS.failed(
        course.subject,
        f"new pods got next to no traffic: {', '.join(starved)}",
        expected=f"a fair share each from {SETTLING_SECONDS:g} s after it is ready",
        observed=observed,
        evidence=course.evidence,
    )


def _fair(course: Course, since: float, until: float) -> float:
    answers = sum(since <= one.t <= until for one in course.answers)
    pods = max((one.ready for one in course.under_load if since <= one.t <= until), default=0)
    return answers / pods if pods else 0.0


def _of(answer: Served, pod: Pod) -> bool:
    return answer.address.partition(":")[0] in (pod.address, pod.name)


def _slo(course: Course, promised: Objectives) -> Check:
    latencies = [one.latency_seconds for one in course.orders if one.latency_seconds is not None]
    if not latencies:
        return checks.SLO.invalid(course.subject, "no order was answered")
    ratio = sum(one.acknowledged for one in course.orders) / len(course.orders)
    p95 = percentile(latencies, 0.95)
    observed = f"{100 * ratio:.1f} % of {len(course.orders)} orders accepted, p95 {1000 * p95:.0f} ms"
    expected = (
        f"at least {100 * promised.accepted_ratio:g} %, p95 at most {1000 * promised.p95_seconds:.0f} ms"
    )
    if ratio < promised.accepted_ratio:
        why = "orders were sent away while it scaled"
    elif p95 > promised.p95_seconds:
        why = "orders were answered late while it scaled"
    else:
        return checks.SLO.passed(
            course.subject, "what is promised of orders held while it scaled", observed=observed
        )
    return checks.SLO.failed(
        course.subject, why, expected=expected, observed=observed, evidence=course.evidence
    )


def _down(course: Course) -> Check:
    """Return whether it had its least replicas again in time."""
    floor = course.pace.autoscaler.least
    peak = max(one.desired for one in course.watch.samples if one.t >= course.loaded)
    if peak <= floor:
        return checks.DOWN.invalid(course.subject, f"it never had more than its {floor} replicas")
    after = [one for one in course.envelope.readings() if one.sample.t > course.relieved]
    bound = course.pace.down_seconds(windows_down(course.pace.autoscaler, peak, _idle(after)))
    down = next((one.sample.t for one in after if one.sample.desired <= floor), None)
    took = (down if down is not None else course.watch.ended) - course.relieved
    if down is None and took < bound:
        return checks.DOWN.invalid(
            course.subject, f"it was watched for {took:.0f} s only, and needs {bound:.0f} s"
        )
    if down is not None and took <= bound:
        sentence = f"it had {floor} replicas again {took:.0f} s after the load"
        return checks.DOWN.passed(course.subject, sentence, observed=f"from {peak} to {floor}")
    still = f"it still had {after[-1].sample.desired} replicas {took:.0f} s after the load"
    late = f"it took {took:.0f} s after the load to have {floor} replicas again"
    return _still_up(course, took, bound, still if down is None else late)


def _idle(readings: Sequence[Reading]) -> dict[str, int]:
    """Return the least that pods used of each resource, in percent of what they request."""
    idle: dict[str, int] = {}
    for reading in readings:
        for one in reading.recommendation.proposals:
            if one.percent is not None:
                idle[one.target.resource] = min(one.percent, idle.get(one.target.resource, one.percent))
    return idle


def _still_up(course: Course, took: float, bound: float, what: str) -> Check:
    """Return that replicas were not given back, with the metric that kept them."""
    least = course.pace.autoscaler.least
    last = list(course.envelope.readings())[-1]
    leading = last.recommendation.leading
    cause = ""
    if leading is not None and (leading.replicas or 0) > least:
        target = leading.target
        cause = f": {target.resource} at {leading.percent} % of a target of {target.percent} % keeps them"
    return checks.DOWN.failed(
        course.subject,
        f"{what}{cause}",
        expected=f"{least} replicas within {bound:.0f} s",
        observed=f"{last.sample.desired} replicas after {took:.0f} s; the formula: {last.recommendation}",
        evidence=course.evidence,
    )
