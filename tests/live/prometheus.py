"""The live Prometheus, as tests ask it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

# Two scrapes after the start of the youngest pod, and pods of other tests that have just gone.
SCRAPE_SECONDS = 180.0
HINT = "http://127.0.0.1:9090/targets"


@dataclass(frozen=True, slots=True)
class Prometheus:
    """The live Prometheus' API."""

    client: httpx.Client

    def ask(self, path: str, **query: str) -> Any:
        """Return the data of an answer."""
        answer = self.client.get(f"/api/v1/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def labels(self, expression: str, name: str) -> set[str]:
        """Return the values of a label over all series that an expression has now."""
        found = self.ask("query", query=expression)["result"]
        return {str(one["metric"].get(name, "")) for one in found}

    def rules(self, group: str) -> dict[str, dict[str, Any]]:
        """Return the alerts of a group of rules by their names."""
        groups = self.ask("rules", type="alert")["groups"]
        return {rule["name"]: rule for one in groups if one["name"] == group for rule in one["rules"]}
