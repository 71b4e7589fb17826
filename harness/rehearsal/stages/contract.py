"""The contract stage: documents against what is committed, then what no document says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal.contract.checks import DRIFT
from rehearsal.contract.drift import FOLDER, judge_drift, text_of
from rehearsal.contract.smoke import OpenShop, smoke
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import step
from rehearsal.load.flow import FlowPlan
from rehearsal.shop.accounts import OF_CONTRACT
from rehearsal.shop.history import History
from rehearsal.shop.stocking import stock_up
from rehearsal.stages.room import Room

SERVICES = ("product-service", "cart-service", "order-service", "inventory-service", "payment-service")
_UNITS = 1000  # far more than the questions take

OpenShops = Callable[[], AbstractAsyncContextManager[OpenShop]]


@dataclass(frozen=True, slots=True)
class ContractStage:
    """Asks the live services."""

    root: Path  # the checkout, with the committed documents
    live: Callable[[str], Mapping[str, Any]]  # a service's document, as it serves it
    open_shop: OpenShops

    def __call__(self, room: Room) -> None:
        """Check every service's document, then ask the shop."""
        for service in SERVICES:
            self._document(room, service)
        with step(room.emit, "smoke", "one order, strangers, no token"):
            asyncio.run(self._smoke(room))

    def _document(self, room: Room, service: str) -> None:
        try:
            live = self.live(service)
        except EnvironmentNotReadyError as error:
            room.record(DRIFT.invalid(service, f"its document could not be fetched: {error.message}"))
            return
        name = f"{service}.openapi.json"
        (room.folder / name).write_text(text_of(live), encoding="utf-8")
        path = self.root / FOLDER / f"{service}.json"
        committed = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        room.record(judge_drift(service, committed, live, (f"{room.stage}/{name}",)))

    async def _smoke(self, room: Room) -> None:
        async with self.open_shop() as shop:
            products = await stock_up(shop, "contract", products=1, units=_UNITS)
            plan = FlowPlan("contract", 1.0, 1.0, OF_CONTRACT, products, room.seed)
            with History(room.folder / "history.jsonl") as history:
                async for check in smoke(shop, plan, history):
                    room.record(check)
