"""Flows of orders through a shop in memory, as fast as a test wants them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from rehearsal.load.flow import Flow, FlowPlan
from rehearsal.shop.history import History

from tests.shop.fakes import FakeShop

PLAN = FlowPlan(
    name="orders",
    rate_per_second=500.0,
    seconds=0.04,
    users=("anna", "ben"),
    products=("p-1", "p-2"),
    seed=7,
    patience_seconds=60.0,
    end_seconds=60.0,
    retry_seconds=0.001,
    poll_seconds=0.001,
)
IMPATIENT = replace(PLAN, patience_seconds=0.0, end_seconds=0.0)


def flow(shop: FakeShop, folder: Path, plan: FlowPlan = PLAN) -> Flow:
    """Run a flow to its end and return it."""
    with History(folder / "history.jsonl") as history:
        made = Flow(plan, shop, history)
        asyncio.run(made.run())
    return made
