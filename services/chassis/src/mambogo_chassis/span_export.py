"""Sends finished spans to a collector, a few at a time, so that requests never wait for it.

This is our own because of what OpenTelemetry's SDK and exporter took: a span that is recorded costs a request
18 us there, and a batch of 512 is encoded in one go, 14 ms in which the event loop does not run. The
gateway's 99th percentile was 15 ms for that alone (services/gateway/docs/performance.md). Here a span is a
tuple until a thread makes JSON of it by msgspec, 5 us each, and the event loop has its turn after every few.

The message is OTLP/HTTP's (https://opentelemetry.io/docs/specs/otlp/, "JSON Protobuf Encoding"), which every
collector reads. The tests read it with OpenTelemetry's own classes and compare it with what its SDK and
encoder make of the same spans.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import urllib3

from mambogo_chassis.tracing import FinishedSpan, Kind

# As in OpenTelemetry's own batches.
_QUEUE_SPANS: Final = 2048  # what is older is dropped: a dead collector costs spans, never memory
_BATCH_SPANS: Final = 512
_INTERVAL_SECONDS: Final = 5.0
# About 0.05 ms of work, and then the event loop's turn, which it takes only while this thread sleeps.
_SPANS_AT_ONCE: Final = 8
_PAUSE_SECONDS: Final = 0.000_1
_TIMEOUT_SECONDS: Final = 2.0
# A collector that hangs may hold the process's end up for this long, and no longer.
_SHUTDOWN_SECONDS: Final = 2.0
_CONTENT_TYPE: Final = {"Content-Type": "application/json"}
# A span that arrives twice is one span; what fails twice is dropped.
_RETRIES: Final = urllib3.Retry(
    total=1,
    allowed_methods=None,
    status_forcelist=(429, 502, 503, 504),
    backoff_factor=0.2,
    raise_on_status=False,
)
# Of opentelemetry/proto/trace/v1/trace.proto.
_KINDS: Final[Mapping[Kind, int]] = {"server": 2, "client": 3, "producer": 4, "consumer": 5}
_UNSET, _ERROR = 0, 2  # Status.StatusCode
_HAS_IS_REMOTE: Final = 0x100  # SpanFlags: it is known whether the parent is another process's; it is
_IS_REMOTE: Final = 0x200
_SCOPE: Final = "mambogo_chassis"

logger = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class GradualExporter:
    """Exports by OTLP/HTTP to `endpoint` (`http://host:4318/v1/traces`), from a thread of its own."""

    def __init__(self, endpoint: str, resource: Mapping[str, str]) -> None:
        self._endpoint = endpoint
        self._resource = resource
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, retries=_RETRIES, timeout=_TIMEOUT_SECONDS)
        self._waiting: deque[FinishedSpan] = deque(maxlen=_QUEUE_SPANS)
        self._woken = threading.Event()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="span-export", daemon=True)
        self._thread.start()

    def add(self, span: FinishedSpan) -> None:
        """Have a span sent with the next batch."""
        self._waiting.append(span)
        # Once for each batch: the thread looks itself whether more has come meanwhile.
        if len(self._waiting) == _BATCH_SPANS:
            self._woken.set()

    def close(self) -> None:
        """Send what is left, within a bound: a dead collector is tried for longer than we may wait."""
        self._is_closed = True
        self._woken.set()
        self._thread.join(_SHUTDOWN_SECONDS)
        if self._thread.is_alive():
            logger.warning("spans not delivered within %g s were given up", _SHUTDOWN_SECONDS)

    def _run(self) -> None:
        while not self._is_closed:
            if len(self._waiting) < _BATCH_SPANS:
                self._woken.wait(_INTERVAL_SECONDS)
                self._woken.clear()
            self._send_waiting()
        self._send_waiting()  # what came between the last look and the end
        self._pool.clear()

    def _send_waiting(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH_SPANS, len(self._waiting)))]
            try:
                self._send(batch)
            except urllib3.exceptions.HTTPError:
                return  # dropped; the next batch asks again
            except Exception:
                # Whatever it is, those after it are to be sent.
                logger.exception("%d spans were dropped", len(batch))

    def _send(self, batch: Sequence[FinishedSpan]) -> None:
        parts = []
        for start in range(0, len(batch), _SPANS_AT_ONCE):
            parts.append(encode(batch[start : start + _SPANS_AT_ONCE]))
            time.sleep(_PAUSE_SECONDS)
        self._pool.request("POST", self._endpoint, body=message(self._resource, parts), headers=_CONTENT_TYPE)


def encode(spans: Sequence[FinishedSpan]) -> bytes:
    """Spans as members of a JSON array, without its brackets."""
    return _encode([_span(span) for span in spans])[1:-1]


def message(resource: Mapping[str, str], parts: Sequence[bytes]) -> bytes:
    """The request with what `encode` made of spans."""
    return b'{"resourceSpans":[{"resource":%b,"scopeSpans":[{"scope":%b,"spans":[%b]}]}]}' % (
        _encode({"attributes": _attributes(resource)}),
        _encode({"name": _SCOPE}),
        b",".join(parts),
    )


def _span(span: FinishedSpan) -> dict[str, Any]:
    made: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": _KINDS[span.kind],
        # 64 bits are text in JSON.
        "startTimeUnixNano": str(span.started_ns),
        "endTimeUnixNano": str(span.ended_ns),
        "attributes": _attributes(span.attributes),
        "status": {"code": _ERROR if span.has_failed else _UNSET},
        "flags": _HAS_IS_REMOTE,
    }
    if span.parent_id:
        made["parentSpanId"] = span.parent_id
        made["flags"] |= _IS_REMOTE
    return made


def _attributes(attributes: Mapping[str, str | int]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in attributes.items()
    ]
