"""The chaos stage: one experiment after the other, each with a flow and an audit of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from rehearsal.chaos.auditing import read_lists
from rehearsal.chaos.experiment import Experiment, run
from rehearsal.chaos.injecting import Injector
from rehearsal.chaos.judging import judge, judge_reads
from rehearsal.chaos.proving.acknowledging import reads_see_acknowledged
from rehearsal.chaos.proving.operations import operations_of
from rehearsal.chaos.proving.snapshot import Snapshot
from rehearsal.core.events import FaultMade, step
from rehearsal.load import series
from rehearsal.load.flow import Flow, FlowPlan
from rehearsal.shop.accounts import OF_CHAOS
from rehearsal.shop.history import History, read
from rehearsal.shop.stocking import stock_up
from rehearsal.stages.contract import OpenShops
from rehearsal.stages.room import Room

_PRODUCTS = 3
_UNITS = 1_000_000


@dataclass(frozen=True, slots=True)
class ChaosStage:
    """Breaks parts of the shop under a flow of orders."""

    open_shop: OpenShops
    injector: Injector
    experiments: Sequence[Experiment]
    rate_per_second: float
    end_seconds: float

    def __call__(self, room: Room) -> None:
        """Run every experiment."""
        for experiment in self.experiments:
            with step(room.emit, experiment.id, experiment.title):
                asyncio.run(self._run(room, experiment))

    async def _run(self, room: Room, experiment: Experiment) -> None:
        history_file = room.folder / f"{experiment.id}.jsonl"
        async with self.open_shop() as shop:
            products = await stock_up(shop, experiment.id, products=_PRODUCTS, units=_UNITS)
            plan = FlowPlan(
                experiment.title,
                self.rate_per_second,
                experiment.longest_seconds,
                OF_CHAOS,
                products,
                room.seed,
                patience_seconds=experiment.recovery_seconds,
                end_seconds=self.end_seconds,
            )
            before = await read_lists(shop, OF_CHAOS)
            with History(history_file) as history:
                flow = Flow(plan, shop, history)
                seen = await run(experiment, flow, self.injector)
            after = await read_lists(shop, OF_CHAOS)
        series.append(room.run / series.FILE_NAME, flow)
        if seen.injected is not None:
            end = seen.whole if seen.whole is not None else flow.now
            start = flow.began_at + seen.injected
            room.emit(FaultMade(experiment.title, round(start, 1), round(flow.began_at + end, 1)))
        evidence = (f"{room.stage}/{history_file.name}",)
        for check in judge(seen, plan, flow.orders, before=before, after=after, evidence=evidence):
            room.record(check)
        # Of the invariants, the one that needs nothing but the history.
        reads = reads_see_acknowledged(operations_of(read(history_file)), Snapshot(quiet_seconds=0.0))
        room.record(judge_reads(experiment.title, reads, evidence))
