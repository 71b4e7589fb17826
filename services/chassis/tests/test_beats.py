"""The beat that everything shares which looks again each second."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mambogo_chassis.lifecycle import BEAT_SECONDS, until_next_beat

TIMES = st.floats(min_value=0, max_value=1e7)


@given(TIMES)
def test_the_next_beat_is_at_most_a_beat_and_a_tenth_away(now: float) -> None:
    assert 0.1 * BEAT_SECONDS < until_next_beat(now) <= 1.1 * BEAT_SECONDS


@given(TIMES, TIMES)
def test_all_beats_fall_on_the_same_moment_of_the_second(one: float, other: float) -> None:
    apart = (one + until_next_beat(one)) - (other + until_next_beat(other))
    assert apart == pytest.approx(round(apart / BEAT_SECONDS) * BEAT_SECONDS, abs=1e-6)


@given(TIMES)
def test_a_timer_that_fires_early_does_not_fire_twice(now: float) -> None:
    woken_early = now + until_next_beat(now) - 0.002
    assert until_next_beat(woken_early) > 0.9 * BEAT_SECONDS
