"""What a run of schemathesis has shown, read from its reports. Pure but for the two files.

`summary.json` says how the run ended; `events.ndjson` has each request with its answer and what was found
wrong with it.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rehearsal.contract.fuzzing.running import EVENTS, SUMMARY

_FOUND = "failure"
_STATEFUL = "stateful"  # the phase that goes from one operation to another
_SHOWN_CHARACTERS = 2000  # of a body, in what is kept of a failure
# What schemathesis says of an operation whose sound requests hardly ever arrive.
_EMPTY = ("missing_auth", "missing_test_data", "validation_mismatch", "low_valid_rate")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer; no status when none came."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str
    status: int | None
    answer: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A promise that was not kept, and the request that showed it."""

    operation: str
    check: str  # of schemathesis or of ours: "ignored_auth"
    code: str
    title: str
    message: str
    exchange: Exchange | None


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that one run has shown."""

    unfinished: str = ""  # why it did not come to its end
    operations: tuple[int, int] = (0, 0)  # how many were tested, of how many
    cases: int = 0
    failures: tuple[Failure, ...] = ()
    errors: tuple[str, ...] = ()  # requests and tests that came to nothing
    names: frozenset[str] = frozenset()  # of the operations that were asked for themselves
    statuses: Mapping[str, Mapping[int, int]] = field(
        default_factory=dict
    )  # by method and path: how often each
    empty: Mapping[str, str] = field(
        default_factory=dict
    )  # operations whose sound requests hardly arrive: why
    links: int = 0  # that can be followed from one operation to another
    followed: frozenset[str] = frozenset()

    def count(self, status: int) -> int:
        """Return how many answers had a status."""
        return sum(counts.get(status, 0) for counts in self.statuses.values())


def read(folder: Path, unfinished: str = "") -> Seen:
    """Return what a run has left in its folder; `unfinished` says why it did not come to its end, if so."""
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return Seen(unfinished=unfinished or f"it has left no report: {error}")
    walk = _Walk()
    for record in _records(folder / EVENTS):
        walk.take(record)
    operations = summary["operations"] or {}
    return Seen(
        unfinished=unfinished or _why_unfinished(summary),
        operations=(int(operations.get("tested", 0)), int(operations.get("selected", 0))),
        cases=int(summary["test_cases"]["generated"]),
        failures=tuple(walk.failures),
        errors=tuple(one["title"] for one in summary["errors"]),
        names=frozenset(walk.names),
        statuses=walk.statuses,
        empty=_empty(summary["warnings"]),
        links=walk.links,
        followed=frozenset(walk.followed),
    )


def _why_unfinished(summary: Mapping[str, Any]) -> str:
    reason = summary["stop_reason"]
    if reason != "completed":
        return f"it ended early: {str(reason).replace('_', ' ')}"
    return "" if summary["complete"] else "it broke off"


def _empty(warnings: Mapping[str, Any]) -> dict[str, str]:
    return {
        str(operation): kind.replace("_", " ") for kind in _EMPTY for operation in warnings.get(kind) or ()
    }


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    if not path.exists():
        return
    with path.open("rb") as lines:
        for line in lines:
            # The last line of a run that was ended may be half of one.
            if line.endswith(b"\n"):
                yield json.loads(line)


@dataclass(slots=True)
class _Walk:
    """Goes through a run's events."""

    failures: list[Failure] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    followed: set[str] = field(default_factory=set)
    links: int = 0
    _known: set[tuple[str, str, str]] = field(default_factory=set)

    def take(self, record: Mapping[str, Any]) -> None:
        """Take the next event."""
        match record:
            case {"PhaseStarted": {"payload": {"transitions_selected": int(many)}}}:
                self.links = many
            case {"ScenarioFinished": {"phase": phase, "recorder": recorder}}:
                if phase != _STATEFUL:
                    self.names.add(recorder["label"])
                self._scenario(recorder)

    def _scenario(self, recorder: Mapping[str, Any]) -> None:
        exchanges = recorder.get("interactions", {})
        for case, node in recorder.get("cases", {}).items():
            name = _operation(node.get("value", {}), recorder)
            if node.get("transition") and node.get("is_transition_applied"):
                self.followed.add(str(node["transition"]["id"]))
            exchange = _exchange(exchanges.get(case))
            if exchange is not None and exchange.status is not None:
                self.statuses.setdefault(name, Counter())[exchange.status] += 1
            for check in recorder.get("checks", {}).get(case, ()):
                if check["status"] == _FOUND:
                    self._failed(check, name, recorder.get("label"), exchange)

    def _failed(
        self, check: Mapping[str, Any], operation: str, label: str | None, exchange: Exchange | None
    ) -> None:
        failure = (check.get("failure_info") or {}).get("failure") or {}
        named = failure.get("operation")
        # A check of ours that fails between two operations is said to be of "Stateful tests", their label.
        name = str(named) if named and named != label else operation
        title, message = str(failure.get("title", check["name"])), str(failure.get("message", ""))
        # One cause shows in many cases; the first is told, as with schemathesis.
        key = (name, str(check["name"]), title)
        if key not in self._known:
            self._known.add(key)
            code = str(failure.get("code", ""))
            self.failures.append(Failure(name, str(check["name"]), code, title, message, exchange))


def _operation(case: Mapping[str, Any], recorder: Mapping[str, Any]) -> str:
    method, path = case.get("method"), case.get("path")
    return f"{method} {path}" if method and path else str(recorder.get("label", ""))


def _exchange(interaction: Mapping[str, Any] | None) -> Exchange | None:
    if not interaction:
        return None
    request, response = interaction["request"], interaction.get("response") or {}
    return Exchange(
        request["method"],
        request["uri"],
        {name: _text(values) for name, values in request.get("headers", {}).items()},
        _text(request.get("body")),
        response.get("status_code"),
        _text(response.get("content")),
    )


def _text(value: Any) -> str:
    """Return what was sent or came as text, whatever form the report gives it."""
    match value:
        case None:
            return ""
        case {"$base64": str(encoded)}:
            return base64.b64decode(encoded).decode("utf-8", "replace")[:_SHOWN_CHARACTERS]
        case [first, *_]:
            return _text(first)
    return str(value)[:_SHOWN_CHARACTERS]
