"""The load stage: a steady flow of orders, each followed to its end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from rehearsal.core.events import step
from rehearsal.load import series
from rehearsal.load.flow import Flow, FlowPlan
from rehearsal.load.judging import Objectives, judge
from rehearsal.shop.accounts import OF_LOAD
from rehearsal.shop.history import History
from rehearsal.shop.stocking import stock_up
from rehearsal.stages.contract import OpenShops
from rehearsal.stages.room import Room

_PRODUCTS = 5
_UNITS = 1_000_000  # stock never runs out: what is looked at is the way of orders


@dataclass(frozen=True, slots=True)
class LoadStage:
    """Offers orders at a fixed rate."""

    open_shop: OpenShops
    objectives: Objectives
    rate_per_second: float
    seconds: float
    end_seconds: float

    def __call__(self, room: Room) -> None:
        """Offer, follow, judge."""
        asyncio.run(self._run(room))

    async def _run(self, room: Room) -> None:
        history_file = room.folder / "history.jsonl"
        async with self.open_shop() as shop:
            products = await stock_up(shop, "load", products=_PRODUCTS, units=_UNITS)
            plan = FlowPlan(
                "steady load",
                self.rate_per_second,
                self.seconds,
                OF_LOAD,
                products,
                room.seed,
                end_seconds=self.end_seconds,
            )
            with (
                History(history_file) as history,
                step(room.emit, "flow", f"{plan.arrivals} orders in {plan.seconds:g} s"),
            ):
                flow = Flow(plan, shop, history)
                await flow.run()
        series.append(room.run / series.FILE_NAME, flow)
        for check in judge(plan, flow.orders, self.objectives, (f"{room.stage}/{history_file.name}",)):
            room.record(check)
