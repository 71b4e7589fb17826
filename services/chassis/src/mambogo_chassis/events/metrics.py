"""The gauges and counters of outbox, relay and consumer.

Declared on the registry that is passed in; two services in one test process have one each. A gauge whose
source could not be read is NaN: an old number would look like a healthy one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

OUTCOMES: Final = ("applied", "duplicate", "dead_lettered", "ignored")
ROUND_OUTCOMES: Final = ("published", "refused", "held_up")


@dataclass(frozen=True, slots=True)
class Backlog:
    """An outbox at one moment: pending events, the age of the oldest, those that Kafka refused."""

    depth: int
    age_seconds: float
    refused: int


class OutboxMetrics:
    """What the relay says about its database's outbox. Every relay of one database shows the same depth."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.depth = Gauge("outbox_depth", "Events that are not in Kafka yet.", registry=registry)
        self.age = Gauge("outbox_age_seconds", "Age of the oldest such event.", registry=registry)
        self.blocked = Gauge(
            "outbox_refused", "Events that Kafka refused for their own sake.", registry=registry
        )
        self.events = Counter("outbox_events", "Events by what a round did.", ["outcome"], registry=registry)
        for outcome in ROUND_OUTCOMES:
            self.events.labels(outcome)

    def show(self, backlog: Backlog) -> None:
        """Show what was read."""
        self.depth.set(backlog.depth)
        self.age.set(backlog.age_seconds)
        self.blocked.set(backlog.refused)

    def forget(self) -> None:
        """The outbox could not be read."""
        for gauge in (self.depth, self.age, self.blocked):
            gauge.set(float("nan"))


class ConsumerMetrics:
    """What one consumer says about itself."""

    def __init__(self, registry: CollectorRegistry, *, group: str) -> None:
        self._group = group
        self._lag = Gauge(
            "consumer_lag",
            "Records behind the end of the partition.",
            ["group", "topic", "partition"],
            registry=registry,
        )
        self._records = Counter(
            "consumer_records", "Records by what became of them.", ["group", "outcome"], registry=registry
        )
        self._rewinds = Counter(
            "consumer_rewinds",
            "Batches put back because the database was not there.",
            ["group"],
            registry=registry,
        )
        for outcome in OUTCOMES:
            self._records.labels(group, outcome)
        self._rewinds.labels(group)
        self._shown: set[tuple[str, int]] = set()

    def count(self, outcome: str, number: int = 1) -> None:
        """Count records by one of OUTCOMES."""
        self._records.labels(self._group, outcome).inc(number)

    def rewound(self) -> None:
        """Count a rewind."""
        self._rewinds.labels(self._group).inc()

    def show_lag(self, lag: dict[tuple[str, int], int]) -> None:
        """Show the partitions of this member; those it lost disappear, their new owner shows them."""
        for topic, partition in self._shown - lag.keys():
            self._lag.remove(self._group, topic, str(partition))
        for (topic, partition), records in lag.items():
            self._lag.labels(self._group, topic, str(partition)).set(records)
        self._shown = set(lag)
