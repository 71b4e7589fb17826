"""The state machine, by itself."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mambogo_order.domain.model import ENDED, WAITING, Order, Reason, State
from mambogo_order.domain.moving import (
    TRANSITIONS,
    CancelAsked,
    ContradictionError,
    Fact,
    GivenUp,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    StockExpired,
    StockLost,
    StockRefused,
    StockReserved,
    decide,
)

TOTAL = 5000
PAYMENT, OTHER_PAYMENT = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 11, 25, tzinfo=UTC)
CAPTURED = PaymentCaptured(PAYMENT, TOTAL, "EUR")

facts: st.SearchStrategy[Fact] = st.one_of(
    st.sampled_from(
        [
            StockReserved(),
            StockRefused(),
            StockExpired(),
            StockLost(),
            PaymentDeclined(),
            CancelAsked(),
            GivenUp(),
            CAPTURED,
            PaymentCaptured(OTHER_PAYMENT, TOTAL, "EUR"),
            PaymentCaptured(PAYMENT, TOTAL - 1, "EUR"),
        ]
    ),
    st.builds(PaymentRefunded, st.integers(1, TOTAL)),
)


def order(state: State) -> Order:
    return Order(
        order_id=UUID(int=9),
        user_id="alice",
        state=state,
        sequence=1,
        currency="EUR",
        total_minor=TOTAL,
        placed_at=NOW,
        updated_at=NOW,
        reason=Reason.BY_USER if state in ENDED else None,
        payment_id=PAYMENT if state is State.CONFIRMED else None,
    )


def after(told: list[Fact]) -> list[Order]:
    """The order after each fact, contradictions left out."""
    current = order(State.PENDING)
    seen = [current]
    for fact in told:
        try:
            move = decide(current, fact)
        except ContradictionError:
            continue
        if move is not None:
            current = replace(
                current,
                state=move.to,
                reason=move.reason,
                payment_id=move.payment_id or current.payment_id,
                sequence=current.sequence + 1,
            )
            seen.append(current)
    return seen


@given(st.lists(facts, max_size=30))
def test_whatever_is_told_no_order_makes_a_move_that_the_diagram_does_not_have(told: list[Fact]) -> None:
    states = [seen.state for seen in after(told)]
    assert set(itertools.pairwise(states)) <= TRANSITIONS


@given(st.lists(facts, max_size=30))
def test_an_ended_order_never_moves(told: list[Fact]) -> None:
    states = [seen.state for seen in after(told)]
    assert all(state not in ENDED for state in states[:-1])


@given(st.lists(facts, max_size=30))
def test_a_reason_is_there_exactly_when_the_order_did_not_succeed(told: list[Fact]) -> None:
    assert all((seen.reason is not None) == (seen.state in ENDED) for seen in after(told))


@given(st.lists(facts, max_size=30))
def test_a_confirmed_order_has_a_payment_of_its_whole_amount(told: list[Fact]) -> None:
    for seen in after(told):
        assert seen.state is not State.CONFIRMED or seen.payment_id is not None


@given(st.lists(facts, max_size=20), facts)
def test_a_fact_that_was_applied_changes_nothing_when_it_comes_again(told: list[Fact], fact: Fact) -> None:
    once = after([*told, fact])[-1]
    assert after([*told, fact, fact])[-1] == once


@pytest.mark.parametrize("state", sorted(WAITING))
def test_a_waiting_order_can_always_be_given_up(state: State) -> None:
    move = decide(order(state), GivenUp())
    assert move is not None
    assert (move.to, move.reason) == (State.CANCELLED, Reason.GIVEN_UP)


@pytest.mark.parametrize("fact", [CAPTURED, PaymentDeclined(), StockLost(), PaymentRefunded(TOTAL)])
def test_a_pending_order_cannot_have_been_paid_or_sold(fact: Fact) -> None:
    with pytest.raises(ContradictionError):
        decide(order(State.PENDING), fact)


def test_one_order_is_paid_once() -> None:
    with pytest.raises(ContradictionError, match=str(OTHER_PAYMENT)):
        decide(order(State.CONFIRMED), PaymentCaptured(OTHER_PAYMENT, TOTAL, "EUR"))


@pytest.mark.parametrize(("paid", "currency"), [(TOTAL + 1, "EUR"), (TOTAL - 1, "EUR"), (TOTAL, "USD")])
def test_only_the_orders_own_amount_confirms_it(paid: int, currency: str) -> None:
    with pytest.raises(ContradictionError):
        decide(order(State.RESERVED), PaymentCaptured(PAYMENT, paid, currency))


def test_the_diagram_is_the_agreements() -> None:
    assert {(str(before), str(to)) for before, to in TRANSITIONS} == {
        ("PENDING", "RESERVED"),
        ("PENDING", "REJECTED"),
        ("PENDING", "CANCELLED"),
        ("RESERVED", "CONFIRMED"),
        ("RESERVED", "REJECTED"),
        ("RESERVED", "CANCELLED"),
        ("CONFIRMED", "CANCELLED"),
    }
