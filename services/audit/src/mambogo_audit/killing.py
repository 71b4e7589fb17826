"""Where each process dies, and how often it did. Pure; starting and killing is `shop`'s.

Each service goes through all of its failpoints before one comes again. How often a failpoint is passed before
it kills is drawn as well, so that the process has done some work between two deaths.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

RELAY: Final = ("relay.claimed", "relay.published", "relay.marked", "relay.committed")
CONSUMER: Final = ("consumer.fetched", "consumer.effected", "consumer.applied", "consumer.committed")
KEYS: Final = ("idempotency.stored", "idempotency.committed")
_PROVIDER: Final = (
    "payment.claimed",
    "payment.authorised",
    "payment.captured",
    "payment.refunded",
    "payment.recorded",
    "payment.concluded",
)
# All that there are: the services' READMEs and the chassis' docs/events.md.
FAILPOINTS: Final[Mapping[str, tuple[str, ...]]] = {
    "product": RELAY,
    "cart": ("checkout.frozen", "checkout.acknowledged"),
    "order": (
        *RELAY,
        *CONSUMER,
        *KEYS,
        "order.priced",
        "order.inserted",
        "order.moved",
        "sweeper.swept",
        "sweeper.committed",
    ),
    "inventory": (*RELAY, *CONSUMER, *KEYS, "inventory.moved", "inventory.expired"),
    "payment": (*RELAY, *CONSUMER, *KEYS, *_PROVIDER),
}
# What an order passes once or more often: about every hundredth order is somebody's last.
_OFTEN: Final = (20, 150)
# What passes once a second or less: housekeeping, administrators, refunds.
_SELDOM: Final = (2, 10)
_SELDOM_PLACES: Final = frozenset(
    {
        *(("product", place) for place in RELAY),
        *((name, place) for name in ("inventory", "payment") for place in KEYS),
        ("inventory", "inventory.expired"),
        ("payment", "payment.refunded"),
        ("order", "sweeper.swept"),
        ("order", "sweeper.committed"),
    }
)
_SOMETIMES: Final = (5, 50)


@dataclass(frozen=True, slots=True)
class Death:
    """Where a service is to die, and at which pass."""

    service: str
    place: str
    passes: int

    def __str__(self) -> str:
        return f"{self.place}=crash@{self.passes}"


class Deck:
    """A service's failpoints, drawn until all were there, and that so many `times`; None: without an end."""

    def __init__(
        self,
        service: str,
        places: Iterable[str],
        seed: str,
        *,
        passes: tuple[int, int] | None = None,
        times: int | None = None,
    ) -> None:
        self._service = service
        self._places = tuple(places)
        self._passes = passes
        self._times = times
        self._random = random.Random(seed)  # noqa: S311 - a seed decides where it dies
        self._left: list[str] = []

    def draw(self) -> Death | None:
        """The next one, if there is one."""
        if not self._left:
            if self._times == 0:
                return None
            self._times = self._times - 1 if self._times is not None else None
            self._left = self._random.sample(self._places, len(self._places))
        place = self._left.pop()
        return Death(
            self._service, place, self._random.randint(*(self._passes or passes_of(self._service, place)))
        )

    def put_back(self, death: Death) -> None:
        """Nobody came there: later, after the others."""
        self._left.insert(0, death.place)


def passes_of(service: str, place: str) -> tuple[int, int]:
    """Between which passes a process dies."""
    if (service, place) in _SELDOM_PLACES:
        return _SELDOM
    return _SOMETIMES if service == "cart" else _OFTEN


@dataclass
class Deaths:
    """What was killed where, of all that has to be."""

    wanted: Mapping[str, tuple[str, ...]]
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    # Of processes that did not reach their failpoint in time, and were killed wherever they were.
    elsewhere: Counter[str] = field(default_factory=Counter)
    # Of processes that ended by themselves: none should.
    accidents: list[str] = field(default_factory=list)

    @property
    def missing(self) -> list[str]:
        """Failpoints at which nothing died."""
        return [
            f"{service} {place}"
            for service, places in self.wanted.items()
            for place in places
            if not self.counts[service, place]
        ]

    def lines(self) -> list[str]:
        """A line for each service."""
        told = []
        for service, places in self.wanted.items():
            parts = [f"{place} {self.counts[service, place]}" for place in places]
            if self.elsewhere[service]:
                parts.append(f"elsewhere {self.elsewhere[service]}")
            told.append(f"{service}: {', '.join(parts)}")
        return told
