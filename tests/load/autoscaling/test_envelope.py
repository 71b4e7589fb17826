"""What an HPA may and must have asked for: bounds of time, and clean courses of any load and phase."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rehearsal.core.verdicts import Verdict
from rehearsal.load.autoscaling.envelope import Envelope, Pace, windows_down
from rehearsal.load.autoscaling.facts import Behaviour, Controller, Pod, Rules, Sample, Usage

from tests.load.autoscaling.simulated import AUTOSCALER, PACE, T0, Simulation, course, judged


def test_production_timing_allows_what_kubernetes_own_tests_allow() -> None:
    pace = Pace(AUTOSCALER, Controller(), metrics_seconds=15.0)

    assert (pace.up_seconds, pace.down_seconds()) == (100.0, 400.0)


def test_compressed_timing_is_bounded_sooner() -> None:
    assert (PACE.up_seconds, PACE.down_seconds()) == (70.0, 100.0)


def test_windows_of_the_hpa_count() -> None:
    rules = Rules((), window_seconds=60.0)
    pace = replace(PACE, autoscaler=replace(AUTOSCALER, behaviour=Behaviour(rules, rules)))

    assert (pace.up_seconds, pace.down_seconds()) == (130.0, 130.0)


@pytest.mark.parametrize(
    ("percents", "windows"),
    [({"cpu": 5}, 1), ({"cpu": 25, "memory": 30}, 2), ({"memory": 41}, 3), ({"memory": 75}, 1), ({}, 1)],
    ids=["at once", "6 3 2", "6 4 3 2", "kept for ever", "unknown"],
)
def test_fewer_replicas_make_the_formula_ask_for_fewer_still(percents: dict[str, int], windows: int) -> None:
    assert windows_down(AUTOSCALER, 6, percents) == windows


def test_each_window_takes_its_time() -> None:
    assert PACE.down_seconds(3) == PACE.down_seconds() + 2 * 35.0


def test_no_change_is_no_decision() -> None:
    assert list(Envelope(PACE, Simulation(load_milli=0.0).samples()).decisions()) == []


def test_change_without_any_measurement_has_no_bounds() -> None:
    samples = [Sample(T0, 2, 2, ()), Sample(T0 + 1, 2, 4, ())]
    (decision,) = Envelope(PACE, samples).decisions()

    assert decision.explained is None


@pytest.mark.parametrize(("seen_seconds", "seen"), [(1.0, False), (30.0, True)])
def test_decision_may_have_been_made_before_anybody_looked(seen_seconds: float, *, seen: bool) -> None:
    samples = [Sample(T0 - seen_seconds, 2, 2, ()), Sample(T0, 2, 2, ()), Sample(T0 + 1, 2, 4, ())]
    envelope = Envelope(PACE, samples)
    (decision,) = envelope.decisions()

    assert envelope.is_seen(decision) is seen


@pytest.mark.parametrize("asked", [3, 4])
def test_decision_is_bounded_by_the_speed_of_the_older_rule(asked: int) -> None:
    """From 2 it may go to 4 at once, whatever its formula gives; its lower bound is to stay."""
    simulation = Simulation(
        load_milli=400.0,
        decides=lambda second, wanted, replicas: min(wanted, asked) if second < 25 else wanted,
    )
    first = next(Envelope(PACE, simulation.samples()).decisions())

    assert (first.least, first.most, first.explained) == (2, 4, True)


def test_decision_is_held_against_the_pods_that_were_there_before_it() -> None:
    """With the pod that it brought, not measured yet, the formula would have asked for nothing."""
    pace = replace(PACE, autoscaler=replace(AUTOSCALER, behaviour=Behaviour()))
    requests = {"cpu": 20, "memory": 1000}
    old = Pod("", started=T0 - 900, ready=True, ready_changed=T0 - 900, requests=requests)

    def pods(cpu: int, *new: Pod) -> tuple[Pod, ...]:
        usage = Usage(T0, 10.0, {"cpu": cpu, "memory": 10})
        return (*(replace(old, name=name, usage=usage) for name in ("a", "b")), *new)

    samples = [Sample(T0, 2, 2, pods(5)), Sample(T0 + 1, 3, 3, pods(20, Pod("c", requests=requests)))]
    (decision,) = Envelope(pace, samples).decisions()

    assert (decision.most, decision.explained) == (3, True)


@settings(deadline=None, max_examples=30)
@given(
    load_milli=st.floats(0.0, 500.0),
    start_seconds=st.integers(1, 20),
    offset_seconds=st.floats(0.0, 0.99),
    memory_percent=st.integers(5, 45),
)
# What the older rule remembers makes it go up once more; idle memory makes it come down in three windows.
@example(load_milli=47.0, start_seconds=1, offset_seconds=0.0, memory_percent=5)
@example(load_milli=53.0, start_seconds=1, offset_seconds=0.0, memory_percent=41)
def test_clean_course_is_never_found_fault_with(
    load_milli: float, start_seconds: int, offset_seconds: float, memory_percent: int
) -> None:
    simulation = Simulation(
        load_milli=load_milli, start_seconds=float(start_seconds), memory_percent=memory_percent
    )
    given_course = course(simulation)
    # The sampler's clock and the controller's are not in step.
    samples = [replace(one, t=one.t + offset_seconds) for one in given_course.watch.samples]
    watch = replace(given_course.watch, samples=samples)

    assert Verdict.FAIL not in {one.verdict for one in judged(replace(given_course, watch=watch)).values()}
