"""Sends spans to a collector, a few at a time, so that requests never wait for it.

OpenTelemetry's own exporter encodes a whole batch in one go: 512 spans take 14 ms, in which the event loop
does not run, and its HTTP client another 2 ms. At 700 spans a second the gateway's 99th percentile was 15 ms
for that alone (services/gateway/docs/performance.md). The encoding is OpenTelemetry's; imported only where an
exporter is configured.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import urllib3
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

# About 0.1 ms of work, and then the event loop's turn, which it takes only while this thread sleeps.
_SPANS_AT_ONCE: Final = 3
_PAUSE_SECONDS: Final = 0.000_1
_TIMEOUT_SECONDS: Final = 2.0
_CONTENT_TYPE: Final = {"Content-Type": "application/x-protobuf"}
# A span that arrives twice is one span; what fails twice is dropped.
_RETRIES: Final = urllib3.Retry(
    total=1,
    allowed_methods=None,
    status_forcelist=(429, 502, 503, 504),
    backoff_factor=0.2,
    raise_on_status=False,
)


class GradualExporter(SpanExporter):
    """Exports by OTLP/HTTP to `endpoint` (`http://host:4318/v1/traces`)."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, retries=_RETRIES, timeout=_TIMEOUT_SECONDS)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch. Called by the SDK's own thread."""
        parts = []
        for start in range(0, len(spans), _SPANS_AT_ONCE):
            parts.append(encode_spans(spans[start : start + _SPANS_AT_ONCE]).SerializeToString())
            time.sleep(_PAUSE_SECONDS)
        try:
            # Messages of protocol buffers that follow each other are one message with all of their spans.
            answer = self._pool.request("POST", self._endpoint, body=b"".join(parts), headers=_CONTENT_TYPE)
        except urllib3.exceptions.HTTPError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS if answer.status < 300 else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the connection."""
        self._pool.clear()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits in here."""
        return True
