"""One request's way through the shop: its spans and what was logged meanwhile, found by one of its ids."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rehearsal.core.errors import ConfigurationError
from rehearsal.observe.logs import LogLine, LogStore, of_requests, of_trace
from rehearsal.observe.spans import Span, SpanStore

MOST_LINES = 2000  # an order has some twenty; a loop of retries must not fill a terminal for ever
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_REQUEST_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._:-]{0,63}")


@dataclass(frozen=True, slots=True)
class Trail:
    """What is known of a request."""

    trace_id: str
    spans: tuple[Span, ...]  # none of a trace that was not sampled
    lines: tuple[LogLine, ...]


def follow(wanted: str, spans: SpanStore, logs: LogStore) -> Trail:
    """Return a request's trail, by the id of its trace, its `traceparent` or its `X-Request-Id`.

    Raises ConfigurationError for what is no id, for one that neither store knows, and for a request id that
    several traces have; EnvironmentNotReadyError when a store does not answer.
    """
    given = wanted.strip()
    if header := _TRACEPARENT.fullmatch(given.lower()):
        given = header[1]
    if not _REQUEST_ID.fullmatch(given):
        raise ConfigurationError(
            "ID_MALFORMED",
            f"{wanted!r} is no id of a trace and none of a request",
            hint="Give 32 hexadecimal digits, a traceparent, or what an answer says as X-Request-Id.",
        )
    if _TRACE_ID.fullmatch(given.lower()) and (trail := _of_trace(given.lower(), spans, logs)):
        return trail
    # The shop's own request ids may look like a trace's.
    return _of_request(given, spans, logs)


def _of_trace(trace_id: str, spans: SpanStore, logs: LogStore) -> Trail | None:
    recorded, said = spans.spans(trace_id), logs.lines(of_trace(trace_id), MOST_LINES)
    lines = (*said, *_of_the_edge(said, logs))
    if not recorded and not lines:
        return None
    return Trail(trace_id, recorded, tuple(sorted(lines, key=lambda line: line.at)))


def _of_the_edge(said: tuple[LogLine, ...], logs: LogStore) -> tuple[LogLine, ...]:
    """Return lines of who knows the request's id alone: the cache reads it from the gateway's answer."""
    request_ids = sorted({line.fields["request_id"] for line in said if "request_id" in line.fields})
    if not request_ids:
        return ()
    found = logs.lines(of_requests(request_ids), MOST_LINES)
    return tuple(line for line in found if "trace_id" not in line.fields)


def _of_request(request_id: str, spans: SpanStore, logs: LogStore) -> Trail:
    lines = logs.lines(of_requests([request_id]), MOST_LINES)
    traces = sorted({line.fields["trace_id"] for line in lines if "trace_id" in line.fields})
    if len(traces) > 1:
        raise ConfigurationError(
            "ID_AMBIGUOUS",
            f"{len(traces)} traces have the request id {request_id}",
            hint=f"Name one of them: {', '.join(traces[:5])}.",
        )
    trail = _of_trace(traces[0], spans, logs) if traces else None
    if trail is None:
        raise ConfigurationError(
            "ID_UNKNOWN",
            f"neither a span nor a line of a log has the id {request_id}",
            hint="Both arrive some seconds late; logs stay a day, spans until newer ones take their place.",
        )
    return trail
