"""Sends spans to a collector, a few at a time, so that requests never wait for it.

OpenTelemetry's own exporter encodes a whole batch in one go: 512 spans take 14 ms, in which the event loop
does not run, and its HTTP client another 2 ms. At 700 spans a second the gateway's 99th percentile was 15 ms
for that alone (services/gateway/docs/performance.md). Its encoder, fed a few spans at a time, takes 29 us for
each. The same message as JSON, which every collector reads as well (https://opentelemetry.io/docs/specs/otlp/,
"JSON Protobuf Encoding"), takes 5 us by msgspec. The tests read it with OpenTelemetry's own classes, and
compare it with what its encoder makes of the same spans. Imported only where an exporter is configured.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import urllib3
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.util.types import AttributeValue

# About 0.05 ms of work, and then the event loop's turn, which it takes only while this thread sleeps.
_SPANS_AT_ONCE: Final = 8
_PAUSE_SECONDS: Final = 0.000_1
_TIMEOUT_SECONDS: Final = 2.0
_CONTENT_TYPE: Final = {"Content-Type": "application/json"}
# A span that arrives twice is one span; what fails twice is dropped.
_RETRIES: Final = urllib3.Retry(
    total=1,
    allowed_methods=None,
    status_forcelist=(429, 502, 503, 504),
    backoff_factor=0.2,
    raise_on_status=False,
)
# SpanFlags of opentelemetry/proto/trace/v1/trace.proto: it is known whether the parent is remote; it is.
_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200

_encode = msgspec.json.Encoder().encode


class GradualExporter(SpanExporter):
    """Exports by OTLP/HTTP to `endpoint` (`http://host:4318/v1/traces`)."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, retries=_RETRIES, timeout=_TIMEOUT_SECONDS)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch, of one tracer. Called by the SDK's own thread."""
        parts = []
        for start in range(0, len(spans), _SPANS_AT_ONCE):
            parts.append(encode(spans[start : start + _SPANS_AT_ONCE]))
            time.sleep(_PAUSE_SECONDS)
        try:
            answer = self._pool.request(
                "POST", self._endpoint, body=message(spans[0], parts), headers=_CONTENT_TYPE
            )
        except urllib3.exceptions.HTTPError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS if answer.status < 300 else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the connection."""
        self._pool.clear()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits in here."""
        return True


def encode(spans: Sequence[ReadableSpan]) -> bytes:
    """Spans as members of a JSON array, without its brackets."""
    return _encode([_span(span) for span in spans])[1:-1]


def message(example: ReadableSpan, parts: Sequence[bytes]) -> bytes:
    """The request: what `encode` made of spans, under the resource and the scope of one of them."""
    scope = example.instrumentation_scope
    resource = _encode({"attributes": _attributes(example.resource.attributes)})
    named = _encode({"name": scope.name if scope is not None else ""})
    spans = b",".join(parts)
    return b'{"resourceSpans":[{"resource":%b,"scopeSpans":[{"scope":%b,"spans":[%b]}]}]}' % (
        resource,
        named,
        spans,
    )


def _span(span: ReadableSpan) -> dict[str, Any]:
    context, parent = span.context, span.parent
    flags = _HAS_IS_REMOTE
    made: dict[str, Any] = {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "name": span.name,
        "kind": span.kind.value + 1,  # the API counts from 0, the message keeps 0 for what nobody said
        # 64 bits are text in JSON.
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes or {}),
        "status": {"code": span.status.status_code.value},
    }
    if parent is not None:
        made["parentSpanId"] = f"{parent.span_id:016x}"
        if parent.is_remote:
            flags |= _IS_REMOTE
    made["flags"] = flags
    return made


def _attributes(attributes: Mapping[str, AttributeValue]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: AttributeValue) -> dict[str, Any]:
    """A value of the kinds that the chassis gives its spans; others as their text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return {"intValue": str(value)}
    return {"stringValue": str(value)}
