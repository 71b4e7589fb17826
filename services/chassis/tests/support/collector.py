"""What a trace collector was sent, read from a fault server's requests."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from mambogo_chassis.tracing import Tracer, make_tracer
from support.faults import Exchange, FaultServer


@dataclass(frozen=True, slots=True)
class Seen:
    """One span, ids as lower-case hex."""

    name: str
    kind: str
    trace: str
    span_id: str
    parent: str
    has_failed: bool
    attributes: dict[str, str | int]


def tracer_to(server: FaultServer) -> Tracer:
    """A tracer that records what its parents' traces do, and nothing else."""
    return make_tracer("tests", "1", endpoint_of(server), lambda: 0.0)


def endpoint_of(server: FaultServer) -> str:
    """Where an exporter sends to."""
    return f"{server.url}/v1/traces"


def spans_of(server: FaultServer) -> list[Seen]:
    """Every span in the order of its arrival; flush the tracer before."""
    return [
        _seen(span)
        for message in map(message_of, server.requests)
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def message_of(request: Exchange) -> ExportTraceServiceRequest:
    """A request as OpenTelemetry's own class reads it, which refuses fields that it does not know."""
    assert request.headers["content-type"] == "application/json"
    return json_format.ParseDict(_with_base64_ids(json.loads(request.body)), ExportTraceServiceRequest())


def _with_base64_ids(part: Any) -> Any:
    """OTLP writes ids as hex, where JSON of protocol buffers has base64; nothing else differs."""
    if isinstance(part, list):
        return [_with_base64_ids(one) for one in part]
    if not isinstance(part, dict):
        return part
    ids = ("traceId", "spanId", "parentSpanId")
    return {
        key: base64.b64encode(bytes.fromhex(value)).decode() if key in ids else _with_base64_ids(value)
        for key, value in part.items()
    }


def _seen(span: Span) -> Seen:
    return Seen(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        has_failed=span.status.code == Status.STATUS_CODE_ERROR,
        attributes={pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes},
    )
