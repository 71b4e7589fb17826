"""How long orders may wait, by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mambogo_order.domain.sweeping import Action, Patience, action, next_look

NOW = datetime(2026, 11, 25, tzinfo=UTC)
seconds = st.floats(0.1, 10_000).map(lambda value: timedelta(seconds=value))
patiences = st.builds(Patience, seconds, seconds, seconds)


@given(patiences, seconds, st.integers(0, 10_000))
def test_no_order_is_looked_at_later_than_its_giving_up(
    patience: Patience, waited: timedelta, resends: int
) -> None:
    placed_at = NOW - waited
    due = next_look(placed_at, NOW, resends, patience)
    assert NOW <= due <= max(NOW, placed_at + patience.give_up_after)


@given(patiences, seconds)
def test_an_order_is_given_up_exactly_when_its_time_is_over(patience: Patience, waited: timedelta) -> None:
    expected = Action.GIVE_UP if waited >= patience.give_up_after else Action.RESEND
    assert action(NOW - waited, NOW, patience) is expected


def test_a_thousand_orders_that_wait_for_an_hour_do_not_fill_the_topic() -> None:
    patience = Patience(timedelta(seconds=15), timedelta(seconds=60), timedelta(seconds=3600))
    at, resends = NOW + patience.resend_after, 0
    while action(NOW, at, patience) is Action.RESEND:
        resends += 1
        at = next_look(NOW, at, resends, patience)
    assert resends <= 3600 / 60 + 2
