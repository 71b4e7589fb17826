"""An HPA, its pods and their measurements as a simulation, second by second: a clean one, or a planted one.

The clean one obeys the formula as a controller does: it looks every few seconds, at metrics that are as old
as those of a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from rehearsal.core.checks import Check
from rehearsal.load.autoscaling.envelope import Pace
from rehearsal.load.autoscaling.facts import Autoscaler, Controller, Pod, Sample, Target, Usage
from rehearsal.load.autoscaling.formula import recommend
from rehearsal.load.autoscaling.judging import Course, Promise, Served, judge
from rehearsal.load.autoscaling.limits import Moment, Past, limited
from rehearsal.load.autoscaling.sampling import Watch
from rehearsal.load.flow import Placed
from rehearsal.load.objectives import Objectives
from rehearsal.shop.answers import Answer, Kind

T0 = 1_000_000.0
LOADED, RELIEVED, END = 10.0, 100.0, 280.0  # seconds of the simulation
AUTOSCALER = Autoscaler("order-hpa", "order", 2, 6, (Target("cpu", 70), Target("memory", 80)))
CONTROLLER = Controller(5.0, 0.1, 30.0, 30.0, 5.0)
PACE = Pace(AUTOSCALER, CONTROLLER, metrics_seconds=10.0)
PROMISE = Promise(Objectives(0.995, 1.0, 0.5), new_pod_seconds=60.0)
_METRICS_SECONDS, _START_SECONDS, _REQUEST, _IDLE = 10, 6, 20, 5


@dataclass
class Simulation:
    """What can be planted; as it stands, all is well."""

    load_milli: float = 60.0  # of CPU, between LOADED and RELIEVED
    memory_percent: int = 30
    cpu_request: int = _REQUEST
    start_seconds: float = _START_SECONDS
    # Called with the second, what a sound HPA would ask for, and what is there.
    decides: Callable[[int, int, int], int] = lambda second, wanted, replicas: wanted
    # What somebody else makes of the replicas.
    meddles: Callable[[int, int], int] = lambda second, replicas: replicas
    measures: Callable[[int], bool] = lambda second: True
    trouble: str = ""
    replicas: int = 2
    desired: int = 2
    born: dict[str, float] = field(default_factory=dict)
    usages: dict[str, Usage] = field(default_factory=dict)
    recommended: list[Moment] = field(default_factory=list)

    def samples(self) -> list[Sample]:
        """Run it to its end."""
        found = []
        self._grow(-1000)
        for second in range(int(END)):
            if second % _METRICS_SECONDS == 0:
                self._measure(second)
            if second % CONTROLLER.sync_seconds == 0:
                self._decide(second)
            self.replicas = self.meddles(second, self.replicas)
            self._grow(second)
            found.append(Sample(T0 + second, self.replicas, self.desired, self._pods(second), self.trouble))
        return found

    def _grow(self, second: float) -> None:
        for name in list(self.born)[self.replicas :]:
            del self.born[name]
        while len(self.born) < self.replicas:
            self.born[f"pod-{second}-{len(self.born)}"] = T0 + second

    def _pods(self, second: int) -> tuple[Pod, ...]:
        requests = {"memory": 1000} | ({"cpu": self.cpu_request} if self.cpu_request else {})
        return tuple(
            Pod(
                name,
                started=born,
                ready=self._ready(born, second),
                ready_changed=born + (self.start_seconds if self._ready(born, second) else 0.0),
                address=name,
                requests=requests,
                usage=self.usages.get(name),
            )
            for name, born in self.born.items()
        )

    def _ready(self, born: float, second: int) -> bool:
        return T0 + second - born >= self.start_seconds

    def _measure(self, second: int) -> None:
        if not self.measures(second):
            self.usages = {}
            return
        loaded = LOADED + _METRICS_SECONDS <= second < RELIEVED + _METRICS_SECONDS
        serving = [name for name, born in self.born.items() if T0 + second - born >= self.start_seconds + 10]
        share = round(self.load_milli / len(serving)) if loaded and serving else 0
        self.usages = {
            name: Usage(
                T0 + second,
                10.0,
                {"cpu": _IDLE + share * (name in serving), "memory": 10 * self.memory_percent},
            )
            for name, born in self.born.items()
            if T0 + second - born >= _METRICS_SECONDS
        }

    def _decide(self, second: int) -> None:
        now = T0 + second
        wanted = recommend(AUTOSCALER, self._pods(second), self.replicas, CONTROLLER, now).replicas
        if wanted is None:
            return
        asked = limited(AUTOSCALER, CONTROLLER, self.replicas, wanted, Past(self.recommended), now)
        self.recommended.append(Moment(now, wanted))
        self.desired = self.replicas = self.decides(second, asked, self.replicas)


def orders(
    *, latency_seconds: float = 0.05, accepted: bool = True, late_seconds: float = 0.0
) -> list[Placed]:
    """Return the orders of a step: one a second."""
    answer = Answer(Kind.OK if accepted else Kind.FAIL, 201 if accepted else 503, {"order_id": "1"})
    return [
        Placed(f"o-{n}", "anna", f"k-{n}", float(n), late_seconds, 1, answer, n + latency_seconds)
        for n in range(int(RELIEVED - LOADED))
    ]


def answers(samples: Sequence[Sample], sees: Callable[[Pod], bool] = lambda pod: True) -> list[Served]:
    """Return ten answers a second, given by the ready pods in turn that the gateway sees."""
    given, number = [], 0
    for one in samples:
        if not T0 + LOADED <= one.t <= T0 + RELIEVED:
            continue
        ready = [pod for pod in one.pods if pod.ready and sees(pod)]
        for part in range(10):
            given.append(Served(one.t + part / 10, f"{ready[number % len(ready)].address}:8080"))
            number += 1
    return given


def course(simulation: Simulation | None = None) -> Course:
    """Return the course of a step, a clean one by default."""
    samples = (simulation or Simulation()).samples()
    watch = Watch(samples, [], T0, T0 + END, cpu_seconds=0.005 * END)
    return Course(PACE, watch, T0 + LOADED, T0 + RELIEVED, orders(), answers(samples), ("load/samples",))


def judged(given: Course, promise: Promise = PROMISE) -> dict[str, Check]:
    """Return the checks of a course by their ids."""
    return {one.id: one for one in judge(given, promise)}


def changed(**fields: object) -> dict[str, Check]:
    """Judge a clean course with some of its facts replaced."""
    return judged(replace(course(), **fields))  # type: ignore[arg-type]  # fields by name
