"""Where the audit finds everything: the tests' databases and topics, and the sandbox' ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from rehearsal.chaos.proving.collecting import TOPICS, Row
from rehearsal.chaos.topics import Topics

from mambogo_audit.parts import Parts


@dataclass(frozen=True, slots=True)
class PartsSource:
    """One shop's parts, and what the provider has written down."""

    parts: Parts
    entries: Sequence[Mapping[str, Any]] = field(default=())

    def rows(self, service: str, query: str) -> Sequence[Row]:
        """Return the rows of a query on a service's database."""
        with psycopg.connect(self.parts.databases[service].dsn) as connection:
            return connection.execute(query.encode()).fetchall()

    def outbox_topic(self, topic: str) -> str:
        """Return a topic's name without this shop's prefix."""
        return topic.removeprefix(self.parts.topics.prefix)

    def published(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield every record of every topic, copies included."""
        for topic in TOPICS:
            yield from ((topic, event) for event in self._topics.read(self.parts.topics.name(topic)))

    def ledger(self) -> Sequence[Mapping[str, Any]]:
        """Return everything in the provider's books, as it was given."""
        return self.entries

    def lag(self, service: str, topics: Sequence[str]) -> int:
        """Return how many records of some topics a service has not taken yet."""
        space = self.parts.topics
        return self._topics.lag(space.name(service), [space.name(topic) for topic in topics])

    @property
    def _topics(self) -> Topics:
        return Topics(self.parts.topics.bootstrap_servers)
