"""The load stage: steps of load over the targets of HPAs and back, then shoppers at a fixed rate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rehearsal.core.costs import cost
from rehearsal.core.events import Emit, step
from rehearsal.load import series
from rehearsal.load.autoscaling import judging as scaling
from rehearsal.load.autoscaling import sampling, stepping
from rehearsal.load.autoscaling.points import points
from rehearsal.load.autoscaling.stepping import Step
from rehearsal.load.flow import Flow, FlowPlan
from rehearsal.load.journeys import points as journeys
from rehearsal.load.journeys.judging import judge
from rehearsal.load.journeys.plan import JourneyPlan
from rehearsal.load.journeys.sending import LOG, RECORDS, Send, send
from rehearsal.load.objectives import Objectives
from rehearsal.shop.accounts import OF_LOAD
from rehearsal.shop.history import History
from rehearsal.shop.stocking import stock_up
from rehearsal.stages.contract import OpenShops
from rehearsal.stages.room import Room

_PRODUCTS = 5
_UNITS = 1_000_000  # stock never runs out: what is looked at is the way of orders


# From the ids of what is on sale, and a seed.
PlanJourneys = Callable[[tuple[str, ...], int], JourneyPlan]


@dataclass(frozen=True, slots=True)
class LoadStage:
    """Offers orders, and whole journeys of shoppers, at fixed rates."""

    open_shop: OpenShops
    objectives: Objectives
    end_seconds: float
    journeys: PlanJourneys
    send: Send = send
    steps: Sequence[Step] = ()

    def __call__(self, room: Room) -> None:
        """Offer, follow, judge."""
        for one in self.steps:
            asyncio.run(self._step(room, one))
        self._shoppers(room)

    async def _step(self, room: Room, wanted: Step) -> None:
        workload = wanted.lookout.workload
        history_file = room.folder / f"step-{workload}.jsonl"
        samples_file = room.folder / f"step-{workload}.samples.ndjson"
        pace = wanted.pace()
        rate = wanted.rate(pace)
        with step(
            room.emit, "step", f"{rate:g} orders a second, over the HPA target of {workload}"
        ) as progress:
            async with self.open_shop() as shop:
                products = await stock_up(shop, "step", products=_PRODUCTS, units=_UNITS, emit=room.emit)
                plan = FlowPlan(
                    f"step on {workload}",
                    rate,
                    wanted.longest_seconds(pace),
                    OF_LOAD,
                    products,
                    room.seed,
                    end_seconds=self.end_seconds,
                )
                sampler = sampling.Sampler(wanted.lookout.look, file=samples_file)
                with History(history_file) as history:
                    flow = Flow(plan, shop, history)
                    try:
                        course = await stepping.run(wanted, pace, flow, progress.progress, sampler)
                    finally:
                        # Also when it breaks off, or its time is over: then they are looked at most.
                        series.append(room.run / series.FILE_NAME, series.of_flow(flow))
        watch = course.watch
        room.emit(cost(f"the sampler of {workload}", watch.cpu_seconds, watch.ended - watch.began))
        series.append(room.run / series.FILE_NAME, points(course))
        evidence = (f"{room.stage}/{samples_file.name}", f"{room.stage}/{history_file.name}")
        promise = scaling.Promise(self.objectives, wanted.new_pod_seconds)
        for check in scaling.judge(replace(course, evidence=evidence), promise):
            room.record(check)

    def _shoppers(self, room: Room) -> None:
        plan = self.journeys(asyncio.run(self._goods(room.emit)), room.seed)
        with step(room.emit, "journeys", f"{len(plan.arrivals)} shoppers in {plan.seconds:g} s"):
            seen = self.send(plan, room.folder)
        series.append(room.run / series.FILE_NAME, journeys.points(plan, seen))
        evidence = (f"{room.stage}/{RECORDS}", f"{room.stage}/{LOG}")
        for check in judge(plan, seen, self.objectives, evidence):
            room.record(check)

    async def _goods(self, emit: Emit) -> tuple[str, ...]:
        async with self.open_shop() as shop:
            return await stock_up(shop, "load", products=_PRODUCTS, units=_UNITS, emit=emit)
