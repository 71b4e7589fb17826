"""Stabilisation and policies, by the examples of Kubernetes' documentation and of its tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rehearsal.load.autoscaling.facts import (
    DEFAULT_DOWN,
    DEFAULT_UP,
    Autoscaler,
    Behaviour,
    Controller,
    Policy,
    PolicyKind,
    Rules,
    Select,
    Target,
)
from rehearsal.load.autoscaling.limits import Moment, Past, least_down, limited, most_up

CONTROLLER = Controller()
PODS_4_IN_60 = Policy(PolicyKind.PODS, 4, 60.0)
PERCENT_10_IN_60 = Policy(PolicyKind.PERCENT, 10, 60.0)


def _autoscaler(behaviour: Behaviour | None = None, least: int = 1, most: int = 1000) -> Autoscaler:
    return Autoscaler("hpa", "shop", least, most, (Target("cpu", 50),), behaviour)


def _down(*policies: Policy, select: Select = Select.MAX) -> Autoscaler:
    return _autoscaler(Behaviour(down=Rules(policies, select, window_seconds=0.0)))


def test_documented_example_of_two_policies_for_going_down() -> None:
    """From 80 to 10 by 10 % or 4 pods a minute: 8, 8, 7, 6, 6, 5, then 4 pods from 40 down."""
    autoscaler = _down(PODS_4_IN_60, PERCENT_10_IN_60)
    replicas, course = 80, []
    for minute in range(1, 12):
        replicas = limited(autoscaler, CONTROLLER, replicas, 10, Past(), 60.0 * minute)
        course.append(replicas)

    assert course == [72, 64, 57, 51, 45, 40, 36, 32, 28, 24, 20]


def test_what_was_taken_away_within_the_period_counts() -> None:
    autoscaler = _down(PODS_4_IN_60)

    assert least_down(autoscaler, 97, Past(removed=[Moment(30.0, 3)]), 60.0) == 96
    assert least_down(autoscaler, 97, Past(removed=[Moment(30.0, 3)]), 91.0) == 93


@pytest.mark.parametrize(("select", "least"), [(Select.MAX, 72), (Select.MIN, 76), (Select.DISABLED, 80)])
def test_selection_of_a_policy(select: Select, least: int) -> None:
    assert least_down(_down(PODS_4_IN_60, PERCENT_10_IN_60, select=select), 80, Past(), 0.0) == least


@pytest.mark.parametrize(("replicas", "most"), [(1, 5), (2, 6), (5, 10), (10, 20)])
def test_default_policies_double_or_add_four(replicas: int, most: int) -> None:
    assert most_up(_autoscaler(Behaviour(DEFAULT_UP, DEFAULT_DOWN)), replicas, Past(), 0.0) == most


@pytest.mark.parametrize(("replicas", "most"), [(1, 4), (2, 4), (3, 6)])
def test_older_rule_doubles_or_reaches_four(replicas: int, most: int) -> None:
    assert most_up(_autoscaler(), replicas, Past(), 0.0) == most


@pytest.mark.parametrize("behaviour", [None, Behaviour()], ids=["older rule", "behaviour"])
def test_most_that_was_recommended_in_the_window_is_kept(behaviour: Behaviour | None) -> None:
    past = Past([Moment(100.0, 8), Moment(350.0, 3)])

    assert limited(_autoscaler(behaviour), CONTROLLER, 8, 2, past, 390.0) == 8
    assert limited(_autoscaler(behaviour), CONTROLLER, 8, 2, past, 401.0) == 3


def test_window_for_going_up_waits_for_the_fewest() -> None:
    autoscaler = _autoscaler(Behaviour(up=Rules(DEFAULT_UP.policies, window_seconds=60.0)))

    assert limited(autoscaler, CONTROLLER, 4, 8, Past([Moment(10.0, 5)]), 60.0) == 5
    assert limited(autoscaler, CONTROLLER, 4, 8, Past([Moment(10.0, 5)]), 71.0) == 8


@given(
    st.integers(1, 50),
    st.integers(0, 100),
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 100)), max_size=8),
    st.sampled_from([None, Behaviour()]),
)
def test_result_lies_between_least_and_most(
    replicas: int, wanted: int, past: list[tuple[float, int]], behaviour: Behaviour | None
) -> None:
    autoscaler = _autoscaler(behaviour, least=2, most=20)
    remembered = Past([Moment(t, n) for t, n in sorted(past)])
    found = limited(autoscaler, CONTROLLER, min(max(replicas, 2), 20), wanted, remembered, 100.0)

    assert 2 <= found <= 20


@given(st.integers(2, 20), st.integers(2, 20))
def test_without_a_past_it_never_goes_the_wrong_way(replicas: int, wanted: int) -> None:
    found = limited(_autoscaler(Behaviour(), 2, 20), CONTROLLER, replicas, wanted, Past(), 0.0)

    assert min(replicas, wanted) <= found <= max(replicas, wanted)
