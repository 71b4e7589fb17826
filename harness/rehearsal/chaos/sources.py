"""Adapter: where the deployed shop's rows, topics and the provider's ledger are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx

from rehearsal.chaos.postgres import NAMESPACE, Postgres
from rehearsal.chaos.proving.collecting import TOPICS, Row
from rehearsal.core.errors import EnvironmentNotReadyError

if TYPE_CHECKING:
    from rehearsal.chaos.topics import Topics

_DATABASES: Final = {"product": "product", "inventory": "inventory", "payment": "payment", "order": "orders"}
_LEDGER_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class ClusterSource:
    """The shop on the project's cluster."""

    postgres: Postgres
    topics: Topics
    sandbox_url: str

    def rows(self, service: str, query: str) -> Sequence[Row]:
        """Return the rows of a query on a service's database.

        Raises EnvironmentNotReadyError when the database does not answer.
        """
        # Each row as JSON: the types survive, and no value can be taken for a separator.
        statement = f"SELECT to_json(q) FROM ({query.strip()}) AS q"  # noqa: S608 - our own queries
        return [list(json.loads(line).values()) for line in self.postgres.ask(_DATABASES[service], statement)]

    def outbox_topic(self, topic: str) -> str:
        """Return a topic's name: the deployed shop's have no prefix."""
        return topic

    def published(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield every record of every topic, copies included."""
        for topic in TOPICS:
            yield from ((topic, event) for event in self.topics.read(topic))

    def ledger(self) -> Sequence[Mapping[str, Any]]:
        """Return everything in the provider's books."""
        entries: list[Mapping[str, Any]] = []
        with httpx.Client(base_url=self.sandbox_url, timeout=_LEDGER_SECONDS, trust_env=False) as client:
            while True:
                after = entries[-1]["number"] if entries else 0
                more = self._page(client, after)
                if not more:
                    return entries
                entries += more

    def lag(self, service: str, topics: Sequence[str]) -> int:
        """Return how many records of some topics a service has not taken yet."""
        return self.topics.lag(service, topics)

    def _page(self, client: httpx.Client, after: int) -> list[Mapping[str, Any]]:
        try:
            answer = client.get("/admin/ledger", params={"after": after})
            answer.raise_for_status()
            return list(answer.json()["entries"])
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise EnvironmentNotReadyError(
                "LEDGER_UNREAD",
                f"the payment provider's books were not read: {error}",
                hint=f"`kubectl logs -n {NAMESPACE} deployment/payment-sandbox` says what it does.",
            ) from error
