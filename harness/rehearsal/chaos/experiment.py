"""One experiment: a flow of orders, a window in which all is well, the fault, the way back, the flow's end.

The flow never stops for the fault; it ends a while after the shop has recovered. What was seen is handed over
as it is; judging is for `judging`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from rehearsal.chaos.controlling import MARGIN_SECONDS, MOST_WINDOWS, Window, window
from rehearsal.chaos.injecting import Extent, Injector, Kill, Workload
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.load.flow import Flow, beside

_PROBE_SECONDS = 0.5  # how often the cluster is asked whether the workload is whole
_LATE_SECONDS = 60.0  # that the API may take to make a fault and to end it


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is to be tried."""

    id: str
    workload: Workload
    extent: Extent
    control_seconds: float  # of the flow before the fault: the shop must be well then
    recovery_seconds: float  # how long the way back may take
    outage_seconds: float = 0.0  # how long all pods stay away; 0: they are killed, and may come back at once
    database: str = ""  # what refuses the pods for that long; they are killed at its end
    # What a killed pod leaves behind, stale addresses and half-open connections, outlives its replacement: so
    # long is watched, however fast that is there.
    least_seconds: float = 5.0
    tail_seconds: float = 5.0  # of the flow after the way back: the shop must work again

    @property
    def longest_seconds(self) -> float:
        """How long its flow lasts at most; it ends with what it is for."""
        fault = max(self.outage_seconds + self.recovery_seconds, self.least_seconds) + _LATE_SECONDS
        return MOST_WINDOWS * self.control_seconds + fault + self.tail_seconds

    @property
    def title(self) -> str:
        """What is done, in words."""
        kill, outage = f"kill {self.extent} of {self.workload.name}", f"{self.outage_seconds:g} s without"
        if self.database:
            return f"{kill} after {outage} its database"
        return f"{outage} {self.workload.name}" if self.outage_seconds else kill


@dataclass(slots=True)
class Observation:
    """What was seen; times are seconds since the flow began."""

    experiment: Experiment
    unclean: list[Window] = field(default_factory=list)  # windows before the fault that were repeated
    control_from: float = 0.0  # when the last one began
    injected: float | None = None
    victims: tuple[str, ...] = ()
    proven: bool = False  # every pod that was hit is gone
    in_flight: int = 0  # orders without an answer when the fault was made
    ended: float | None = None  # when the way back began: as soon as a kill is made
    whole: float | None = None  # when the workload had all its replicas again

    @property
    def over(self) -> float:
        """When the fault counts as over: all replicas are back, and it was watched for long enough."""
        injected = self.injected or 0.0
        ended = self.ended if self.ended is not None else injected
        back = self.whole if self.whole is not None else ended + self.experiment.recovery_seconds
        return max(back, injected + self.experiment.least_seconds)


async def run(seen: Observation, flow: Flow, injector: Injector) -> None:
    """Run one experiment to the end of its flow; what is seen stands in `seen`, also when it breaks off."""
    try:
        await beside(flow, _course(seen, flow, injector))
    finally:
        flow.history.fault_id = ""


async def _course(seen: Observation, flow: Flow, injector: Injector) -> None:
    await _control(seen.experiment, flow, seen)
    await _fault(seen.experiment, flow, injector, seen)


async def _control(experiment: Experiment, flow: Flow, seen: Observation) -> None:
    """Wait for a clean window, or for the last one; what that one shows is known when the flow has ended."""
    await asyncio.sleep(experiment.control_seconds)
    for _ in range(MOST_WINDOWS - 1):
        ended = window(flow.orders, seen.control_from, flow.now - MARGIN_SECONDS)
        if ended.is_clean:
            return
        seen.unclean.append(ended)
        seen.control_from = ended.end
        await asyncio.sleep(experiment.control_seconds)


async def _fault(experiment: Experiment, flow: Flow, injector: Injector, seen: Observation) -> None:
    flow.history.fault_id = experiment.id
    seen.in_flight = flow.in_flight()
    seen.injected = flow.now
    # In threads: the client of the API blocks, and the flow must not wait for it.
    kill = await asyncio.to_thread(_begin, experiment, injector)
    seen.victims = tuple(pod.name for pod in kill.victims)
    if experiment.outage_seconds:
        await _until(flow.now + experiment.outage_seconds, kill, flow, injector, seen)
        await asyncio.to_thread(injector.restore, kill)
    # Not before: an API that was late with the fault, or with its end, is no time that the shop took.
    seen.ended = flow.now
    await _until(seen.ended + experiment.recovery_seconds, kill, flow, injector, seen)
    await asyncio.sleep(seen.over - flow.now)
    flow.history.fault_id = ""
    flow.until = flow.now + experiment.tail_seconds
    if seen.whole is not None:
        injector.ledger.strike(kill.entry)


def _begin(experiment: Experiment, injector: Injector) -> Kill:
    if experiment.database:
        return injector.cut_off(experiment.workload, experiment.database)
    if experiment.outage_seconds:
        return injector.stop(experiment.workload)
    return injector.kill(experiment.workload, experiment.extent)


async def _until(bound: float, kill: Kill, flow: Flow, injector: Injector, seen: Observation) -> None:
    """Look until the workload is whole, or so long.

    Raises EnvironmentNotReadyError when nobody can look in the end, and it is on that that a verdict stands.
    """
    unanswered = False
    while flow.now < bound and seen.whole is None:
        seen.in_flight = max(seen.in_flight, flow.in_flight())
        try:
            await asyncio.to_thread(_look, injector, kill, flow, seen)
            unanswered = False
        except EnvironmentNotReadyError:
            # Under load the API server is late at times; whoever asks next is answered.
            unanswered = True
        await asyncio.sleep(_PROBE_SECONDS)
    if unanswered and seen.ended is not None:
        # Whoever was not answered last does not know: once more, and then it is no verdict on the workload.
        await asyncio.to_thread(_look, injector, kill, flow, seen)


def _look(injector: Injector, kill: Kill, flow: Flow, seen: Observation) -> None:
    seen.proven = seen.proven or injector.gone(kill)
    may_be_whole = seen.ended is not None  # nobody is whole while its replicas are to be none
    if seen.proven and may_be_whole and injector.whole(kill.workload):
        seen.whole = flow.now
