"""One order as the stores keep it, and stores in memory."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rehearsal.observe.logs import LogLine
from rehearsal.observe.spans import Span

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def span(
    one: str, parent: str = "", *, at_ms: int = 0, service: str = "order-service", kind: str = "server"
) -> Span:
    return Span(one, parent, service, kind, f"name of {one}", START + timedelta(milliseconds=at_ms), 0.005)


def line(message: str, *, at_ms: int = 0, trace: str = TRACE, **fields: str) -> LogLine:
    at = START + timedelta(milliseconds=at_ms)
    place = ("mambogo-production", "order-service-7f-abc", "order-service", "INFO")
    return LogLine(at, *place, message, {"trace_id": trace, "request_id": "request-1", **fields})


@dataclass
class FakeSpans:
    """`SpanStore`, in memory."""

    stored: dict[str, tuple[Span, ...]] = field(default_factory=dict)

    def spans(self, trace_id: str) -> tuple[Span, ...]:
        return self.stored.get(trace_id, ())


@dataclass
class FakeLogs:
    """`LogStore`, in memory: it understands the questions for one field's value, or one of some."""

    stored: tuple[LogLine, ...] = ()

    def lines(self, question: str, limit: int) -> tuple[LogLine, ...]:
        asked = re.fullmatch(r'(\w+):(?:=|in\()("[^"]*"(?:,"[^"]*")*)\)?', question)
        assert asked is not None
        values = re.findall(r'"([^"]*)"', asked[2])
        return tuple(one for one in self.stored if one.fields.get(asked[1]) in values)[-limit:]
