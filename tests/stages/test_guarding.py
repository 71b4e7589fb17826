"""Stop conditions: what counts as too little, and how a run ends for it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from rehearsal.core.verdicts import Ending, ExitCode, exit_code_of_ending
from rehearsal.stages.doctor.facts import DiskFacts
from rehearsal.stages.guarding import Bounds, Guard, Left, read_left, shortage
from rehearsal.stages.room import Room, Stage, StopConditionError

from tests.stages.planted_run import plans, planted
from tests.stages.test_running import Ground

_GIB = 1 << 30
_MIB = 1 << 20
BOUNDS = Bounds(_GIB, 128 * _MIB)
NO_BOUNDS = Bounds(0, 0)
# More than any machine has: it is always too little.
PLANTED = Bounds(1 << 60, 1 << 60)
_OFTEN_SECONDS = 0.05
_HANGS_SECONDS = 60.0


def _left(free_bytes: int, memory_bytes: int = _GIB) -> Left:
    return Left((DiskFacts(("engine", "runs"), Path("/data"), free_bytes, 100 * _GIB),), memory_bytes)


def _later(step_seconds: float = 5.0) -> Callable[[], float]:
    """Return a clock on which so much time goes by between two looks."""
    times = itertools.count(0.0, step_seconds)
    return lambda: next(times)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """Return a new ground."""
    return Ground(tmp_path)


@pytest.fixture
def guard(tmp_path: Path) -> Callable[[Bounds], Guard]:
    """Return what makes a guard of this very machine."""
    return lambda bounds: Guard(lambda: read_left({"runs": tmp_path}), bounds, _OFTEN_SECONDS)


def test_enough_is_nothing_to_say() -> None:
    assert shortage(_left(_GIB, 128 * _MIB), BOUNDS) == ""


def test_disk_is_named_with_what_lies_on_it() -> None:
    assert shortage(_left(_GIB // 2), BOUNDS) == "/data (engine, runs) has 0.5 GiB free, 1 must stay"


def test_both_are_named() -> None:
    said = shortage(_left(0, 100 * _MIB), BOUNDS)
    assert said.endswith("; 100 MiB of memory are available, 128 must stay")


def test_one_look_is_no_reason_to_stop() -> None:
    looks: Iterator[Left] = iter([_left(0), _left(_GIB), _left(0)])
    guard = Guard(lambda: next(looks), BOUNDS)
    for _ in range(3):
        guard.check()


def test_second_look_in_a_row_is() -> None:
    guard = Guard(lambda: _left(0), BOUNDS, clock=_later())
    guard.check()
    with pytest.raises(StopConditionError, match="going on would harm this machine: /data"):
        guard.check()


def test_second_look_at_the_same_moment_is_not() -> None:
    guard = Guard(lambda: _left(0), BOUNDS, clock=lambda: 1.0)
    for _ in range(3):
        guard.check()


def test_look_that_is_not_possible_stops_nothing() -> None:
    def look() -> Left:
        raise OSError(24, "Too many open files")

    for _ in range(3):
        Guard(look, BOUNDS, clock=_later()).check()


def test_this_machine_is_left_alone_by_the_committed_bounds(guard: Callable[[Bounds], Guard]) -> None:
    for _ in range(2):
        guard(BOUNDS).check()


def test_run_is_stopped_in_the_middle_of_a_stage(ground: Ground, guard: Callable[[Bounds], Guard]) -> None:
    runner = replace(ground.runner({"load": planted("wait", ground.ledger)}), guard=guard(PLANTED))
    ending = runner.run(plans({"load": ""}))

    assert exit_code_of_ending(ending) is ExitCode.ABORTED
    assert "must stay" in ground.finished("load").reason
    assert (ground.undone, ground.ledger.entries()) == (["load"], [])


def _asynchronous(room: Room) -> None:
    asyncio.run(asyncio.sleep(_HANGS_SECONDS))


def _stubborn(room: Room) -> None:
    with suppress(Exception):
        time.sleep(_HANGS_SECONDS)
    pytest.fail("the stop was swallowed")


@pytest.mark.parametrize("work", [_asynchronous, _stubborn])
def test_no_stage_can_swallow_it(ground: Ground, guard: Callable[[Bounds], Guard], work: Stage) -> None:
    runner = replace(ground.runner({"load": work}), guard=guard(PLANTED))

    assert runner.run(plans({"load": ""})) is Ending.ABORTED


def test_unwinding_is_not_cut_off(ground: Ground, guard: Callable[[Bounds], Guard]) -> None:
    unwound: list[str] = []

    def work(room: Room) -> None:
        try:
            time.sleep(_HANGS_SECONDS)
        finally:
            time.sleep(4 * _OFTEN_SECONDS)
            unwound.append("all")

    runner = replace(ground.runner({"load": work}), guard=guard(PLANTED))

    assert (runner.run(plans({"load": ""})), unwound) == (Ending.ABORTED, ["all"])


def test_nothing_is_begun_after_stages_that_left_too_little(ground: Ground) -> None:
    seldom = Guard(lambda: _left(0), BOUNDS, every_seconds=_HANGS_SECONDS, clock=_later(_HANGS_SECONDS))
    stages = {name: planted("PASS", ground.ledger) for name in ("contract", "load", "chaos")}
    runner = replace(ground.runner(stages), guard=seldom)

    assert runner.run(plans(dict.fromkeys(stages, ""))) is Ending.ABORTED
    endings = [ground.finished(name).ending for name in stages]
    assert endings == [Ending.PASS, Ending.ABORTED, Ending.NOT_RUN]


def test_stage_that_only_looks_is_not_stopped(ground: Ground, guard: Callable[[Bounds], Guard]) -> None:
    def work(room: Room) -> None:
        time.sleep(4 * _OFTEN_SECONDS)

    runner = replace(ground.runner({"doctor": work}), guard=guard(PLANTED))

    assert runner.run(plans({"doctor": ""})) is Ending.INVALID  # nothing is judged, and it was not ended


def test_time_limit_holds_beside_it(ground: Ground, guard: Callable[[Bounds], Guard]) -> None:
    limited = tuple(replace(one, spec=replace(one.spec, limit_seconds=0.12)) for one in plans({"load": ""}))
    runner = replace(ground.runner({"load": planted("wait", ground.ledger)}), guard=guard(NO_BOUNDS))

    assert runner.run(limited) is Ending.INVALID
    assert ground.finished("load").reason.startswith("it did not come to an end")
