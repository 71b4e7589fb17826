"""Adapter: where the deployed shop's rows, topics and the provider's ledger are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from rehearsal.chaos.proving.collecting import TOPICS, Row
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.processes import ProcessFailedError, run

if TYPE_CHECKING:
    from rehearsal.chaos.topics import Topics

_NAMESPACE: Final = "mambogo-managed"
_POD: Final = "postgres-0"
# Whoever may execute in the pod may read: no password leaves the cluster.
_SOCKET_FOLDER: Final = "/var/lib/postgresql/run"
_DATABASES: Final = {"product": "product", "inventory": "inventory", "payment": "payment", "order": "orders"}
_QUERY_SECONDS: Final = 60.0
_LEDGER_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class ClusterSource:
    """The shop on the project's cluster."""

    kubectl: Path
    kubeconfig: Path
    context: str
    topics: Topics
    sandbox_url: str

    def rows(self, service: str, query: str) -> Sequence[Row]:
        """Return the rows of a query on a service's database.

        Raises EnvironmentNotReadyError when the database does not answer.
        """
        database = _DATABASES[service]
        # Each row as JSON: the types survive, and no value can be taken for a separator.
        statement = f"SELECT to_json(q) FROM ({query.strip()}) AS q"  # noqa: S608 - our own queries
        argv = [
            str(self.kubectl), f"--kubeconfig={self.kubeconfig}", f"--context={self.context}",
            "exec", f"--namespace={_NAMESPACE}", _POD, "--container=postgres", "--",
            "psql", "--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--set=ON_ERROR_STOP=1",
            f"--host={_SOCKET_FOLDER}", f"--username={database}", f"--dbname={database}",
            f"--command={statement}",
        ]  # fmt: skip
        try:
            ended = run(argv, timeout_seconds=_QUERY_SECONDS)
        except ProcessFailedError as error:
            raise EnvironmentNotReadyError(
                "DATABASE_UNREAD",
                f"database {database} was not read: {error.tail or error}",
                hint=f"`kubectl logs -n {_NAMESPACE} {_POD}` says what it does.",
            ) from error
        return [list(json.loads(line).values()) for line in ended.output.splitlines() if line]

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
                hint=f"`kubectl logs -n {_NAMESPACE} deployment/payment-sandbox` says what it does.",
            ) from error
