"""The course of a step: it waits, offers, goes on while the HPA grows, waits again, each within a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.load.autoscaling.envelope import Pace
from rehearsal.load.autoscaling.facts import Controller
from rehearsal.load.autoscaling.judging import Course
from rehearsal.load.autoscaling.points import points
from rehearsal.load.autoscaling.sampling import Lookout, Sampler
from rehearsal.load.autoscaling.stepping import Step, run
from rehearsal.load.flow import Flow, FlowPlan
from rehearsal.shop.answers import Answer
from rehearsal.shop.client import Line
from rehearsal.shop.history import History

from tests.load.autoscaling.objects import FakeReader
from tests.shop.fakes import FakeShop

PLAN = FlowPlan("step", 20.0, 30.0, ("anna",), ("p-1",), 7, retry_seconds=0.001, poll_seconds=0.001)


class Growing(FakeShop):
    """A shop whose orders make an HPA grow."""

    def __init__(self, reader: FakeReader, after: int, grown: int = 4) -> None:
        super().__init__()
        self.reader, self.after, self.grown = reader, after, grown

    async def place_order(self, user: str, lines: Sequence[Line], *, key: str) -> Answer:
        """Place an order; a number of them make the HPA ask for more."""
        if self.placements == self.after:
            self.reader.replicas = self.reader.desired = self.grown
        return await super().place_order(user, lines, key=key)


def _step(reader: FakeReader) -> Step:
    lookout = Lookout(reader, "shop", "order-service-hpa", "order-service")
    return Step(lookout, Controller(), 10.0, 0.6, 60.0, hold_seconds=0.0)


class Impatient(Pace):
    """A pace whose bounds have passed already."""

    def down_seconds(self, windows: int = 1) -> float:
        """Wait for nothing."""
        return 0.0


def _run(
    reader: FakeReader,
    shop: FakeShop,
    folder: Path,
    plan: FlowPlan = PLAN,
    say: Callable[[str], None] = lambda message: None,
) -> Course:
    step = _step(reader)
    pace = step.pace()
    patient = Impatient(pace.autoscaler, pace.controller, pace.metrics_seconds)
    with History(folder / "history.jsonl") as history:
        return asyncio.run(run(step, patient, Flow(plan, shop, history), say, Sampler(step.lookout.look)))


def test_load_ends_when_what_was_asked_for_is_ready(tmp_path: Path) -> None:
    reader = FakeReader()
    done = _run(reader, Growing(reader, after=5), tmp_path)

    assert 5 < len(done.orders) < PLAN.arrivals
    assert done.loaded < done.relieved
    assert done.start == 2


def test_load_goes_on_while_pods_are_not_ready(tmp_path: Path) -> None:
    reader = FakeReader(ready=2)
    short = replace(PLAN, seconds=2.0)
    done = _run(reader, Growing(reader, after=5), tmp_path, short)

    assert len(done.orders) == short.arrivals


def test_hpa_that_is_not_at_its_least_is_not_loaded(tmp_path: Path) -> None:
    done = _run(FakeReader(replicas=6, desired=6), FakeShop(), tmp_path)

    assert done.orders == []
    assert done.start == 6


def test_answers_carry_the_pods_that_gave_them(tmp_path: Path) -> None:
    class Named(FakeShop):
        async def order(self, user: str, order_id: str) -> Answer:
            return replace(await super().order(user, order_id), pod="10.0.0.7:8080")

    reader = FakeReader()
    done = _run(reader, Named(), tmp_path, replace(PLAN, seconds=0.2))

    assert {one.address for one in done.answers} == {"10.0.0.7:8080"}


def test_step_says_how_far_it_is(tmp_path: Path) -> None:
    reader = FakeReader()
    said: list[str] = []
    _run(reader, Growing(reader, after=5), tmp_path, say=said.append)

    assert "waiting for 2 replicas" in said
    assert "4 replicas asked for, 4 ready" in said


def test_rate_and_length_follow_from_the_hpa() -> None:
    step = _step(FakeReader())
    pace = step.pace()

    assert step.rate(pace) == 1.2
    assert step.longest_seconds(pace) == pace.up_seconds + 60.0


def test_each_look_becomes_a_point(tmp_path: Path) -> None:
    done = _run(FakeReader(), FakeShop(), tmp_path, replace(PLAN, seconds=0.2))
    (first, *others) = points(done)

    assert len(others) + 1 == len(done.watch.samples)
    assert (first["hpa"], first["desired"], first["targets"]) == (
        "order-service",
        2,
        {"cpu": 70, "memory": 80},
    )
    assert first["used"] == {"cpu": 25, "memory": 29}


def test_step_ends_at_once_when_a_shopper_gets_no_token(tmp_path: Path) -> None:
    def refused(number: int) -> Answer | None:
        raise EnvironmentNotReadyError("TOKEN_REFUSED", "no token", hint="")

    began = monotonic()
    with pytest.raises(EnvironmentNotReadyError, match="no token"):
        _run(FakeReader(ready=2), FakeShop(trouble=refused), tmp_path, replace(PLAN, seconds=60.0))

    assert monotonic() - began < 30
