"""The contract stage: committed contracts against released and live ones, then what no document says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from rehearsal.contract.checks import DRIFT
from rehearsal.contract.committed import judge_committed
from rehearsal.contract.drift import FOLDER, judge_drift, text_of
from rehearsal.contract.expecting import judge_expectations
from rehearsal.contract.fuzzing.deployed import PARTS, FuzzedShop, Part, Target, Way, judge_target, prepare
from rehearsal.contract.fuzzing.judging import unseen
from rehearsal.contract.smoke import OpenShop, smoke
from rehearsal.core.checks import Check
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import step
from rehearsal.load.flow import FlowPlan
from rehearsal.shop.accounts import OF_CONTRACT
from rehearsal.shop.history import History
from rehearsal.shop.stocking import stock_up
from rehearsal.stages.room import Room

SERVICES = ("product-service", "cart-service", "order-service", "inventory-service", "payment-service")
_UNITS = 1000  # far more than the questions take

_AT_ONCE = 2  # fuzzers wait for answers half of their time
_PAYMENT = "payment_id"
_PAYMENT_SECONDS = 60.0  # until an order's money is taken, on a busy machine

OpenShops = Callable[[], AbstractAsyncContextManager[OpenShop]]


@dataclass(frozen=True, slots=True)
class Fuzzing:
    """What the fuzzer needs of the deployed shop."""

    open_shop: Callable[[], AbstractAsyncContextManager[FuzzedShop]]
    ways: tuple[Way, ...]  # the first of them leads to services directly
    tokens: Callable[[Sequence[str]], Awaitable[Mapping[str, str]]]  # fresh ones, by account
    environment: Callable[[], Mapping[str, str]]  # the secrets that configurations refer to


def _today() -> date:
    return datetime.now(UTC).date()


@dataclass(frozen=True, slots=True)
class ContractStage:
    """Judges the committed documents, then asks the live services."""

    root: Path  # the checkout, with the committed documents
    live: Callable[[str], Mapping[str, Any]]  # a service's document, as it serves it
    open_shop: OpenShops
    address: str  # of the shop, for commands that ask it again
    fuzzing: Fuzzing | None = None  # without it the services are not asked directly
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
        if self.fuzzing is not None:
            self._replay(room, self.fuzzing)
            self._fuzz(room, self.fuzzing)

    def _replay(self, room: Room, fuzzing: Fuzzing) -> None:
        directly = fuzzing.ways[0].open
        with step(room.emit, "expectations", "what consumers take for granted of providers"):
            for check in asyncio.run(judge_expectations(directly, fuzzing.tokens, room.folder)):
                room.record(check)

    def _fuzz(self, room: Room, fuzzing: Fuzzing) -> None:
        with step(room.emit, "fuzzing", "each service, directly and through the gateway, as several users"):
            asyncio.run(self._fuzz_all(room, fuzzing))

    async def _fuzz_all(self, room: Room, fuzzing: Fuzzing) -> None:
        async with fuzzing.open_shop() as shop:
            known = await prepare(shop, len(fuzzing.ways), _PAYMENT_SECONDS, room.emit)
        free = asyncio.Semaphore(_AT_ONCE)
        # What one makes of its carts and orders must not be another's to wonder about.
        alone = {part.service: asyncio.Lock() for part in PARTS}

        async def judge(part: Part, way: Way, ids: Mapping[str, Sequence[str]]) -> None:
            async with alone[part.service], free:
                if _PAYMENT in part.known:
                    # Who fuzzed before has found every payment in the list, and given it back.
                    async with fuzzing.open_shop() as shop:
                        (ids,) = await prepare(shop, 1, _PAYMENT_SECONDS, room.emit)
                for check in await self._judged(room, fuzzing, part, way, ids):
                    room.record(check)

        asked = [(part, way, ids) for way, ids in zip(fuzzing.ways, known, strict=True) for part in PARTS]
        await asyncio.gather(*(judge(*one) for one in asked))

    async def _judged(
        self, room: Room, fuzzing: Fuzzing, part: Part, way: Way, ids: Mapping[str, Sequence[str]]
    ) -> Sequence[Check]:
        file = room.folder / _document_name(part.service)
        if not file.exists():  # why, is said already
            return list(unseen(f"{part.service} {way.name}", "there is no document to fuzz it by"))
        target = Target(
            part,
            way,
            json.loads(file.read_text(encoding="utf-8")),
            file,
            self.root / part.config,
            room.seed,
            fuzzing.tokens,
            {name: ids[name] for name in part.known},
            fuzzing.environment(),
        )
        with step(room.emit, f"fuzz {target.name}"):
            return await judge_target(target, room.folder)

    def _document(self, room: Room, service: str) -> None:
        try:
            live = self.live(service)
        except EnvironmentNotReadyError as error:
            room.record(DRIFT.invalid(service, f"its document could not be fetched: {error.message}"))
            return
        name = _document_name(service)
        (room.folder / name).write_text(text_of(live), encoding="utf-8")
        path = self.root / FOLDER / f"{service}.json"
        committed = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        room.record(judge_drift(service, committed, live, (f"{room.stage}/{name}",)))

    async def _smoke(self, room: Room) -> None:
        async with self.open_shop() as shop:
            products = await stock_up(shop, "contract", products=1, units=_UNITS, emit=room.emit)
            plan = FlowPlan("contract", 1.0, 1.0, OF_CONTRACT, products, room.seed)
            with History(room.folder / "history.jsonl") as history:
                async for check in smoke(shop, plan, history, self.address):
                    room.record(check)


def _document_name(service: str) -> str:
    return f"{service}.openapi.json"
