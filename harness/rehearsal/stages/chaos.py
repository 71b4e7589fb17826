"""The chaos stage: one experiment after the other, then the audit of every order of the run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from rehearsal.chaos.auditing import read_lists
from rehearsal.chaos.experiment import Experiment, Observation, run
from rehearsal.chaos.injecting import WORKLOAD_ENTRY, Injector, WorkloadUndo
from rehearsal.chaos.invariants import document, judge_audit, unaudited
from rehearsal.chaos.judging import judge
from rehearsal.chaos.proving.audit import audit
from rehearsal.chaos.proving.collecting import Scope, Source, collect
from rehearsal.chaos.proving.ending import END_SECONDS
from rehearsal.chaos.proving.operations import PLACE, Operation, operations_of
from rehearsal.chaos.settling import settle
from rehearsal.core.checks import Check
from rehearsal.core.errors import EnvironmentNotReadyError, HarnessError
from rehearsal.core.events import FaultMade, Level, Notice, NotLookedAt, step
from rehearsal.core.ledger import Undo, undo_all
from rehearsal.load import series
from rehearsal.load.flow import Flow, FlowPlan, unwritten
from rehearsal.shop.accounts import OF_CHAOS
from rehearsal.shop.history import History, read
from rehearsal.shop.stocking import stock_up
from rehearsal.stages.contract import OpenShops
from rehearsal.stages.room import Room

AUDIT_FILE = "audit.json"
_PRODUCTS = 3
_UNITS = 1_000_000
_SCARCE_UNITS = 5  # sold out within the fault: a quarter of the orders want one
_REPEAT_EVERY = 7
_HISTORIES = "*/*.jsonl"  # of every stage that places orders


@dataclass(frozen=True, slots=True)
class ChaosStage:
    """Breaks parts of the shop under a flow of orders."""

    open_shop: OpenShops
    injector: Injector
    experiments: Sequence[Experiment]
    rate_per_second: float
    end_seconds: float
    source: Callable[[], Source]
    left_out: Sequence[str] = ()  # titles of experiments that were not asked for

    def __call__(self, room: Room) -> None:
        """Run every experiment, then audit: also when one of them could not be brought to its end."""
        for title in self.left_out:
            room.emit(NotLookedAt(title, "this experiment was not asked for"))
        raced: dict[str, int] = {}
        try:
            for experiment in self.experiments:
                with step(room.emit, experiment.id, experiment.title):
                    raced |= asyncio.run(self._run(room, experiment))
        except EnvironmentNotReadyError:
            # What the experiment was to show is not to be had; what became of the orders is.
            if undo_all(self.injector.ledger, self._undoers, room.emit, kind=WORKLOAD_ENTRY):
                _record(room, unaudited("what was broken could not be mended"))
            else:
                self._audit_all(room, raced)
            raise
        self._audit_all(room, raced)

    @property
    def _undoers(self) -> Mapping[str, Undo]:
        return {WORKLOAD_ENTRY: WorkloadUndo(self.injector)}

    def _audit_all(self, room: Room, raced: dict[str, int]) -> None:
        with step(room.emit, "audit", "the audit of every order"):
            asyncio.run(self._audit(room, raced))

    async def _run(self, room: Room, experiment: Experiment) -> dict[str, int]:
        """Run one; return the product that was raced for."""
        history_file = room.folder / f"{experiment.id}.jsonl"
        async with self.open_shop() as shop:
            products = await stock_up(shop, experiment.id, products=_PRODUCTS, units=_UNITS, emit=room.emit)
            (scarce,) = await stock_up(
                shop, f"{experiment.id}-last", products=1, units=_SCARCE_UNITS, emit=room.emit
            )
            plan = FlowPlan(
                experiment.title,
                self.rate_per_second,
                experiment.longest_seconds,
                OF_CHAOS,
                products,
                room.seed,
                patience_seconds=experiment.recovery_seconds + experiment.outage_seconds,
                end_seconds=self.end_seconds + experiment.outage_seconds,
                scarce=scarce,
                repeat_every=_REPEAT_EVERY,
            )
            before = await read_lists(shop, OF_CHAOS)
            seen = Observation(experiment)
            with History(history_file) as history:
                flow = Flow(plan, shop, history)
                try:
                    await run(seen, flow, self.injector)
                finally:
                    # Also when it breaks off: its orders were offered, and its fault was made.
                    _draw(room, flow, seen)
            after = await read_lists(shop, OF_CHAOS)
        _require_whole(history_file, flow)
        evidence = (f"{room.stage}/{history_file.name}",)
        for check in judge(seen, plan, flow.orders, before=before, after=after, evidence=evidence):
            room.record(check)
        return {scarce: _SCARCE_UNITS}

    async def _audit(self, room: Room, raced: dict[str, int]) -> None:
        began = monotonic()
        operations = list(_operations(room.run))
        placed = [one for one in operations if one.f == PLACE]
        if not placed:
            _record(room, unaudited("no order was placed"))
            return
        scope = Scope(frozenset(one.key for one in placed), min(one.invoked_ns for one in placed))
        try:
            source = self.source()
            left = await settle(source, END_SECONDS)
            if left:
                room.emit(Notice(Level.WARNING, f"the shop does not come to rest: {'; '.join(left)}"))
            snapshot = await asyncio.to_thread(
                collect,
                source,
                quiet_seconds=monotonic() - began,
                raced=raced,
                scope=scope,
                keys_by_user=False,
            )
        except EnvironmentNotReadyError as error:
            _record(room, unaudited(str(error)))
            return
        except (KeyError, TypeError, ValueError) as error:
            # Such as an event without its number: what it should be is for the stage of events to judge.
            _record(room, unaudited(f"a row or an event has another form than the audit knows: {error!r}"))
            return
        found = audit(operations, snapshot)
        file = room.folder / AUDIT_FILE
        file.write_text(json.dumps(document(found, operations, snapshot), indent=1) + "\n", encoding="utf-8")
        _record(room, judge_audit(found, (f"{room.stage}/{AUDIT_FILE}",)))


def _draw(room: Room, flow: Flow, seen: Observation) -> None:
    """Say what the report's timeline shows of an experiment, and what it had to repeat."""
    for one in seen.unclean:
        what = f"the window before the fault was repeated, because the shop was not well in it: {one}"
        room.emit(Notice(Level.WARNING, f"{seen.experiment.title}: {what}"))
    series.append(room.run / series.FILE_NAME, series.of_flow(flow))
    if seen.injected is not None:
        end = seen.whole if seen.whole is not None else flow.now
        start = flow.began_at + seen.injected
        room.emit(FaultMade(seen.experiment.title, round(start, 1), round(flow.began_at + end, 1)))


def _require_whole(history_file: Path, flow: Flow) -> None:
    """Raise HarnessError when orders are not in the history: the audit would never miss them."""
    if lacking := unwritten(flow.orders, read(history_file)):
        raise HarnessError(
            "HISTORY_INCOMPLETE",
            f"{history_file.name} lacks {len(lacking)} of {len(flow.orders)} orders, such as {lacking[0]}",
            hint="Something else wrote into the run's folder, or the disk is full; start a new run.",
        )


def _record(room: Room, checks: Iterable[Check]) -> None:
    for check in checks:
        room.record(check)


def _operations(run_folder: Path) -> Iterator[Operation]:
    """Every operation of the run, in the order of their invocation."""
    found = [one for file in run_folder.glob(_HISTORIES) for one in operations_of(read(file))]
    yield from sorted(found, key=lambda one: one.invoked_ns)
