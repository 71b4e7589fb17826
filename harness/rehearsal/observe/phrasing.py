"""A trail and lines of logs, for a person and for a script. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rehearsal.core.showing import visible
from rehearsal.observe.following import MOST_LINES, Trail
from rehearsal.observe.logs import LogLine
from rehearsal.observe.spans import Span, arranged

_SERVICE_WIDTH = 18  # `inventory-service`
_INDENT = 4
_NOT_SAMPLED = "no spans: the trace was not sampled (trace-sample-ratio), or they are not there yet"


def describe(trail: Trail) -> str:
    """Return a trail as text: the tree of spans with their times, then the lines."""
    return "\n".join([_headline(trail), "", *_tree(trail.spans), "", *_said(trail)])


def _headline(trail: Trail) -> str:
    services = {span.service for span in trail.spans}
    return (
        f"trace {trail.trace_id}: {len(trail.spans)} spans of {len(services)} services, "
        f"{len(trail.lines)} lines of logs"
    )


def _tree(spans: Sequence[Span]) -> list[str]:
    if not spans:
        return [_NOT_SAMPLED]
    begin = min(span.started for span in spans)
    lines = [f"{'begins':>10} {'takes':>10}"]
    for depth, span in arranged(spans):
        offset = (span.started - begin).total_seconds()
        kind = f" ({span.kind})" if span.kind not in ("server", "") else ""
        failed = " FAILED" if span.failed else ""
        what = visible(f"{'  ' * depth}{span.service:<{_SERVICE_WIDTH}} {span.name}{kind}{failed}", _INDENT)
        lines.append(f"{offset * 1000:7.1f} ms {span.seconds * 1000:7.1f} ms  {what}")
    return lines


def _said(trail: Trail) -> list[str]:
    said = [line_text(line) for line in trail.lines]
    if len(said) >= MOST_LINES:
        said.append(f"only the newest {MOST_LINES} lines are shown")
    return said


def line_text(line: LogLine) -> str:
    """Return a line of a log with when, who and how bad; an exception's stack is below it."""
    at = line.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    severity = line.severity if line.severity != "Unspecified" else "-"
    text = f"{at} {severity:<7} {line.container:<{_SERVICE_WIDTH}} {line.pod}  {line.message.rstrip()}"
    stack = line.fields.get("exception", "")
    # A message of several lines must not look like messages of others.
    shown = visible(text, _INDENT)
    return "\n".join([shown, *(visible(f"    {one}") for one in stack.splitlines())])


def trail_record(trail: Trail) -> dict[str, Any]:
    """Return a trail as JSON values."""
    return {
        "trace_id": trail.trace_id,
        "spans": [_span_record(span) for span in trail.spans],
        "logs": [line_record(line) for line in trail.lines],
    }


def _span_record(span: Span) -> dict[str, Any]:
    return {
        "id": span.id,
        "parent_id": span.parent_id or None,
        "service": span.service,
        "kind": span.kind,
        "name": span.name,
        "started": span.started.isoformat(),
        "seconds": span.seconds,
        "failed": span.failed,
        "attributes": dict(span.attributes),
    }


def line_record(line: LogLine) -> dict[str, Any]:
    """Return a line of a log as JSON values."""
    return {
        "at": line.at.isoformat(),
        "namespace": line.namespace,
        "pod": line.pod,
        "container": line.container,
        "severity": line.severity,
        "message": line.message,
        "fields": dict(line.fields),
    }
