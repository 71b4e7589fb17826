"""When an order has waited too long, and what is to be done then. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Action(StrEnum):
    """What the sweeper does with an order that is due."""

    RESEND = "resent"
    GIVE_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an order may wait."""

    # The first repetition; each pause is twice the one before, up to `resend_every_max`.
    resend_after: timedelta
    resend_every_max: timedelta
    # Since placement. Longer than any outage that is to be survived: what is given up is lost business.
    give_up_after: timedelta


def action(placed_at: datetime, now: datetime, patience: Patience) -> Action:
    """What is to be done with a waiting order that is due."""
    return Action.GIVE_UP if now - placed_at >= patience.give_up_after else Action.RESEND


def next_look(placed_at: datetime, now: datetime, resends: int, patience: Patience) -> datetime:
    """When a waiting order is due again, after so many repetitions; never later than its giving up."""
    # The exponent is bounded: an order that was repeated a thousand times must not overflow a timedelta.
    pause = min(patience.resend_after * (1 << min(resends, 16)), patience.resend_every_max)
    return max(now, min(now + pause, placed_at + patience.give_up_after))
