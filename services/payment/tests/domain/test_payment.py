"""The rules of payments, against a provider model, under every sequence that hypothesis thinks of."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mambogo_payment.domain.payment import (
    WORKING,
    Change,
    Fact,
    Money,
    Payment,
    ProviderStatus,
    RefundRefusedError,
    State,
    Told,
    learnt,
    order_ended,
    refund_wanted,
    reserved,
    standing,
)

MONEY = Money(1999, "EUR")
REFUND = UUID(int=7)
STATUSES: tuple[ProviderStatus, ...] = ("authorised", "declined", "captured", "voided", "refunded")


def payment(state: State = State.OPEN, *, attempts: int = 1, money: Money | None = MONEY) -> Payment:
    refund_id = REFUND if state in (State.REFUNDING, State.REFUNDED) else None
    return Payment(UUID(int=1), UUID(int=2), "anna", money, state, refund_id=refund_id, attempts=attempts)


class World:
    """A payment, and a provider who does what the worker asks at any later time, or never answers."""

    def __init__(self) -> None:
        self.payment = payment(attempts=0)
        self.status: ProviderStatus | None = None
        self.closed = False
        self.captures = 0
        self.refunds = 0
        self.told: list[Told] = []
        self.is_ended = False

    def apply(self, change: Change) -> None:
        self.payment = change.payment
        if change.is_new:
            self.told += change.told

    def call(self, *, is_heard: bool) -> None:
        """One turn of a worker; when the reply is lost, nothing is learnt."""
        if self.payment.state not in WORKING:
            return
        self.payment = replace(self.payment, attempts=self.payment.attempts + 1)
        {State.OPEN: self._take, State.CANCELLING: self._close, State.REFUNDING: self._refund}[
            self.payment.state
        ]()
        if is_heard:
            self.apply(learnt(self.payment, self.fact(), REFUND))

    def late(self) -> None:
        """A worker that was held up asks for the money although the payment has moved on."""
        if self.payment.attempts:
            self._take()
            self.apply(learnt(self.payment, self.fact(), REFUND))

    def end(self) -> None:
        self.is_ended = True
        self.apply(order_ended(self.payment, REFUND))

    def fact(self) -> Fact | None:
        return Fact("p", self.status) if self.status is not None else None

    def _take(self) -> None:
        if self.status is None:
            self.status = "declined" if self.closed else "captured"
            self.captures += self.status == "captured"

    def _close(self) -> None:
        self.closed = True
        if self.status == "authorised":
            self.status = "voided"

    def _refund(self) -> None:
        if self.status == "captured":
            self.status = "refunded"
            self.refunds += 1


STEPS = st.lists(st.sampled_from(("heard", "lost", "late", "end", "reserved")), max_size=20)


@given(STEPS)
def test_money_is_taken_at_most_once_and_an_ended_order_gets_it_back(steps: list[str]) -> None:
    world = World()
    for step in steps:
        match step:
            case "heard" | "lost":
                world.call(is_heard=step == "heard")
            case "late":
                world.late()
            case "end":
                world.end()
            case _:
                world.apply(reserved(world.payment, MONEY))
    for _ in range(4):
        world.call(is_heard=True)
    assert world.payment.state not in WORKING
    assert world.captures <= 1
    if world.is_ended:
        assert world.captures == world.refunds
    assert len(world.told) == len(set(world.told))


@given(st.lists(st.sampled_from(STATUSES), min_size=1))
def test_taken_money_counts_before_anything_else(statuses: list[ProviderStatus]) -> None:
    found = standing([Fact(str(number), status) for number, status in enumerate(statuses)])
    assert found is not None
    if "captured" in statuses:
        assert found.status == "captured"


@pytest.mark.parametrize(
    ("state", "status", "then", "told"),
    [
        (State.OPEN, "captured", State.CAPTURED, (Told.CAPTURED,)),
        (State.OPEN, "declined", State.DECLINED, (Told.DECLINED,)),
        (State.OPEN, "voided", State.DECLINED, (Told.DECLINED,)),
        (State.OPEN, "refunded", State.DECLINED, (Told.DECLINED,)),
        (State.CANCELLING, "captured", State.REFUNDING, (Told.CAPTURED,)),
        (State.CANCELLING, "voided", State.VOIDED, (Told.VOIDED,)),
        (State.CANCELLING, "declined", State.VOIDED, (Told.VOIDED,)),
        (State.REFUNDING, "refunded", State.REFUNDED, (Told.REFUNDED,)),
        (State.VOIDED, "captured", State.REFUNDING, (Told.CAPTURED,)),
        (State.DECLINED, "captured", State.REFUNDING, (Told.CAPTURED,)),
    ],
)
def test_what_the_provider_did_moves_the_payment(
    state: State, status: ProviderStatus, then: State, told: tuple[Told, ...]
) -> None:
    change = learnt(payment(state), Fact("p", status), REFUND)
    assert (change.payment.state, change.told, change.is_new) == (then, told, True)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (State.CAPTURED, "captured"),
        (State.CAPTURED, "declined"),
        (State.REFUNDED, "captured"),
        (State.REFUNDED, "refunded"),
        (State.REFUNDING, "captured"),
        (State.VOIDED, "declined"),
        (State.DECLINED, "voided"),
        (State.OPEN, "authorised"),
    ],
)
def test_a_late_or_repeated_fact_changes_nothing(state: State, status: ProviderStatus) -> None:
    change = learnt(payment(state), Fact("p", status), REFUND)
    assert change == Change(payment(state))


def test_a_provider_that_knows_nothing_leaves_nothing_to_void() -> None:
    assert learnt(payment(State.CANCELLING), None, REFUND).payment.state is State.VOIDED


def test_an_order_that_ends_before_the_first_call_needs_none() -> None:
    change = order_ended(payment(attempts=0), REFUND)
    assert (change.payment.state, change.is_work, change.told) == (State.VOIDED, False, (Told.VOIDED,))


def test_an_order_that_ends_after_a_call_is_closed_at_the_provider() -> None:
    change = order_ended(payment(attempts=1), REFUND)
    assert (change.payment.state, change.is_work, change.told) == (State.CANCELLING, True, ())


@pytest.mark.parametrize("state", [State.REFUNDING, State.REFUNDED, State.DECLINED, State.VOIDED])
def test_an_order_that_ends_again_moves_nothing(state: State) -> None:
    assert not order_ended(payment(state), UUID(int=8)).is_new


def test_an_order_reserved_after_its_end_is_void() -> None:
    change = reserved(payment(State.VOIDED, money=None), MONEY)
    assert (change.payment.state, change.payment.money, change.told) == (State.VOIDED, MONEY, (Told.VOIDED,))


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (State.OPEN, ()),
        (State.CAPTURED, (Told.CAPTURED,)),
        (State.DECLINED, (Told.DECLINED,)),
        (State.REFUNDED, (Told.REFUNDED,)),
    ],
)
def test_an_order_reserved_again_is_answered_as_before(state: State, told: tuple[Told, ...]) -> None:
    assert reserved(payment(state), MONEY) == Change(payment(state), told)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (State.OPEN, "not-captured"),
        (State.DECLINED, "not-captured"),
        (State.REFUNDING, "already-refunded"),
        (State.REFUNDED, "already-refunded"),
    ],
)
def test_only_captured_money_is_given_back(state: State, code: str) -> None:
    with pytest.raises(RefundRefusedError) as refused:
        refund_wanted(payment(state), REFUND)
    assert refused.value.code == code
