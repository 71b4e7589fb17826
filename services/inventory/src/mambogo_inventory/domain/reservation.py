"""One order's hold on stock, and what each of the order's events makes of it.

Every function takes what is there and returns a decision: the reservation after it, the movement of its lines
(or none), and whether the order is to be told. What it is told is always the state that holds now, so that an
event which comes again is answered as before and moves nothing. The events may come in any order: a
cancellation that overtakes its order leaves a reservation that was never held.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from mambogo_inventory.domain.stock import Movement


class State(enum.Enum):
    """What became of an order's lines."""

    RESERVED = "reserved"
    REFUSED = "refused"
    SOLD = "sold"
    RELEASED = "released"
    EXPIRED = "expired"
    LOST = "lost"


class ImpossibleEventError(Exception):
    """An event that no sound order can have; its sender is wrong, and nothing is done."""


@dataclass(frozen=True, slots=True)
class Line:
    """So many of one product."""

    product_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class Shortage:
    """A line that could not be had; an unknown product has 0 available."""

    product_id: UUID
    requested: int
    available: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is held for an order, or was. `reason` is why it was refused or released."""

    order_id: UUID
    reservation_id: UUID
    state: State
    lines: tuple[Line, ...] = ()
    reason: str = ""
    short: tuple[Shortage, ...] = ()
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done for an event. Without a movement no stock changes; `is_new`: the state is."""

    reservation: Reservation
    movement: Movement | None = None
    is_new: bool = False
    is_told: bool = True


def merged(lines: Iterable[Line]) -> tuple[Line, ...]:
    """One line per product, in the one sequence in which everybody locks."""
    totals: dict[UUID, int] = {}
    for line in lines:
        totals[line.product_id] = totals.get(line.product_id, 0) + line.quantity
    return tuple(Line(product_id, totals[product_id]) for product_id in sorted(totals))


def place(
    existing: Reservation | None,
    request: Reservation,
    available: Mapping[UUID, int],
) -> Decision:
    """All lines of `request` or none. `available` lacks the products that are unknown."""
    if existing is not None:
        return Decision(existing)
    short = _short(request.lines, available)
    if not short:
        return Decision(request, Movement.RESERVE, is_new=True)
    is_unknown = any(shortage.product_id not in available for shortage in short)
    reason = "unknown-product" if is_unknown else "out-of-stock"
    refused = replace(request, state=State.REFUSED, reason=reason, short=short, expires_at=None)
    return Decision(refused, is_new=True)


def confirm(existing: Reservation | None, available: Mapping[UUID, int]) -> Decision:
    """What is reserved is sold; what expired meanwhile is taken again, or is lost.

    Raises ImpossibleEventError for an order that nothing was ever reserved for.
    """
    if existing is None or existing.state is State.REFUSED:
        raise ImpossibleEventError("confirmed, but nothing was reserved for it")
    if existing.state is State.RESERVED:
        return Decision(_moved(existing, State.SOLD), Movement.SELL, is_new=True)
    if existing.state is State.EXPIRED:
        if _short(existing.lines, available):
            return Decision(_moved(existing, State.LOST), is_new=True)
        return Decision(_moved(existing, State.SOLD), Movement.RETAKE, is_new=True)
    return Decision(existing)


def give_back(existing: Reservation | None, absent: Reservation, reason: str) -> Decision:
    """The order ended without a sale: release, restock, or, for an order not seen yet, hold nothing ever.

    `absent` is the reservation to remember when there is none. Where nothing was held nobody is told.
    """
    if existing is None:
        return Decision(replace(absent, state=State.RELEASED, reason=reason), is_new=True)
    if existing.state is State.RESERVED:
        return Decision(_released(existing, reason), Movement.RELEASE, is_new=True)
    if existing.state is State.SOLD:
        return Decision(_released(existing, reason), Movement.RESTOCK, is_new=True)
    if existing.state is State.EXPIRED:
        return Decision(_released(existing, reason), is_new=True)
    return Decision(existing, is_told=existing.state is State.RELEASED)


def expire(existing: Reservation) -> Decision:
    """The stock is free again; nothing happens to what is no longer reserved."""
    if existing.state is not State.RESERVED:
        return Decision(existing, is_told=False)
    return Decision(_moved(existing, State.EXPIRED), Movement.EXPIRE, is_new=True)


def _moved(reservation: Reservation, state: State) -> Reservation:
    return replace(reservation, state=state)


def _released(reservation: Reservation, reason: str) -> Reservation:
    return replace(reservation, state=State.RELEASED, reason=reason)


def _short(lines: Iterable[Line], available: Mapping[UUID, int]) -> tuple[Shortage, ...]:
    return tuple(
        Shortage(line.product_id, line.quantity, available.get(line.product_id, 0))
        for line in lines
        if available.get(line.product_id, 0) < line.quantity
    )
