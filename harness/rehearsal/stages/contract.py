"""The contract stage: committed contracts against released and live ones, then what no document says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from rehearsal.contract.checks import DRIFT
from rehearsal.contract.committed import judge_committed
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


def _today() -> date:
    return datetime.now(UTC).date()


@dataclass(frozen=True, slots=True)
class ContractStage:
    """Judges the committed documents, then asks the live services."""

    root: Path  # the checkout, with the committed documents
    live: Callable[[str], Mapping[str, Any]]  # a service's document, as it serves it
    open_shop: OpenShops
    today: Callable[[], date] = _today

    def __call__(self, room: Room) -> None:
        """Check every service's document, then ask the shop."""
        with step(room.emit, "committed", "the committed contracts against the released ones"):
            for check in judge_committed(self.root, self.today()):
                room.record(check)
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
