"""What is offered: shoppers at a fixed rate, each on one of four journeys. Pure, and the same for a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

CHECKOUT = "POST /api/carts/current/checkout"

# Of ten shoppers; every ten have the same mix, so that a short run has no other than a long one.
MIX = ("browse",) * 4 + ("search",) * 2 + ("fill a cart",) + ("buy",) * 3


_SLACK_SECONDS = 90.0  # to start and log in, and for a shopper whose requests all run out of time


@dataclass(frozen=True, slots=True)
class Login:
    """How shoppers get their tokens (RFC 6749 4.3)."""

    url: str
    client_id: str
    client_secret: str
    scope: str
    passwords: Mapping[str, str]  # by user name


@dataclass(frozen=True, slots=True)
class Arrival:
    """One shopper: when due (seconds since the start), on which journey, with draws of its own."""

    number: int
    due: float
    journey: str
    seed: int


@dataclass(frozen=True, slots=True)
class JourneyPlan:
    """A load of journeys."""

    name: str
    base_url: str
    rate_per_second: float
    seconds: float
    products: tuple[str, ...]  # ids; what is bought
    login: Login
    seed: int
    end_seconds: float  # how long after its acknowledgement an order may take to its end
    think_seconds: float = 0.2  # between an answer and the next request
    poll_seconds: float = 0.5  # between two looks at an order

    @property
    def arrivals(self) -> tuple[Arrival, ...]:
        """Everybody who is due."""
        draw = random.Random(self.seed)  # noqa: S311 - a load, no secret
        found: list[Arrival] = []
        block: list[str] = []
        for number in range(round(self.rate_per_second * self.seconds)):
            block = block or draw.sample(MIX, len(MIX))
            found.append(Arrival(number, number / self.rate_per_second, block.pop(), draw.getrandbits(32)))
        return tuple(found)

    @property
    def limit_seconds(self) -> float:
        """When the last shopper must have gone, however slow the shop is."""
        return self.seconds + self.end_seconds + _SLACK_SECONDS


def dumps(plan: JourneyPlan) -> bytes:
    """Return a plan for another process."""
    return json.dumps(asdict(plan)).encode()


def loads(text: bytes) -> JourneyPlan:
    """Return the plan that another process wrote."""
    content: dict[str, Any] = json.loads(text)
    login = Login(**content.pop("login"))
    return JourneyPlan(products=tuple(content.pop("products")), login=login, **content)
